"""Many runs of one shape as one stacked computation in one process.

Runs that differ in seed, learning rate or other settings that leave the arithmetic's shape alone share
their matrix products: weights carry a leading axis of members. Each member keeps the folder, the curve,
the checkpoints and the failure it would have alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lilliput.core.extras import require
from lilliput.training.fleet.grouping import fleet_key, group_fleets

if TYPE_CHECKING:
    from lilliput.training.fleet.run import FleetMember, train_fleet

__all__ = ["FleetMember", "fleet_key", "group_fleets", "train_fleet"]


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is first asked for."""
    if name not in {"FleetMember", "train_fleet"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("torch", "train")
    return getattr(import_module(f"{__name__}.run"), name)
