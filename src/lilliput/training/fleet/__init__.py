"""Many runs of one shape as one stacked computation in one process.

Runs that differ in seed, learning rate or other settings that leave the arithmetic's shape alone share
their matrix products: weights carry a leading axis of members. Each member keeps the folder, the curve,
the checkpoints and the failure it would have alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes
from lilliput.training.fleet.grouping import fleet_key

if TYPE_CHECKING:
    from lilliput.training.fleet.run import FleetMember, train_fleet

__all__ = ["FleetMember", "fleet_key", "train_fleet"]

__getattr__ = lazy_attributes(__name__, {}, with_torch={"FleetMember": "run", "train_fleet": "run"})
