#!/usr/bin/env bash
# Lightning 2.6.6, two processes, self.log(..., on_epoch=True, sync_dist=True): the weighted sum and the number of samples
# are each averaged over the ranks, the number as an integer, rounded down. Where the ranks have unequal numbers, the
# epoch's value is too large: with 3 samples on one and 2 on the other, 2.5 samples become 2.
# Seen: the constant 1.0, logged with batch_size 3 and 2, has the mean 1.25; with batch_size 3 and 3 it has 1.0.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check lightning==2.6.6 torch==2.14.1
cat > run.py <<'PY'
import logging
import warnings

import lightning as L
import torch

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def validation_step(self, batch, index):
        one = torch.tensor(1.0)
        for name, sizes in (("unequal", (3, 2)), ("equal", (3, 3))):
            self.log(name, one, on_epoch=True, sync_dist=True, batch_size=sizes[self.global_rank])


def main():
    trainer = L.Trainer(
        accelerator="cpu", devices=2, strategy="ddp_spawn", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    data = torch.utils.data.DataLoader(torch.zeros(2, 1), batch_size=1)
    (metrics,) = trainer.validate(Module(), data, verbose=False)
    same = metrics == {"unequal": 1.25, "equal": 1.0}
    print(f"{'as found' if same else 'changed'}: mean of the constant 1.0 over two ranks: {metrics}")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
PY
OMP_NUM_THREADS=1 venv/bin/python run.py 2>/dev/null | grep -E '^(as found|changed)'
