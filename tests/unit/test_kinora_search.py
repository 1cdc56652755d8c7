"""Search by text and by likeness: exact ranks, an index that follows the dataset, and what is shown."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from embedding_models import open_clip_folder, transformers_folder
from searched_dataset import clip_ids, embed
from small_dataset import VERSIONS, write_dataset

from captioner.embedding import load_embedder
from kinora.cli.main import main
from kinora.commands import remove
from kinora.search.index import open_index
from kinora.search.rank import best, cosines, to_float32
from manifests.dataset import Dataset
from manifests.embeddings import embedded_clips, read_embeddings, unpack_embeddings
from manifests.live_view import LiveView

VECTORS = ((1, 0, 0, 0), (0.8, 0.6, 0, 0), (0, 1, 0, 0), (-1, 0, 0, 0.1))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "set")


@pytest.fixture
def embedded(dataset: Dataset) -> Dataset:
    return embed(dataset, dict(zip(clip_ids(dataset), VECTORS, strict=True)))


def search(dataset: Dataset, tmp_path: Path, capsys, *args: str) -> dict:
    """Run the command; return its JSON."""
    argv = ["search", "--dataset", dataset.uri, "--index", str(tmp_path / "index"), "--json", *args]
    assert main(argv) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_all_finite_halves_become_the_same_float32():
    half = np.arange(2**16, dtype=np.uint16).view("<f2")
    half = half[np.isfinite(half)]
    single = to_float32(half, np.empty(len(half), np.int32))
    assert np.array_equal(single, half.astype(np.float32))
    assert np.array_equal(np.signbit(single), np.signbit(half))


@pytest.mark.parametrize("count", [1, 2047, 2048, 5000])
def test_ranks_are_those_of_a_product_in_double_precision(count):
    rng = np.random.default_rng(count)
    vectors_ND = rng.standard_normal((count, 24))
    vectors_ND = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype("<f2")
    query_D = rng.standard_normal(24)
    query_D /= np.linalg.norm(query_D)
    exact_N = vectors_ND.astype(float) @ query_D
    found_N = cosines(vectors_ND, query_D.astype(np.float32))
    np.testing.assert_allclose(found_N, exact_N, atol=1e-6)
    mask_N = rng.random(count) < 0.5
    for mask in (None, mask_N):
        order = [index for index in np.argsort(-exact_N) if mask is None or mask[index]]
        assert best(found_N, 20, mask).tolist() == order[:20]


def test_equal_cosines_are_in_the_order_of_the_index():
    assert best(np.array([0.5, 1.0, 0.5, 0.5], np.float32), 3).tolist() == [1, 0, 2]
    assert best(np.array([0.5, 1.0], np.float32), 9).tolist() == [1, 0]


def test_embeddings_are_read_from_their_rows_in_any_order(embedded):
    clips = embedded_clips(LiveView(embedded))
    assert clips.clip_id.to_pylist() == clip_ids(embedded)
    vectors_ND = read_embeddings(embedded, clips).astype(float)
    np.testing.assert_allclose((vectors_ND**2).sum(axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(vectors_ND[1], VECTORS[1], atol=1e-3)
    sliced = pa.array([b"", np.ones(2, "<f2").tobytes(), np.zeros(2, "<f2").tobytes()]).slice(1)
    assert unpack_embeddings(sliced).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(ValueError, match="of 1 and of 2 numbers"):
        unpack_embeddings(pa.array([b"12", b"1234"]))


def test_a_dataset_without_embeddings_says_how_to_get_them(dataset, tmp_path, capsys):
    argv = ["search", "a car", "--dataset", dataset.uri, "--index", str(tmp_path / "index")]
    assert main(argv) == 3
    assert "--analyze.scorers.embedding true" in " ".join(capsys.readouterr().out.split())


def test_clips_like_another_one_are_ranked_by_cosine_without_any_model(embedded, tmp_path, capsys):
    ids = clip_ids(embedded)
    found = search(embedded, tmp_path, capsys, "--like", ids[0][:12])
    assert found["like"] == ids[0]
    assert [row["clip_id"] for row in found["results"]] == [ids[1], ids[2], ids[3]]
    assert [row["score"] for row in found["results"]] == pytest.approx([0.8, 0.0, -0.995], abs=1e-3)
    nearest, *_, dropped = found["results"]
    assert nearest["caption"].startswith("A box over green. The camera is still")
    assert (nearest["start_s"], nearest["end_s"]) == (
        pytest.approx(20 / 24, abs=1e-3),
        pytest.approx(44 / 24, abs=1e-3),
    )
    assert Path(nearest["uri"]).name == "video-0.mp4"
    assert (nearest["kept"], dropped["kept"], dropped["caption"]) == (True, False, None)
    assert nearest["short"] == "A box over green."
    assert found["clips"] == 3


def test_a_condition_limits_what_is_found(embedded, tmp_path, capsys):
    ids = clip_ids(embedded)
    found = search(embedded, tmp_path, capsys, "--like", ids[0], "--where", "kept AND licence = 'CC0'")
    assert [row["clip_id"] for row in found["results"]] == [ids[1], ids[2]]
    found = search(embedded, tmp_path, capsys, "--like", ids[0], "--where", "brightness > 0.5", "--n", "1")
    assert [row["clip_id"] for row in found["results"]] == [ids[3]]
    argv = ["search", "--dataset", embedded.uri, "--index", str(tmp_path / "index"), "--like", ids[0]]
    assert main([*argv, "--where", "brightness > 9"]) == 3
    assert main([*argv, "--where", "brightnes > 9"]) == 2
    assert "brightness" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give a text to search for, or --like"),
        (("a car", "--like", "x"), "and not both"),
        (("  ",), "the text is empty"),
        (("--like", "x"), "no clip with an embedding has an id that begins so"),
        (("--like", ""), "no clip with an embedding"),
        (("--like", "x", "--sheet", "sheet.gif"), "end the name in .jpg"),
        (("a car",), "embedded by 'model': name where that model is on this machine by --clip-model"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_with_the_remedy(embedded, tmp_path, capsys, args, message):
    argv = ["search", *args, "--dataset", embedded.uri, "--index", str(tmp_path / "index")]
    assert main(argv) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_text_is_compared_by_the_text_tower_of_the_model_of_the_embeddings(dataset, tmp_path, capsys):
    model = open_clip_folder(tmp_path / "m")
    texts = ["a red car at night", "a dog", "the sea", "two people"]
    vectors_ND = load_embedder(model).embed_texts(texts)
    ids = clip_ids(dataset)
    embedded = embed(dataset, dict(zip(ids, vectors_ND, strict=True)), model)
    found = search(embedded, tmp_path, capsys, "a red car at night", "--n", "4")
    assert [row["clip_id"] for row in found["results"]] == [
        ids[place] for place in np.argsort(-(vectors_ND @ vectors_ND[0]))
    ]
    assert found["results"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert found["tokens"] == {"seen": 7, "of": 7}
    moved = tmp_path / "elsewhere"
    (tmp_path / "m").rename(moved)
    argv = ["search", "a dog", "--dataset", embedded.uri, "--index", str(tmp_path / "index")]
    assert main(argv) == 2
    assert "name where that model is" in " ".join(capsys.readouterr().err.split())
    found = search(embedded, tmp_path, capsys, "a dog", "--clip-model", f"local-dir:{moved}", "--n", "1")
    assert found["results"][0]["clip_id"] == ids[1]
    other = open_clip_folder(tmp_path / "other", quick_gelu=True)
    assert main([*argv, "--clip-model", other]) == 2
    assert "is not the model that embedded the clips" in " ".join(capsys.readouterr().err.split())
    assert main([*argv, "--clip-model", f"local-dir:{moved}", "--json"]) == 0
    long = "car " * 100
    assert main(["search", long, *argv[2:], "--clip-model", f"local-dir:{moved}"]) == 0
    assert "sees the first 77 of the 102 tokens" in " ".join(capsys.readouterr().err.split())


def test_a_model_of_images_alone_searches_by_likeness_and_refuses_texts(dataset, tmp_path, capsys):
    model = transformers_folder(tmp_path / "dinov2", "dinov2")
    embedded = embed(dataset, dict(zip(clip_ids(dataset), VECTORS, strict=True)), model)
    argv = ["search", "--dataset", embedded.uri, "--index", str(tmp_path / "index")]
    assert main([*argv[:1], "a car", *argv[1:]]) == 2
    assert "it has no text tower. Search with --like CLIP_ID" in " ".join(capsys.readouterr().err.split())
    assert main([*argv, "--like", clip_ids(embedded)[0]]) == 0


def test_the_table_fits_80_columns_and_the_sheet_shows_thumbnails(embedded, tmp_path, capsys):
    clips = LiveView(embedded).read("clips")
    thumbnails = [_jpeg(color) for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250), (9, 9, 9))]
    analysis = next(commit.config_digest for commit in embedded.commits if commit.stage == "analyze")
    assert analysis == clips["analysis"][0].as_py()
    from manifests.dataset import Commit

    names = [name for name in clips.column_names if name not in ("embedding",) and not name.startswith("_")]
    again = clips.select(names).append_column("thumbnail", pa.array(thumbnails, pa.binary()))
    part = embedded.write_part("clips", again)
    embedded = embedded.commit(Commit(stage="analyze", added=(part,), config_digest=analysis))
    ids = clip_ids(embedded)
    sheet = tmp_path / "sheet.png"
    argv = ["search", "--dataset", embedded.uri, "--index", str(tmp_path / "index"), "--like", ids[0]]
    assert main([*argv, "--sheet", str(sheet)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "0.800" in out
    assert ids[1][:8] in out
    assert "0:00.8-0:01.8" in out
    assert "(dropped)" in out
    written: Any = cv2.imread(str(sheet))
    picture = cv2.cvtColor(written, cv2.COLOR_BGR2RGB)
    row_height = picture.shape[0] // 4
    for row, color in enumerate(((250, 0, 0), (0, 250, 0), (0, 0, 250))):  # the clip itself comes first
        pixel = picture[row * row_height + 60, 60].astype(int)
        assert np.abs(pixel - color).max() < 12


def test_the_index_follows_the_dataset_and_reads_only_what_is_new(dataset, tmp_path):
    ids, folder = clip_ids(dataset), tmp_path / "index"
    assert open_index(dataset, folder) is None
    first = embed(dataset, dict(zip(ids[:3], VECTORS[:3], strict=True)))
    index = open_index(first, folder)
    assert index is not None
    assert (index.num_new, index.rows["clip_id"].to_pylist()) == (3, ids[:3])
    index = open_index(Dataset.open(first.uri), folder)
    assert index is not None
    assert index.num_new == 0
    second = embed(first, {ids[3]: VECTORS[3]})
    index = open_index(second, folder)
    assert index is not None
    assert (index.num_new, index.rows["clip_id"].to_pylist()) == (1, ids)
    np.testing.assert_allclose(index.vectors_ND.astype(float)[:3], VECTORS[:3], atol=1e-3)
    assert index.rows["kept"].to_pylist() == [True, True, True, False]
    assert len([*folder.glob("vectors-*")]) == len([*folder.glob("rows-*")]) == 1


def test_another_model_makes_another_index(embedded, tmp_path):
    ids, folder = clip_ids(embedded), tmp_path / "index"
    open_index(embedded, folder)
    other = embed(embedded, {ids[2]: (0, 1)}, "other")
    index = open_index(other, folder)
    assert index is not None
    assert (index.num_new, index.rows["clip_id"].to_pylist()) == (1, [ids[2]])
    assert index.vectors_ND.tolist() == [[0, 1]]


def test_vectors_of_removed_clips_leave_the_index(embedded, tmp_path):
    ids, folder = clip_ids(embedded), tmp_path / "index"
    open_index(embedded, folder)
    uri = LiveView(embedded).read("clips", ["uri"])["uri"][0].as_py()
    remove.run(remove.Config(dataset=embedded.uri, uri=(uri,)))
    index = open_index(embedded.refresh(), folder)
    assert index is not None
    assert index.rows["clip_id"].to_pylist() == ids[2:]
    np.testing.assert_allclose(index.vectors_ND.astype(float)[0], VECTORS[2], atol=1e-3)
    [vectors] = folder.glob("vectors-*")
    assert vectors.stat().st_size == 2 * 4 * 2


@pytest.mark.parametrize("damage", ["meta", "rows", "vectors", "appended"])
def test_a_damaged_index_is_built_again(embedded, tmp_path, damage):
    ids, folder = clip_ids(embedded), tmp_path / "index"
    open_index(embedded, folder)
    [vectors], [rows] = folder.glob("vectors-*"), folder.glob("rows-*")
    if damage == "meta":
        (folder / "index.json").write_text("{")
    elif damage == "rows":
        rows.unlink()
    elif damage == "vectors":
        vectors.write_bytes(vectors.read_bytes()[:-3])
    else:  # a run that was killed while it appended
        vectors.write_bytes(vectors.read_bytes() + b"half")
        embedded = embed(embedded, {ids[0]: VECTORS[0]})
    index = open_index(embedded, folder)
    assert index is not None
    assert index.num_new == (0 if damage == "appended" else 4)
    np.testing.assert_allclose(index.vectors_ND[3].astype(float), np.array(VECTORS[3]) / 1.00499, atol=1e-3)


def test_a_new_caption_is_shown_after_its_commit(embedded, tmp_path, capsys):
    from small_dataset import _caption

    ids = clip_ids(embedded)
    argv = ("--like", ids[0], "--n", "1")
    assert search(embedded, tmp_path, capsys, *argv)["results"][0]["caption"].startswith("A box over")
    media = embedded.records("media")
    later = _caption(embedded, media, VERSIONS[0])
    assert search(later, tmp_path, capsys, *argv)["results"][0]["caption"].startswith("A white box")


def _jpeg(color: tuple[int, int, int]) -> bytes:
    picture = np.full((60, 80, 3), color[::-1], np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()
