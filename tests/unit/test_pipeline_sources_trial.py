"""A trial is the same each time, whatever the order, and every larger trial contains it."""

import pytest

from manifests.records import Source
from pipeline.sources.trial import draw

SOURCES = [Source(uri=f"s3://raw/{number:05d}.mp4", size_bytes=number, etag="e") for number in range(5000)]


def test_a_sample_has_about_its_share_and_a_larger_one_contains_it():
    small, large = (draw(SOURCES, limit=0, sample=share) for share in (0.01, 0.1))
    assert 25 < len(small) < 80
    assert {source.uri for source in small} < {source.uri for source in large}
    again = draw(SOURCES[::-1], limit=0, sample=0.01)
    assert again == small[::-1]


def test_a_limit_is_exact_and_drawn_from_all_of_the_listing():
    few, more = (draw(SOURCES, limit=limit, sample=1.0) for limit in (20, 200))
    assert (len(few), len(more)) == (20, 200)
    assert {source.uri for source in few} < {source.uri for source in more}
    assert [source.uri for source in few] == sorted(source.uri for source in few)
    sizes = [source.size_bytes for source in more]
    assert min(sizes) < 500
    assert max(sizes) > 4500


@pytest.mark.parametrize(("limit", "sample"), [(0, 1.0), (5000, 1.0), (9999, 1.0)])
def test_a_trial_of_all_is_all(limit, sample):
    assert draw(SOURCES, limit=limit, sample=sample) == SOURCES


def test_a_limit_holds_within_a_sample():
    sample = draw(SOURCES, limit=0, sample=0.01)
    assert draw(SOURCES, limit=5, sample=0.01) == draw(SOURCES, limit=5, sample=1.0)
    assert draw(SOURCES, limit=len(sample) + 1, sample=0.01) == sample
