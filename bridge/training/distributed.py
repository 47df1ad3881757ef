"""Several processes that share each mini-batch, started by torchrun. Without it there is one, and nothing here does
anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bridge.data.sources import ALL


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that torchrun started: tensors on GPUs go through nccl, others through gloo."""
    if not _launched() or dist.is_initialized():
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _launched() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """Return the number of this process; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ["RANK"]) if _launched() else 0


def local_rank() -> int:
    """Return the number of this process on its machine: that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def count() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def part() -> slice:
    """Return which observations of a mini-batch belong to this process."""
    return slice(rank(), None, count()) if count() > 1 else ALL


def sums(values: list[float], device: torch.device) -> list[float]:
    """Return sums over the processes."""
    if count() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return tensor.tolist()


def agreed(values: list[float], device: torch.device) -> list[float]:
    """Return the values of process 0, so that all take the same decisions."""
    if count() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(tensor, 0)
    return tensor.tolist()


def gathered(state: Tensor, device: torch.device) -> Tensor:
    """Return the state of every process, one a row."""
    if count() == 1:
        return state[None]
    here = state.to(device)
    states = [torch.empty_like(here) for _ in range(count())]
    dist.all_gather(states, here)
    return torch.stack(states).cpu()


class _Shared(nn.Module):
    """A module, and a parameter that it does not use: DistributedDataParallel warns of a search that finds none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.unused = nn.Parameter(torch.zeros(1, device=next(model.parameters()).device))

    def forward(self, *inputs: Tensor) -> object:
        return self.model(*inputs)


def share_gradients(model: nn.Module) -> nn.Module:
    """Let the backward pass of a module average its gradients over the processes, always in the same groups.

    DistributedDataParallel groups them anew after the first iteration unless it looks for parameters that are not used;
    a training that goes on would then add up in another order in its first iteration, and not end in the same bits.
    """
    if count() == 1:
        return model
    return nn.parallel.DistributedDataParallel(_Shared(model), find_unused_parameters=True)
