"""The LightningModule: next-token loss of a Qwen2-VL, and how it is optimized.

A visual token must also tell, by a linear layer that is thrown away after training, what is to be seen in its
part of the frame: so it learns to see before it learns to talk.
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
from captioner.train.optimizer import MuonAdamW


class FlatPatches(nn.Conv3d):
    """A convolution whose kernel is its whole input, as one matrix product: the same weights and result."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.linear(input.flatten(1), self.weight.flatten(1)).view(-1, self.out_channels, 1, 1, 1)


class EqualClipsAttention(VisionAttention):
    """Attention inside each clip of a batch of equal grids, all clips at once: the same weights and result.

    Shapes: N patches of all clips, B clips, P patches a clip, H heads, D width of a head.
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
            raise ValueError("this attention needs the rotary position embeddings of the vision tower")
        clips = len(cu_seqlens) - 1
        qkv_N3HD = self.qkv(hidden_states).view(len(hidden_states), 3, self.num_heads, self.head_dim)
        q_NHD, k_NHD, v_NHD = qkv_N3HD.unbind(1)
        q_NHD, k_NHD = apply_rotary_pos_emb_vision(q_NHD, k_NHD, *position_embeddings)
        q_BHPD, k_BHPD, v_BHPD = (
            t.view(clips, -1, self.num_heads, self.head_dim).transpose(1, 2) for t in (q_NHD, k_NHD, v_NHD)
        )
        weights_BHPP = (q_BHPD @ k_BHPD.transpose(2, 3) * self.scaling).softmax(-1, dtype=torch.float32)
        mixed_BHPD = weights_BHPP.to(v_BHPD.dtype) @ v_BHPD
        return self.proj(mixed_BHPD.transpose(1, 2).reshape(len(hidden_states), -1))


class CaptionModule(L.LightningModule):
    """Trains `model`; logs `train_loss`, `train_look` and their like in nats."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.looks = nn.Linear(config.model.text_width, sum(config.look_classes))
        # in bf16 on a CPU plain products beat the fused kernel's backward
        model.set_attn_implementation("eager")
        visual = model.model.visual
        visual.patch_embed.proj.__class__ = FlatPatches
        for attention in (part for part in visual.modules() if isinstance(part, VisionAttention)):
            attention.__class__ = EqualClipsAttention
        self._seen_ND: torch.Tensor | None = None
        visual.merger.register_forward_hook(self._keep_seen)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        look_NA = batch.pop("look_NA")
        if self.global_step < self.config.crop_steps + self.config.look_steps:
            self.model.model.visual(batch["pixel_values_videos"], grid_thw=batch["video_grid_thw"])
            look = self.look_loss(look_NA)
            self.log("train_look", look)
            return look
        told, look = self.model(**batch, use_cache=False).loss, self.look_loss(look_NA)
        self.log_dict({"train_loss": told, "train_look": look})
        return told + look

    def validation_step(
        self, batch: dict[str, torch.Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        look_NA, clips = batch.pop("look_NA"), len(batch["input_ids"])
        kind = ("short", "dense")[dataloader_idx]
        told = self.model(**batch, use_cache=False).loss
        found = {f"val_{kind}": told, f"val_look_{kind}": self.look_loss(look_NA)}
        self.log_dict(found, batch_size=clips, add_dataloader_idx=False)

    def look_loss(self, look_NA: torch.Tensor) -> torch.Tensor:
        """Weighted sum over the attributes of the cross-entropy of what the last visual tokens tell."""
        assert self._seen_ND is not None
        scores = self.looks(self._seen_ND).float().split(list(self.config.look_classes), dim=-1)
        losses = [
            F.cross_entropy(s, y, ignore_index=IGNORED).nan_to_num()
            for s, y in zip(scores, look_NA.unbind(1), strict=True)
        ]
        self.log_dict({f"look_{k}": loss.detach() for k, loss in enumerate(losses)})
        return torch.stack([w * loss for w, loss in zip(self.config.look_weights, losses, strict=True)]).sum()

    def _keep_seen(self, module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        self._seen_ND = output

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = MuonAdamW(
            dict(self.named_parameters()),
            rate=self.config.learning_rate,
            sight_rate=self.config.sight_rate,
            weight_decay=self.config.weight_decay,
        )
        schedule = partial(rate_at, config=self.config)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def rate_at(step: int, config: TrainConfig) -> float:
    """Return the share of the peak learning rate at `step`: up in a line, then down in a parabola."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    return max(0.0, 1 - step / config.steps) ** 2
