"""Fine-tune any vision-language model of transformers on captions, by low-rank adapters (LoRA).

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". The adapters are merged into the weights
at the end, so that the result is a standard model folder.

Shapes: B = 1 prompt, L tokens, R rank of an adapter.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.protocol import CaptionRequest
from captioner.train.config import LoraConfig
from captioner.train.state import cosine_scale, load_state, save_state
from captioner.vlm import TransformersCaptioner
from captioner.vlm_generate import TEXT_INPUTS, end_tokens
from captioner.vlm_inputs import to_device

EXPORT, STATE = "export", "lora.pt"
IGNORED = -100
"""Label of tokens without a loss."""
_VISION = ("vision", "visual", "image", "video", "audio")
"""Parts of the names of modules that are not of the language model."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CaptionTarget:
    """A prompt about a clip, and the text that answers it."""

    request: CaptionRequest
    text: str


class LoraLinear(nn.Module):
    """A frozen linear layer plus a trained product of two narrow ones, which begins as zero."""

    def __init__(self, base: nn.Linear, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        like = {"dtype": torch.float32, "device": base.weight.device}
        bound = 1 / math.sqrt(base.in_features)
        down = torch.empty(rank, base.in_features).uniform_(-bound, bound, generator=generator)
        self.down_RI = nn.Parameter(down.to(**like))
        self.up_OR = nn.Parameter(torch.zeros(base.out_features, rank, **like))

    def forward(self, hidden: Tensor) -> Tensor:
        narrow = nn.functional.linear(hidden.to(self.down_RI.dtype), self.down_RI)
        return self.base(hidden) + (self.scale * nn.functional.linear(narrow, self.up_OR)).to(hidden.dtype)

    def merged(self) -> nn.Linear:
        """Add the product to the weight of the linear layer, and return it."""
        with torch.no_grad():
            weight_OI = self.base.weight.float() + self.scale * self.up_OR @ self.down_RI
            self.base.weight.copy_(weight_OI)
        return self.base


def add_lora(model: nn.Module, config: LoraConfig) -> dict[str, LoraLinear]:
    """Replace the linear layers of the language model named in `config.targets`; return them by name.

    Raises ValueError, with the names there are, if none is so named.
    """
    generator = torch.Generator().manual_seed(config.seed)
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not any(part in name.lower() for part in _VISION)
    }
    added: dict[str, LoraLinear] = {}
    for name, module in linear.items():
        if name.rpartition(".")[2] in config.targets:
            layer = LoraLinear(module, config.rank, config.alpha / config.rank, generator)
            _replace(model, name, layer)
            added[name] = layer
    if not added:
        found = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
        raise ValueError(f"targets: no linear layer of the language model is named so; there are {found}")
    return added


def merge_lora(model: nn.Module, layers: Mapping[str, LoraLinear]) -> None:
    """Put the linear layers back, with what was trained added to their weights."""
    for name, layer in layers.items():
        _replace(model, name, layer.merged())


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def target_inputs(captioner: TransformersCaptioner, target: CaptionTarget) -> tuple[dict[str, Any], Tensor]:
    """Return the inputs of a model for a prompt and its answer, and labels_BL of the answer alone."""
    request, device = target.request, captioner.model.device
    shown = captioner.sample_indices(request)
    inputs = to_device(
        captioner.inputs.build([request], [shown], captioner.config.fps), device, captioner.model.dtype
    )
    ids_BL = inputs["input_ids"]
    answer = torch.tensor([_answer_ids(captioner, target.text)], device=device)
    labels_BL = torch.cat([torch.full_like(ids_BL, IGNORED), answer], 1)
    inputs["input_ids"] = torch.cat([ids_BL, answer], 1)
    for name in TEXT_INPUTS:
        if name in inputs:
            last_BL = inputs[name][:, -1:]
            inputs[name] = torch.cat([inputs[name], last_BL.expand(-1, answer.shape[1])], 1)
    return inputs, labels_BL


def _answer_ids(captioner: TransformersCaptioner, text: str) -> list[int]:
    """Return the tokens of an answer, with the one that ends it."""
    tokenizer = captioner.processor.tokenizer
    ends = end_tokens(captioner.model, tokenizer).tolist()
    written = captioner.inputs.format_answer(text)
    ids = tokenizer(written, add_special_tokens=False)["input_ids"]
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    if end is not None:
        return ids[: end + 1]
    return tokenizer(text, add_special_tokens=False)["input_ids"] + ends[:1]


def tune(
    config: LoraConfig,
    sample: Callable[[int], Sequence[CaptionTarget]],
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Path:
    """Train adapters for `config.steps` steps, merge them, and export the model; return its folder.

    A run that was stopped goes on from the newest state in `config.out`.

    Args:
        sample: returns the `config.batch_size` examples of a step.
        report: called after each step with the mean loss of a token of its answers.

    Raises ValueError for a model that is refused as a captioner, an encoder-decoder, and a run of other
    settings in `config.out`.
    """
    torch.manual_seed(config.seed)
    captioner = TransformersCaptioner(config.vlm)
    model = captioner.model
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(
            f"vlm.model: {config.vlm.model} (type {model.config.model_type}) reads and answers in two "
            "models; adapters are trained on models that answer after their prompt"
        )
    layers = add_lora(model, config)
    weights = [weight for layer in layers.values() for weight in (layer.down_RI, layer.up_OR)]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    first = load_state(out / STATE, _settings(config), weights, optimizer)
    for step in range(first, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * cosine_scale(step, warmup_steps=config.warmup_steps, steps=config.steps)
        loss = _step(captioner, sample(step), optimizer, weights, config)
        report(step, loss)
        if (step + 1) % config.save_every_n_steps == 0 or step + 1 == config.steps:
            save_state(out / STATE, step + 1, _settings(config), weights, optimizer)
    merge_lora(model, layers)
    folder = out / EXPORT
    model.save_pretrained(folder)
    captioner.processor.save_pretrained(folder)
    return folder


def _step(
    captioner: TransformersCaptioner,
    examples: Sequence[CaptionTarget],
    optimizer: torch.optim.Optimizer,
    weights: Sequence[nn.Parameter],
    config: LoraConfig,
) -> float:
    """Take one step on the mean over the answer tokens of all examples; return that mean."""
    made = [target_inputs(captioner, each) for each in examples]
    total = sum(int((labels_BL != IGNORED).sum()) for _, labels_BL in made)
    optimizer.zero_grad()
    loss = 0.0
    for inputs, labels_BL in made:
        logits_BLV = captioner.model(**inputs, use_cache=False).logits[:, -labels_BL.shape[1] :]
        own = nn.functional.cross_entropy(
            logits_BLV[0, :-1].float(), labels_BL[0, 1:], ignore_index=IGNORED, reduction="sum"
        )
        (own / total).backward()
        loss += own.item() / total
    nn.utils.clip_grad_norm_(weights, config.clip_norm)
    optimizer.step()
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}; lower lr, or set vlm.dtype to float32")
    return loss


def _settings(config: LoraConfig) -> str:
    return json.dumps(
        {name: value for name, value in asdict(config).items() if name != "out"}, sort_keys=True
    )
