"""Train the embedded scorer, a small open_clip model, by contrast (Radford et al. 2021, "CLIP").

Each caption of a batch is held against all clips of the batch, and each clip against all captions. Pairs with
the same text are no negatives of each other.

Shapes: B pairs, L tokens, D embedding dimensions, H x W pixels, C channels (RGB, uint8).
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transformer import text_global_pool
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedTokenizerFast

from captioner.embedded_scorer import TILE_PX, TILES
from captioner.embedding import OPEN_CLIP_CONFIG
from captioner.train.config import ScorerConfig
from captioner.train.state import cosine_scale, load_state, replacing_folder, save_state

EXPORT, STATE = "export", "scorer.pt"
CONTEXT = 192
"""Tokens of a text that the model sees; dense captions of worlds have fewer."""
PATCH_PX = 16
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
MAX_LOGIT_SCALE = math.log(100)
PAD, UNKNOWN, END = "<|pad|>", "<|unknown|>", "<|end|>"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pairs:
    """Pictures of clips, as `captioner.embedded_scorer.mosaic` makes them, with a text of each."""

    pixels_BHWC: torch.Tensor
    texts: Sequence[str]


def train_scorer(
    config: ScorerConfig,
    sample: Callable[[int], Pairs],
    texts: Iterable[str],
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Path:
    """Train for `config.steps` steps and export the model as a folder of open_clip; return it.

    A run that was stopped goes on from the newest state in `config.out`.

    Args:
        sample: returns the `config.batch_size` pairs of a step.
        texts: texts that the vocabulary must cover.
        report: called after each step with its loss in nats.

    Raises:
        ValueError: for a run of other settings in `config.out`.
        FloatingPointError: where the loss is no number.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    tokenizer = build_tokenizer(texts)
    architecture = build_architecture(config, len(tokenizer))
    model = open_clip.CLIP(**architecture)
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(_groups(model, config), config.lr, betas=(0.9, 0.98))
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = json.dumps(asdict(config) | {"out": ""}, sort_keys=True)
    for step in range(load_state(out / STATE, settings, weights, optimizer), config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * cosine_scale(step, warmup_steps=config.warmup_steps, steps=config.steps)
        # on a CPU plain products beat the fused kernel's backward four times
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            loss = contrastive_loss(model, tokenizer, sample(step))
        if not bool(loss.isfinite()):
            raise FloatingPointError(f"the loss is {loss.item()} at step {step}; lower lr")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, config.clip_norm)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        report(step, loss.item())
        if (step + 1) % config.save_every_n_steps == 0 or step + 1 == config.steps:
            save_state(out / STATE, step + 1, settings, weights, optimizer)
    export(model, architecture, tokenizer, out / EXPORT)
    return out / EXPORT


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the words of `texts`, in lower case; the token that ends a text is the last one,
    at which open_clip reads the text."""
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[.,;:!?]"), behavior="isolated")]
    )
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text.lower())})
    ids = {token: number for number, token in enumerate([PAD, UNKNOWN, *words, END])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, ids[END])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, padding_side="right"
    )


def build_architecture(config: ScorerConfig, vocab_size: int) -> dict[str, Any]:
    """Return what `open_clip.CLIP` takes, which is the `model_cfg` of the folder."""
    return {
        "embed_dim": config.embed_width,
        "vision_cfg": {
            "image_size": TILES * TILE_PX,
            "patch_size": PATCH_PX,
            "width": config.image_width,
            "layers": config.image_depth,
            "head_width": config.head_width,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocab_size,
            "hf_tokenizer_name": "local",
            "width": config.text_width,
            "layers": config.text_depth,
            "heads": config.text_width // config.head_width,
        },
    }


def contrastive_loss(model: Any, tokenizer: PreTrainedTokenizerFast, pairs: Pairs) -> Tensor:
    """Return the mean cross-entropy, in nats, of finding each clip by its text and each text by its clip."""
    image_BD = F.normalize(model.encode_image(normalize_pixels(pairs.pixels_BHWC)).float(), dim=-1)
    text_BD = F.normalize(encode_texts(model, tokenizer, pairs.texts).float(), dim=-1)
    logits_BB = model.logit_scale.exp() * text_BD @ image_BD.T
    codes = {text: number for number, text in enumerate(pairs.texts)}
    code_B = torch.tensor([codes[text] for text in pairs.texts])
    same_BB = (code_B[:, None] == code_B[None]) & ~torch.eye(len(code_B), dtype=torch.bool)
    logits_BB = logits_BB.masked_fill(same_BB, float("-inf"))
    target_B = torch.arange(len(code_B))
    return (F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)) / 2


def normalize_pixels(pixels_BHWC: Tensor) -> Tensor:
    """Return pixels_BCHW as open_clip's transform makes them of pictures of the model's size."""
    mean_C, std_C = torch.tensor(MEAN), torch.tensor(STD)
    return ((pixels_BHWC.float() / 255 - mean_C) / std_C).permute(0, 3, 1, 2).contiguous()


def encode_texts(model: Any, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """Return embeddings_BD as `model.encode_text`, which pads each text to the full context.

    Here short ones are not padded to the length of long ones.
    """
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    middle = len(texts) // 2
    parts = [part for part in (by_length[:middle], by_length[middle:]) if part]
    embedded = [_encode_padded(model, tokenizer, [texts[index] for index in part]) for part in parts]
    place_B = torch.empty(len(texts), dtype=torch.int64)
    place_B[torch.tensor(by_length)] = torch.arange(len(texts))
    return torch.cat(embedded)[place_B]


def _encode_padded(model: Any, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    ids_BL = tokenizer(
        list(texts), return_tensors="pt", padding=True, truncation=True, max_length=CONTEXT
    ).input_ids
    length = ids_BL.shape[1]
    hidden_BLD = model.token_embedding(ids_BL) + model.positional_embedding[:length]
    hidden_BLD = model.transformer(hidden_BLD, attn_mask=model.attn_mask[:length, :length])
    return text_global_pool(model.ln_final(hidden_BLD), ids_BL, "argmax") @ model.text_projection


def _groups(model: nn.Module, config: ScorerConfig) -> list[dict[str, Any]]:
    """Return matrices, and what weight decay is not for: gains, biases, places and the scale."""
    is_matrix = {name: each.ndim >= 2 and "embedding" not in name for name, each in model.named_parameters()}
    return [
        {
            "params": [each for name, each in model.named_parameters() if is_matrix[name] == decays],
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]


def export(
    model: nn.Module, architecture: dict[str, Any], tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write a folder that open_clip loads as `local-dir:FOLDER`, weights in bfloat16.

    The folder that was there is replaced.
    """
    weights = {name: each.bfloat16().contiguous() for name, each in model.state_dict().items()}
    pixels = {"mean": MEAN, "std": STD, "interpolation": "bilinear", "resize_mode": "squash"}
    size = architecture["vision_cfg"]["image_size"]
    content = {"model_cfg": architecture, "preprocess_cfg": {"size": [size, size], "mode": "RGB", **pixels}}
    with replacing_folder(folder) as partial:
        save_file(weights, partial / "open_clip_model.safetensors")
        (partial / OPEN_CLIP_CONFIG).write_text(json.dumps(content, indent=1) + "\n")
        tokenizer.save_pretrained(partial)
