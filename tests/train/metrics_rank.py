"""One rank of the test of `trainer.metrics`: takes its rank, the world size, and the file to meet in."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed as dist

from trainer.metrics import MeanOverRanks, SumOverRanks

VALUES = {"val/psnr_db": [[31.0, 29.5, 40.25], [12.0], [7.5, 8.25], []], "val/rare": [[3.0], [], [], []]}
"""What each of up to four batches adds, by name."""


def main(rank: int, world_size: int, file: str) -> None:
    dist.init_process_group(
        "gloo",
        init_method=f"file://{file}",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=60),
    )
    means, sums = MeanOverRanks([*VALUES, "val/none"]), SumOverRanks()
    found = []
    for _ in range(2):  # starts anew after each reduction
        for name, batches in VALUES.items():
            for batch in batches[rank::world_size]:
                means.add(name, torch.tensor(batch))
                sums.add({name: torch.tensor(batch).sum()})
        sums.add(dict.fromkeys(VALUES, torch.zeros(())))
        found.append({name: float(mean) for name, mean in means.reduce(torch.device("cpu")).items()})
        found.append({name: float(total) for name, total in sums.reduce().items()})
    Path(f"{file}.{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
