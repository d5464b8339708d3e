"""Choose the columns of cost and loss, and refuse columns that cannot hold what their names say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

# Losses are nats and FLOPs are counted in billions and more, whatever the study.
_LOSS_CEILING, _FLOPS_FLOOR = 1e3, 1e3
_LEAST_LOGARITHM, _LARGEST_LOGARITHM = 5.0, 100.0


SIX_ND = "flops_6nd"
_FLOPS_PER_PARAMETER_TOKEN = 6.0


def is_six_nd(asked: str | None) -> bool:
    """Return whether `--flops 6ND` was asked for: the usual estimate of 6 FLOPs a parameter and token."""
    return asked is not None and asked.lower() in ("6nd", SIX_ND)


def with_six_nd(table: Table) -> Table:
    """Return the table with a column `flops_6nd` of 6 x parameters x tokens, unless it has one already.

    Raises:
        InputError: The table lacks `num_parameters` or `tokens_seen`.
    """
    if SIX_ND in table:
        return table
    work = table.number("num_parameters") * table.number("tokens_seen")
    return table.with_columns({SIX_ND: _FLOPS_PER_PARAMETER_TOKEN * work})


def choose_flops(table: Table, asked: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the cost column and warnings about the choice.

    Raises:
        InputError: The column that was asked for is missing, or there is none at all.
    """
    present = [name for name in table.flops_columns() if name != "flops"]
    if asked is not None:
        return _asked_for(table, asked, "flops_", "FLOPs", present), ()
    if not present:
        if "flops" in table:
            return "flops", ("Column flops does not say by which convention it was counted.",)
        has_sizes = "num_parameters" in table and "tokens_seen" in table
        instead = ", or take --flops 6ND (6 x parameters x tokens)" if has_sizes else ""
        raise InputError(
            f"{table.source} must have a column flops_<convention>",
            got=", ".join(table.columns),
            remedy=table.how_to_name("flops", "flop", "compute") + instead,
        )
    chosen = "flops_reference" if "flops_reference" in present else present[0]
    if len(present) == 1:
        return chosen, ()
    others = ", ".join(name for name in present if name != chosen)
    return chosen, (f"FLOPs are those of {chosen}; --flops chooses among {others} too.",)


def choose_loss(table: Table, asked: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the loss column and warnings about the choice.

    Raises:
        InputError: The column that was asked for is missing, or there is none at all.
    """
    if asked is not None:
        named = table.starting_with("loss")
        present = [name for name in named if table.columns[name].dtype != np.bool_]  # No flags.
        return _asked_for(table, asked, "loss_", "loss", present), ()
    if "loss" in table and not bool(np.isnan(table.number("loss")).all()):
        return "loss", ()
    if "loss_reference" in table:
        return "loss_reference", (
            "The table has loss_reference only: it is diluted by padding and is not nats per "
            "masked token.",
        )
    raise InputError(
        f"{table.source} must have a column loss",
        got=", ".join(table.columns),
        remedy=table.how_to_name("loss"),
    )


def _asked_for(table: Table, asked: str, prefix: str, what: str, present: Sequence[str]) -> str:
    """Return the column called `asked`, or the one called so with the prefix before it."""
    for name in (asked, prefix + asked):
        if name in table:
            return name
    raise InputError(
        f"{table.source} must have the {what} column that was asked for",
        got=asked,
        remedy=f"It has: {', '.join(present) or 'none'}.",
    )


def refuse_logarithms(x: FloatArray, flops: str) -> None:
    """Raise where a column of FLOPs can only hold their logarithms.

    Raises:
        InputError: All of it lies between 5 and 100; the smallest training costs far more.
    """
    low, high = float(x.min()), float(x.max())
    if flops.startswith("flops") and low > _LEAST_LOGARITHM and high < _LARGEST_LOGARITHM:
        raise InputError(
            f"{flops} must hold FLOPs; they look like logarithms",
            got=f"{low:.4g} to {high:.4g}",
            remedy=f"Name the column that holds logarithms: --column {flops}=log10:{flops}, or ln:{flops}.",
        )


def refuse_swapped(x: FloatArray, y: FloatArray, flops: str, loss: str) -> None:
    """Raise where losses are as large as FLOPs and FLOPs as small as losses.

    Raises:
        InputError: The two columns look swapped.
    """
    if float(np.median(y)) > _LOSS_CEILING and float(np.median(x)) < _FLOPS_FLOOR:
        raise InputError(
            f"{loss} must hold a loss and {flops} a number of FLOPs; they look swapped",
            got=f"median {loss} {np.median(y):.3g} and median {flops} {np.median(x):.3g}",
            remedy="Exchange the two columns.",
        )
