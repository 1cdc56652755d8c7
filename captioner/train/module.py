"""LightningModule of the captioner: next-token loss of a Qwen2-VL, and an auxiliary loss of its vision tower.

The auxiliary loss classifies what each visual token's cell of the frame shows, with a linear head that is
discarded after training.
"""

from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.nn import functional as F
from transformers import Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.modeling_qwen2_vl import VisionAttention, apply_rotary_pos_emb_vision

from captioner.train.config import TrainConfig
from captioner.train.data import IGNORED
from captioner.train.optimizer import JoinOptimizers, MakeSchedule, build_optimizers


class FlatPatches(nn.Conv3d):
    """Conv3d whose kernel covers its whole input, computed as one matrix product with the same weights."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.linear(input.flatten(1), self.weight.flatten(1)).view(-1, self.out_channels, 1, 1, 1)


class EqualClipsAttention(VisionAttention):
    """Attention within each clip, batched over clips of equal patch grids; numerically equal to the original.

    Shapes: N patches of all clips, B clips, P patches per clip, H heads, D head dimension.
    """

    def forward(
        self,
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        max_seqlen: int | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        if position_embeddings is None:
            raise ValueError("position_embeddings are required")
        clips = len(cu_seqlens) - 1
        qkv_N3HD = self.qkv(hidden_states).view(len(hidden_states), 3, self.num_heads, self.head_dim)
        q_NHD, k_NHD, v_NHD = qkv_N3HD.unbind(1)
        q_NHD, k_NHD = apply_rotary_pos_emb_vision(q_NHD, k_NHD, *position_embeddings)
        q_BHPD, k_BHPD, v_BHPD = (
            t.view(clips, -1, self.num_heads, self.head_dim).transpose(1, 2) for t in (q_NHD, k_NHD, v_NHD)
        )
        weights_BHPP = (q_BHPD @ k_BHPD.transpose(2, 3) * self.scaling).softmax(-1, dtype=torch.float32)
        values_BHPD = weights_BHPP.to(v_BHPD.dtype) @ v_BHPD
        return self.proj(values_BHPD.transpose(1, 2).reshape(len(hidden_states), -1))


class CaptionModule(L.LightningModule):
    """Trains `model`; logs `train_loss`, `train_cell_loss` and their validation counterparts, in nats."""

    def __init__(
        self,
        model: Qwen2VLForConditionalGeneration,
        config: TrainConfig,
        join_optimizers: JoinOptimizers,
        make_schedule: MakeSchedule,
    ) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.join_optimizers, self.make_schedule = join_optimizers, make_schedule
        self.cell_head = nn.Linear(config.model.text_width, sum(config.num_cell_classes))
        # in bf16 on a CPU plain products beat the fused kernel's backward
        model.set_attn_implementation("eager")
        visual = model.model.visual
        visual.patch_embed.proj.__class__ = FlatPatches
        for attention in (part for part in visual.modules() if isinstance(part, VisionAttention)):
            attention.__class__ = EqualClipsAttention
        self._visual_ND: torch.Tensor | None = None
        visual.merger.register_forward_hook(self._store_visual_tokens)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        cell_classes_NA = batch.pop("cell_classes_NA")
        if self.global_step < self.config.crop_steps + self.config.vision_steps:
            self.model.model.visual(batch["pixel_values_videos"], grid_thw=batch["video_grid_thw"])
            cell_loss = self.cell_loss(cell_classes_NA)
            self.log("train_cell_loss", cell_loss)
            return cell_loss
        loss = self.model(**batch, use_cache=False).loss
        cell_loss = self.cell_loss(cell_classes_NA)
        self.log_dict({"train_loss": loss, "train_cell_loss": cell_loss})
        return loss + cell_loss

    def validation_step(
        self, batch: dict[str, torch.Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        cell_classes_NA, clips = batch.pop("cell_classes_NA"), len(batch["input_ids"])
        kind = ("short", "dense")[dataloader_idx]
        loss = self.model(**batch, use_cache=False).loss
        losses = {f"val_{kind}": loss, f"val_cell_{kind}": self.cell_loss(cell_classes_NA)}
        self.log_dict(losses, batch_size=clips, add_dataloader_idx=False)

    def cell_loss(self, cell_classes_NA: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of the last visual tokens, weighted and summed over attributes."""
        assert self._visual_ND is not None
        scores = self.cell_head(self._visual_ND).float().split(list(self.config.num_cell_classes), dim=-1)
        losses = [
            F.cross_entropy(s, y, ignore_index=IGNORED) if bool((y != IGNORED).any()) else 0 * s.sum()
            for s, y in zip(scores, cell_classes_NA.unbind(1), strict=True)
        ]
        self.log_dict({f"cell_{k}": loss.detach() for k, loss in enumerate(losses)})
        return torch.stack(
            [w * loss for w, loss in zip(self.config.cell_loss_weights, losses, strict=True)]
        ).sum()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Accept checkpoints in which `cell_head` is named `looks`."""
        state = checkpoint["state_dict"]
        for name in [name for name in state if name.startswith("looks.")]:
            state[name.replace("looks", "cell_head", 1)] = state.pop(name)

    def _store_visual_tokens(self, module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        self._visual_ND = output

    def configure_optimizers(self) -> OptimizerLRScheduler:
        muon, adamw = build_optimizers(
            dict(self.named_parameters()),
            lr=self.config.lr,
            patch_embed_lr=self.config.patch_embed_lr,
            weight_decay=self.config.weight_decay,
        )
        optimizer = self.join_optimizers(muon, adamw)
        schedule = partial(lr_scale, config=self.config)
        scheduler = self.make_schedule(optimizer, schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def lr_scale(step: int, config: TrainConfig) -> float:
    """Return the learning rate at `step` relative to its peak: linear warm-up, then quadratic decay to 0."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    return max(0.0, 1 - step / config.steps) ** 2
