"""The benchmark of a repack counts what it did, on Ray."""

from benchmarks.repack import measure_repack


def test_a_repack_after_edits_writes_texts_alone(tmp_path):
    figures = measure_repack(tmp_path, clips=300, edits=5)
    assert (figures.samples, figures.edits, figures.media_written) == (300, 5, 0)
    assert 1 <= figures.tars_written <= min(5, figures.tars)
    assert figures.tars > 2
    assert figures.repack_over_full == figures.repack_s / figures.full_pack_s > 0
