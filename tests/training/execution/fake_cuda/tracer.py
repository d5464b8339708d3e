"""A record of torch operations that says which of them would make a GPU wait, or meet tensors of two devices."""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Their result, or its shape, depends on numbers on the device: the host must wait for them.
_WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2",
    "unique_dim", "unique_consecutive", "bincount", "histc", "nonzero_numpy", "argwhere",
}  # fmt: skip
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
_COPYING = {"_to_copy", "copy_", "copy"}


class Tracer(TorchDispatchMode):
    """Record each operation; `faults` holds a line for each that no captured graph may contain."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        self.operations[name] += 1
        given = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, torch.Tensor)]
        if name in _WAITING or _has_counted_repeats(name, args, kwargs or {}):
            self._fault(f"{name} waits for the device")
        if name in _INDEXING and any(
            isinstance(x, torch.Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        ):
            self._fault(f"{name} by a boolean mask waits for the device")
        try:
            out = func(*args, **(kwargs or {}))
        except RuntimeError as error:
            self._fault(f"{name} failed: {str(error).splitlines()[0]}")
            raise
        made = [x for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self._look_at_devices(name, given, made)
        return out

    def _look_at_devices(self, name: str, given: list[Any], made: list[Any]) -> None:
        # A single number on the host is an argument of the kernel, but for a copy.
        single = name not in _COPYING
        host = [x for x in given + made if x.device.type == "cpu" and (x.dim() or not single)]
        if host and any(x.device.type == "cuda" for x in given + made):
            self._fault(f"{name} joins host and device")
        elif host and name != "device":
            self._fault(f"{name} computes on the host")

    def _fault(self, what: str) -> None:
        frames = [f for f in traceback.extract_stack() if "lilliput" in f.filename]
        where = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
        self.faults.append(f"{what} at {where}")


def _has_counted_repeats(name: str, args: Any, kwargs: Any) -> bool:
    """Return whether elements are repeated by numbers on the device, without a stated size of the result."""
    return name == "repeat_interleave" and kwargs.get("output_size") is None and len(args) == 1
