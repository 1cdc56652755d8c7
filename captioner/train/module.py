"""The LightningModule: next-token loss of a Qwen2-VL, and how it is optimized.

A visual token must also tell, by a linear layer that is thrown away after training, what is to be seen in its
part of the frame. Without that a model this small takes ten times as long to find out what its words are about.
"""

import math
from functools import partial

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F
from transformers import Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.modeling_qwen2_vl import VisionAttention, apply_rotary_pos_emb_vision

from captioner.train.config import TrainConfig
from captioner.train.data import IGNORED
from captioner.train.optimizer import MuonAdamW, is_hidden


class FlatPatches(nn.Conv3d):
    """A convolution whose kernel is its whole input, as one matrix product: the same weights, 7x faster backward."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.linear(input.flatten(1), self.weight.flatten(1)).view(-1, self.out_channels, 1, 1, 1)


class EqualClipsAttention(VisionAttention):
    """Attention inside each clip of a batch of equal grids, all clips at once: the same weights and result.

    Shapes: N patches of all clips, B clips, P patches a clip, H heads, D width of a head.
    """

    def forward(self, hidden_states, cu_seqlens, position_embeddings=None, max_seqlen=None, **kwargs):
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
        model.set_attn_implementation(
            "eager"
        )  # in bf16 on a CPU plain products beat the fused kernel's backward
        visual = model.model.visual
        visual.patch_embed.proj.__class__ = FlatPatches
        for block in visual.blocks:
            block.attn.__class__ = EqualClipsAttention
        self._seen_ND: torch.Tensor | None = None
        visual.merger.register_forward_hook(self._keep_seen)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        look_NA = batch.pop("look_NA")
        if self.global_step < self.config.look_steps:
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
        """Weighted sum over the attributes of the cross-entropy of what the visual tokens of the last forward tell."""
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

    def configure_optimizers(self):
        named = dict(self.named_parameters())
        hidden = [p for name, p in named.items() if is_hidden(name, p)]
        rest = [p for name, p in named.items() if not is_hidden(name, p)]
        optimizer = MuonAdamW(
            hidden,
            rest,
            hidden_rate=self.config.learning_rate,
            rest_rate=self.config.learning_rate / 3,
            weight_decay=self.config.weight_decay,
        )
        schedule = partial(rate_at, config=self.config)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def rate_at(step: int, config: TrainConfig) -> float:
    """Return the share of the peak learning rate at `step`: up in a line, level, then lower and down in a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if step < config.rough_steps:
        return 1.0
    done = (step - config.rough_steps) / max(1, config.steps - config.rough_steps)
    return config.fine_rate * (0.5 + 0.5 * math.cos(math.pi * min(1.0, done)))
