"""Embeddings of pictures and texts: with the pixels and the activation that the weights want, or refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_models import (
    IMAGES,
    IMAGES_AND_TEXTS,
    OPEN_CLIP,
    OPENAI_PIXELS,
    SQUASHED,
    open_clip_folder,
    transformers_folder,
)

from captioner.embedding import check_embedder, load_embedder, model_digest


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """Two wide frames that differ at the sides alone, which the middle square does not hold; and another."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (90, 160, 3), np.uint8)
    other = frame.copy()
    other[:, :30], other[:, -30:] = (255, 0, 0), (0, 0, 255)
    return [frame, other, 255 - frame]


def by_hand(model: Any, pixels: dict[str, Any], size: int, frames: list[np.ndarray]) -> np.ndarray:
    """Return unit embeddings of `model` by the transform of open_clip."""
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    transform: Any = image_transform_v2(PreprocessCfg(size=size, **pixels), is_train=False)
    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
        return model.eval().encode_image(batch, normalize=True).numpy()


@pytest.mark.parametrize(("pixels", "sees_sides"), [(OPENAI_PIXELS, False), (SQUASHED, True)])
def test_a_folder_of_open_clip_sees_as_its_configuration_says(tmp_path, frames, pixels, sees_sides):
    import open_clip

    name = open_clip_folder(tmp_path / "m", pixels)
    model = open_clip.create_model(name)
    found_ND = load_embedder(name).embed_images(frames)
    np.testing.assert_allclose(found_ND, by_hand(model, pixels, 32, frames), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found_ND, axis=1), 1, atol=1e-6)
    assert bool(np.abs(found_ND[0] - found_ND[1]).max() > 1e-3) == sees_sides


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_a_tag_decides_on_pixels_and_activation(tmp_path, frames, monkeypatch, quick_gelu):
    import open_clip
    import torch
    from open_clip import pretrained
    from safetensors.torch import save_file

    (tmp_path / "kinora-tagged.json").write_text(json.dumps(OPEN_CLIP | {"quick_gelu": not quick_gelu}))
    open_clip.add_model_config(tmp_path / "kinora-tagged.json")
    tag = {key: tuple(value) if isinstance(value, list) else value for key, value in SQUASHED.items()}
    tag |= {"quick_gelu": True} if quick_gelu else {}
    monkeypatch.setitem(pretrained._PRETRAINED, "kinora-tagged", {"made": tag})
    torch.manual_seed(0)
    model = open_clip.CLIP(**OPEN_CLIP, quick_gelu=quick_gelu)
    weights = tmp_path / "made.safetensors"
    save_file(model.state_dict(), weights)
    found_ND = load_embedder("kinora-tagged/made", str(weights)).embed_images(frames)
    np.testing.assert_allclose(found_ND, by_hand(model, SQUASHED, 32, frames), atol=1e-6)
    other_ND = by_hand(open_clip.CLIP(**OPEN_CLIP, quick_gelu=not quick_gelu), SQUASHED, 32, frames)
    assert np.abs(found_ND - other_ND).max() > 1e-3


@pytest.mark.slow
def test_weights_that_want_other_pixels_than_openais_are_seen_as_their_tag_says(tmp_path):
    """PE-Core-T-16-384: mean and deviation 0.5, the whole frame squashed."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("PE-Core-T-16-384", load_weights=False)
    weights = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()}, weights)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (180, 320, 3), np.uint8)
    other = frame.copy()
    other[:, :60], other[:, -60:] = (255, 0, 0), (0, 0, 255)
    found_ND = load_embedder("PE-Core-T-16-384/meta", str(weights)).embed_images([frame, other])
    wanted_ND = by_hand(model, SQUASHED, 384, [frame, other])
    assert (found_ND * wanted_ND).sum(axis=1).min() > 0.999
    assert np.abs(found_ND[0] - found_ND[1]).max() > 0
    with pytest.raises(ValueError, match=r"write PE-Core-T-16-384/TAG .*meta"):
        load_embedder("PE-Core-T-16-384", str(weights))


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("", "", r"not set; name local-dir:FOLDER"),
        ("ViT-B-32", "", r"no such folder; name local-dir:FOLDER"),
        ("ViT-B-32/openai", "", r"no such folder \(a NAME/TAG of open_clip needs clip_weights"),
        ("ViT-B-32/openai", "none.pt", r"none\.pt: no such file"),
        ("ViT-L-14", "w.pt", r"does not say which pixels and activation .*ViT-L-14/TAG.*openai"),
        ("ViT-L-14/nobody", "w.pt", r"has no tag 'nobody'.*openai"),
        ("kinora/openai", "w.pt", r"knows no weights of an architecture 'kinora'"),
        ("local-dir:empty", "", r"empty has no open_clip_config\.json"),
        ("local-dir:bare", "", r"preprocess_cfg lacks mean and std"),
        ("bare", "", r"holds an open_clip model; write local-dir:bare"),
        ("empty", "", r"empty has no config\.json"),
        ("half", "", r"half has no preprocessor_config\.json; it says which pixels"),
    ],
)
def test_a_name_that_leaves_pixels_open_is_refused_with_the_remedy(
    tmp_path, monkeypatch, model, weights, message
):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "bare", "half"):
        Path(name).mkdir()
    Path("bare/open_clip_config.json").write_text('{"model_cfg": {}}')
    Path("half/config.json").write_text('{"model_type": "clip"}')
    Path("w.pt").touch()
    with pytest.raises(ValueError, match=message):
        check_embedder(model, weights)


def test_weights_of_another_architecture_are_refused(tmp_path):
    name = open_clip_folder(tmp_path / "m")
    config = tmp_path / "m" / "open_clip_config.json"
    config.write_text(config.read_text().replace('"embed_dim": 16', '"embed_dim": 8'))
    with pytest.raises(ValueError, match=r"cannot be loaded as local-dir.*size mismatch"):
        load_embedder(name)


def test_texts_and_pictures_of_open_clip_are_in_one_space(tmp_path):
    embedder = load_embedder(open_clip_folder(tmp_path / "m"))
    texts_SD = embedder.embed_texts(["a red car at night", "a blue car", "a red car at night"])
    assert texts_SD.shape == (3, 16)
    np.testing.assert_allclose(texts_SD[0], texts_SD[2], atol=1e-6)
    assert abs(texts_SD[0] @ texts_SD[1]) < 0.999
    assert embedder.count_tokens("a red car at night") == (7, 7)
    assert embedder.count_tokens("car " * 100) == (77, 102)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_transformers_model_sees_the_pixels_of_its_folder(tmp_path, frames, kind):
    import torch
    import transformers as tf
    from PIL import Image

    folder = transformers_folder(tmp_path / kind, kind)
    model: Any = tf.AutoModel.from_pretrained(folder).eval()
    resized = [Image.fromarray(frame).resize((32, 32), Image.Resampling.BILINEAR) for frame in frames]
    with torch.inference_mode():
        pixels = torch.tensor(np.stack([np.asarray(image) for image in resized])).permute(0, 3, 1, 2)
        wanted = model.get_image_features(pixel_values=pixels.float() / 127.5 - 1).pooler_output
        wanted_ND = torch.nn.functional.normalize(wanted, dim=-1).numpy()
    found_ND = load_embedder(folder).embed_images(frames)
    assert (found_ND * wanted_ND).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("kind", IMAGES_AND_TEXTS)
def test_images_and_texts_of_a_transformers_model_are_in_one_space(tmp_path, frames, kind):
    embedder = load_embedder(transformers_folder(tmp_path / kind, kind))
    found_ND = embedder.embed_images(frames)
    assert np.abs(found_ND[0] - found_ND[2]).max() > 1e-5
    texts_SD = embedder.embed_texts(["a red car", "a blue car at night"])
    assert texts_SD.shape == (2, found_ND.shape[1])
    np.testing.assert_allclose(np.linalg.norm([*found_ND, *texts_SD], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedder.embed_texts(["a red car"])[0], texts_SD[0], atol=1e-5)
    if kind == "siglip2":  # has a tokenizer of its own, which divides words
        assert embedder.count_tokens("car " * 20)[0] == 12
        return
    assert embedder.count_tokens("a red car") == (5, 5)
    assert embedder.count_tokens("car " * 20) == (12, 22)


@pytest.mark.parametrize("kind", [*IMAGES, "classifier"])
def test_a_model_of_images_alone_embeds_no_texts(tmp_path, frames, kind):
    embedder = load_embedder(transformers_folder(tmp_path / kind, kind))
    found_ND = embedder.embed_images(frames)
    assert found_ND.shape[1] in (16, 32, 64)
    np.testing.assert_allclose(np.linalg.norm(found_ND, axis=1), 1, atol=1e-6)
    assert np.abs(found_ND[0] - found_ND[2]).max() > 1e-5
    with pytest.raises(ValueError, match="embeds pictures alone: it has no text tower"):
        embedder.embed_texts(["a red car"])


def test_a_transformers_model_without_some_of_its_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(transformers_folder(tmp_path / "m", "dinov2"))
    state = load_file(folder / "model.safetensors")
    lost = next(name for name in state if "layer.0" in name)
    save_file({name: value for name, value in state.items() if name != lost}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"its weights lack 1 of Dinov2Model, such as .*layer\.0"):
        load_embedder(str(folder))


def test_a_language_model_is_no_model_of_pictures(tmp_path):
    import transformers as tf

    folder = Path(transformers_folder(tmp_path / "m", "dinov2"))
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "p.json")
    size: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    tf.LlamaModel(tf.LlamaConfig(**size, vocab_size=32)).save_pretrained(tmp_path / "llama")
    shutil.copy(tmp_path / "p.json", tmp_path / "llama" / "preprocessor_config.json")
    with pytest.raises(ValueError, match=r"LlamaModel.*cannot embed a picture"):
        load_embedder(str(tmp_path / "llama"))


def test_a_model_has_the_digest_of_what_decides_its_embeddings(tmp_path):
    name = open_clip_folder(tmp_path / "m")
    first = model_digest(name)
    (tmp_path / "m" / "README.md").write_text("about")
    (tmp_path / "m" / "tokenizer.json").write_text("{}")
    assert model_digest(name) == first != name
    shutil.copytree(tmp_path / "m", tmp_path / "copy")
    assert model_digest(f"local-dir:{tmp_path / 'copy'}") == first
    config = tmp_path / "copy" / "open_clip_config.json"
    config.write_text(config.read_text().replace("bicubic", "bilinear"))
    assert model_digest(f"local-dir:{tmp_path / 'copy'}") != first
    assert model_digest("ViT-B-32/openai") == "ViT-B-32/openai"
