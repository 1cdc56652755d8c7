"""The benchmark of captioning: its child makes the units that this build captions."""

import json

from benchmarks.caption import write_clips
from benchmarks.caption_child import write_media
from manifests.dataset import Dataset
from pipeline.caption.units import CaptionUnit


def test_the_child_makes_the_units_of_this_build(tmp_path) -> None:
    write_clips(tmp_path, 2, seed=0)
    paths = sorted(tmp_path.glob("*.mp4"))
    row = write_media(Dataset.create(str(tmp_path / "data")), paths)
    units = [CaptionUnit(**fields) for fields in json.loads(row["units"])]
    assert [unit.media_id for unit in units] == [path.stem for path in paths]
    tar = (tmp_path / "data" / "media" / "0.tar").read_bytes()
    for unit, path in zip(units, paths, strict=True):
        assert tar[unit.offset : unit.offset + unit.length] == path.read_bytes()
