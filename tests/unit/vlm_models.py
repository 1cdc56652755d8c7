"""Tiny models of random weights for every type behind `AutoModelForImageTextToText`, with their processors.

`build(name, folder)` saves the model class of a type and its processor. Configurations are the defaults of
their classes with every size made small (vlm_models.yaml); vlm_recipes.yaml has what a type needs beyond.
Tokenizers are of bytes, with the placeholders of the processor.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING

_DATA: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
_SIZES: Mapping[str, int] = {name: size for size, names in _DATA["sizes"].items() for name in names}
_WIDTHS = (16, 32)
"""The sizes that are widths of layers and heads."""
_ALL_NAMED = {name: f"<{name}>" for name in _DATA["named"]} | {
    "image_token": "<image>",
    "video_token": "<video>",
}


def tiny_tokenizer(named: Mapping[str, str], *, adds_bos: bool = False, prefix: str = "") -> Any:
    """Return a tokenizer of bytes with the special tokens of all processors."""
    letters = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    pieces = [token for token in _DATA["literal"] if prefix and token.startswith("|")]
    letters |= {token: len(letters) + i for i, token in enumerate(pieces)}
    core = Tokenizer(models.BPE(vocab=letters, merges=[], ignore_merges=True))
    split = pre_tokenizers.Split(Regex("|".join(map(re.escape, pieces)) or "$^"), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    core.decoder = decoders.ByteLevel()
    rows = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    rows += [f"<|img_row_{i}_col_{j}|>" for i in range(1, 5) for j in range(1, 5)]
    every = dict.fromkeys(["<pad>", "<unk>", "<s>", "</s>", *_DATA["literal"], *rows, *named.values()])
    core.add_special_tokens([AddedToken(token, special=True) for token in every if token not in pieces])
    if prefix:
        core.normalizer = normalizers.Prepend(prefix)
    if adds_bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens=dict(named),
    )


def template(image: str, video: str, *, bos: str = "") -> str:
    """Return a chat template with the given placeholders."""
    return (
        bos + "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
        "{% if c.type == 'image' %}"
        f"{image}{{% elif c.type == 'video' %}}{video}{{% else %}}{{{{ c.text }}}}{{% endif %}}{{% endfor %}}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def shrink(value: Any, key: str = "", *, widen: int = 1) -> Any:
    """Return a configuration's content with small sizes, of layers `widen` times wider."""
    if key in _DATA["lists"] and value is not None:
        return _DATA["lists"][key]
    if isinstance(value, dict):
        small = {
            name: shrink(part, name, widen=widen)
            for name, part in value.items()
            if name not in _DATA["computed"]
        }
        if isinstance(small.get("image_size"), int) and isinstance(small.get("patch_size"), int):
            small["image_size"] = 4 * small["patch_size"]
        return small
    if isinstance(value, int) and not isinstance(value, bool) and key in _SIZES:
        return min(value, _SIZES[key] * (widen if _SIZES[key] in _WIDTHS else 1))
    if isinstance(value, list) and key in _DATA["by_layer"]:
        return value[:2]
    if isinstance(value, list) and key == "intermediate_size":  # one for each layer
        return _SIZES[key]
    return value


def _with_ids(value: Any, key: str, processor: Any, *, by_tokenizer: bool) -> Any:
    """Return a configuration's content with the ids of the tokenizer."""
    tokenizer = processor.tokenizer
    if isinstance(value, dict):
        return {
            name: _with_ids(part, name, processor, by_tokenizer=by_tokenizer) for name, part in value.items()
        }
    if key in ("vocab_size", "vocab_size_per_layer_input") and isinstance(value, int):
        return len(tokenizer)
    found = re.fullmatch(r"(\w+_token)_(?:id|index)", str(key))
    if found is None or (value is None and found[1] not in ("image_token", "video_token")):
        return value
    name = found[1]
    if name in ("bos_token", "eos_token", "pad_token"):
        return getattr(tokenizer, f"{name}_id")
    for owner in (tokenizer, processor) if by_tokenizer else (processor, tokenizer):
        token = getattr(owner, name, None)
        if token is not None and not isinstance(token, int):
            return tokenizer.convert_tokens_to_ids(str(token))
    return tokenizer.unk_token_id


def _merge(content: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(content)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(value, Mapping) and isinstance(old, dict) else value
    return merged


def _widen_sections(value: Any, widen: int) -> Any:
    """Return a configuration's content with the sections of rotary embeddings for wider heads."""
    if not isinstance(value, dict):
        return value
    return {
        name: [size * widen for size in part]
        if name == "mrope_section" and isinstance(part, list)
        else _widen_sections(part, widen)
        for name, part in value.items()
    }


def _part(mapping: Any, config_class: Any, processor_class: Any) -> Any:
    """Return the image or video processor of a type, or that of the type whose processor it uses."""
    family = processor_class.__module__.split(".")[-2]
    family = family if family in CONFIG_MAPPING else family.replace("_", "-")
    found = mapping[config_class if config_class in mapping else CONFIG_MAPPING[family]]
    if isinstance(found, Mapping):
        return found.get("torchvision") or next(iter(found.values()))
    return found[-1] or found[0] if isinstance(found, tuple) else found


def _small_pictures(part: Any, side: int) -> dict[str, Any]:
    """Return sizes at which a processor gives pictures of one side, or of few patches."""
    size = dict(part().size or {})
    if "height" in size:
        sizes: dict[str, Any] = {"size": {"height": side, "width": side}}
    elif size.get("shortest_edge") and size.get("longest_edge"):
        sizes = {"size": {"shortest_edge": 4096, "longest_edge": 1 << 16}}
    elif "longest_edge" in size:
        sizes = {"size": {"longest_edge": side}}
    else:
        sizes = {"size": {"shortest_edge": side}} if "shortest_edge" in size else {}
    if getattr(part, "crop_size", None):
        sizes["crop_size"] = {"height": side, "width": side}
    return sizes


def _side(content: Any) -> int:
    """Return the side of the pictures that a configuration wants."""
    for name, part in content.items():
        if name == "image_size" and isinstance(part, int):
            return part
        if isinstance(part, dict) and "text" not in str(name) and (found := _side(part)):
            return found
    return 0


def tiny_processor(name: str, recipe: "Recipe", side: int) -> Any:
    """Return the processor of a type, with small pictures."""
    config_class = CONFIG_MAPPING[name]
    made: Any = recipe.processor or PROCESSOR_MAPPING[config_class]
    tokenizer = tiny_tokenizer(recipe.named, adds_bos=recipe.bos, prefix=recipe.prefix)
    parts: dict[str, Any] = {"tokenizer": tokenizer}
    wanted = inspect.signature(made.__init__).parameters
    if "image_processor" in wanted:
        image_class = recipe.image_processor or _part(IMAGE_PROCESSOR_MAPPING, config_class, made)
        parts["image_processor"] = image_class(**{**_small_pictures(image_class, side), **recipe.image})
    if "video_processor" in wanted:
        video_class = recipe.video_processor or _part(VIDEO_PROCESSOR_MAPPING, config_class, made)
        parts["video_processor"] = video_class(**{**_small_pictures(video_class, side), **recipe.video})
    if "qformer_tokenizer" in wanted:
        parts["qformer_tokenizer"] = tiny_tokenizer({})
    if "feature_extractor" in wanted:
        parts["feature_extractor"] = transformers.WhisperFeatureExtractor()
    processor = made(**parts, **recipe.arguments)
    if recipe.template is not None:
        image = str(getattr(processor, "image_token", "<image>"))
        video = str(getattr(processor, "video_token", "<video>"))
        processor.chat_template = template(
            recipe.template.format(image), recipe.template.format(video), bos="{{ bos_token }}" * recipe.bos
        )
    return processor


def _codebook_tokens(tokenizer: Any) -> dict[str, int]:
    """Return a vocabulary in which entry k of a codebook is token k, by the names of Chameleon and Emu3."""
    letters = {str(digit): chr(ord("A") + digit) for digit in range(10)}
    chameleon = {"IMGIMG" + "".join(letters[c] for c in str(k)) + "Z": k for k in range(64)}
    emu3 = {f"<|visual token {k:06d}|>": k for k in range(64)} | {"<|extra_200|>": 64}
    return chameleon | emu3 | {"<image>": tokenizer.convert_tokens_to_ids("<image>")}


def build(name: str, folder: Path, *, widen: int = 1) -> None:
    """Save the model class of a type, with random weights, and its processor.

    Args:
        widen: how many times wider its layers are; vLLM's attention on a CPU takes heads of 32.
    """
    recipe = RECIPES.get(name, Recipe())
    content = shrink(CONFIG_MAPPING[name](**recipe.base).to_dict(), widen=widen)
    processor = tiny_processor(name, recipe, _side(content) or 56)
    content = _with_ids(content, "", processor, by_tokenizer=recipe.by_tokenizer)
    if recipe.image_token:
        key = next(key for key in ("image_token_id", "image_token_index", "image_patch_id") if key in content)
        content[key] = processor.tokenizer.convert_tokens_to_ids(recipe.image_token)
    if "vocabulary_map" in content:
        content["vocabulary_map"] = _codebook_tokens(processor.tokenizer)
    content = _widen_sections(_merge(content, recipe.config), widen)
    torch.manual_seed(0)
    model = transformers.AutoModelForImageTextToText.from_config(
        CONFIG_MAPPING[name].from_dict(content)
    ).float()
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, weight[0].numel() ** -0.5)
            elif "gate" in weight_name and weight.numel() == 1:
                weight.fill_(0.7)
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a type is made small, beyond what all have in common."""

    named: Mapping[str, str] = field(default_factory=lambda: dict(_ALL_NAMED))
    """Special tokens of the tokenizer, by the names that processors ask for."""
    bos: bool = False
    """Whether both the chat template and the tokenizer write the begin token, as those of the real models."""
    by_tokenizer: bool = False
    """Whether the configuration's image token is the tokenizer's, where the processor's is another."""
    template: str | None = "{}"
    """The placeholder in the chat template; None for a type without one."""
    processor: Any = None
    image_processor: Any = None
    video_processor: Any = None
    image: Mapping[str, Any] = field(default_factory=dict)
    video: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the processor."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration is made with, before it is made small."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What replaces parts of the small configuration."""
    image_token: str = ""
    """The token of patches, where it is not the processor's image token."""
    prefix: str = ""
    """What the tokenizer writes before every text, as SentencePiece does, to which `|…|` are words."""


def _recipe(fields: Mapping[str, Any]) -> Recipe:
    """Return a recipe of vlm_recipes.yaml, whose classes are names in transformers."""
    classes = ("processor", "image_processor", "video_processor")
    return Recipe(
        **{name: getattr(transformers, value) if name in classes else value for name, value in fields.items()}
    )


RECIPES: Mapping[str, Recipe] = {
    name: _recipe(fields)
    for name, fields in yaml.safe_load(
        Path(__file__).with_name("vlm_recipes.yaml").read_text(encoding="utf-8")
    ).items()
    if not name.startswith("_")
}
