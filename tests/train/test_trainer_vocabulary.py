"""A model knows the words of its training captions."""

import json
import runpy
from pathlib import Path

from manifests.shards import ShardIndex
from trainer.data.vocabulary import read_vocabulary
from trainer.vocabulary import unknown_words, words_of


def test_words_are_letters_in_lower_case():
    assert words_of(["A RED circle, 2 circles!", "ÉTÉ_x"]) == {"a", "red", "circle", "circles", "été", "x"}


def test_unknown_words_keep_their_order_and_are_named_once():
    known = frozenset({"a", "circle"})
    assert unknown_words("A zebra, a circle and a zebra: 赤い", known) == ["zebra", "and", "赤い"]
    assert unknown_words("A zebra", frozenset()) == []  # nothing was recorded


def test_short_and_dense_captions_are_read_and_damaged_samples_left_out(packer, tmp_path):
    index = ShardIndex.load(packer(tmp_path / "shards"))
    words = read_vocabulary(index)
    assert {"square", "moves", "right", "very", "plain"} <= {*words}
    assert words == sorted(words)
    shard = next((tmp_path / "shards").rglob("*.tar"))
    shard.write_bytes(bytes(shard.stat().st_size))
    assert read_vocabulary(ShardIndex.load(tmp_path / "shards")) == words


def test_an_exported_model_has_them(encoded, tmp_path):
    runs = runpy.run_path(str(Path(__file__).with_name("training_runs.py")))
    runs["dit_run"](*encoded, tmp_path / "run", steps=1)
    about = json.loads((tmp_path / "run" / "model.json").read_text())
    assert {"square", "plain"} <= {*about["vocabulary"]}
