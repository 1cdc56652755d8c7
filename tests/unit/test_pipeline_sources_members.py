"""A key is the same everywhere: as WebDataset divides names, and as our own sets are packed."""

import pytest
from webdataset.tariterators import base_plus_ext

from manifests.records import clip_id
from pipeline.sources.members import MemberName, owners

NAMES = [
    "clip.mp4", "a/b/clip.mp4", "./clip.mp4", "clip.0001.mp4", "a.b/clip.left.png", "clip.MP4", "a b.c.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_that_of_webdataset(name):
    key, field = base_plus_ext(name)
    assert field is not None
    parsed = MemberName.parse(name)
    assert parsed.key == key
    assert ".".join((*parsed.stem, parsed.ending.removeprefix("."))) == field.lower()


def test_the_keys_of_packed_sets_hold_no_dot():
    key = f"{clip_id('digest', 0, 0, 10)}-003"
    assert MemberName.parse(f"{key}.json") == MemberName(key, (), ".json")


@pytest.mark.parametrize(
    ("media", "texts", "owned"),
    [
        (["a.mp4"], ["a.txt", "a.json"], {"a.mp4": ["a.txt", "a.json"]}),
        (["a.1.mp4", "a.2.mp4"], ["a.1.txt", "a.2.txt"], {"a.1.mp4": ["a.1.txt"], "a.2.mp4": ["a.2.txt"]}),
        (["a.1.mp4", "a.2.mp4"], ["a.2.txt"], {"a.2.mp4": ["a.2.txt"]}),
        (["a.1.mp4"], ["a.2.txt"], {}),
        (["a.l.png", "a.r.png"], ["a.txt"], {"a.l.png": ["a.txt"], "a.r.png": ["a.txt"]}),
        (
            ["a.1.x.ts"],
            ["a.1.x.txt", "a.txt", "a.1.json"],
            {"a.1.x.ts": ["a.txt", "a.1.json", "a.1.x.txt"]},
        ),
        (["a.mp4"], ["a.txt", "a.en.txt"], {"a.mp4": ["a.en.txt", "a.txt"]}),
        (["a.mp4", "a.1.mp4"], ["a.1.txt"], {"a.1.mp4": ["a.1.txt"]}),
        (["x/a.mp4"], ["y/a.txt", "a.txt"], {}),
        (["a.mp4"], ["ab.txt"], {}),
    ],
)
def test_a_text_belongs_to_the_nearest_name(media, texts, owned):
    found = owners(map(MemberName.parse, media), map(MemberName.parse, texts))
    assert {owner.text: [text.text for text in own] for owner, own in found.items()} == owned
