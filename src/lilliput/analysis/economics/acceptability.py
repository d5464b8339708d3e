"""Decide under uncertainty: net monetary benefit, the likely best strategy, and the value of certainty.

Example: two strategies cost 10 and 20; in two draws their effects are (1, 3) and (1, 1), and a unit of effect is
worth 8. The net benefits 8 x effect - cost are (-2, 4) and (-2, -12). Each strategy wins one draw, so both have an
acceptability of 0.5. Their means are -2 and -4: the first is optimal. Knowing the draw beforehand would give
(4 - 2) / 2 = 1, which is 3 more than -2: the expected value of perfect information is 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError


@dataclass(frozen=True)
class Acceptability:
    """Hold the uncertainty of the decision at each price of one unit of effect.

    Attributes:
        names: Strategies.
        willingness: Prices, in units of cost per unit of effect, shape (prices,).
        mean_net_benefit: Mean over the draws of price x effect - cost, shape (prices, strategies).
        ceac: Share of draws in which each strategy has the highest net benefit, same shape.
        optimal: Index of the strategy with the highest mean net benefit, shape (prices,).
        ceaf: Its share of the draws, shape (prices,).
        evpi: Expected value of perfect information in units of cost, shape (prices,).
    """

    names: tuple[str, ...]
    willingness: FloatArray
    mean_net_benefit: FloatArray
    ceac: FloatArray
    optimal: NDArray[np.intp]
    ceaf: FloatArray
    evpi: FloatArray

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON: one record for each price."""
        return {
            "names": list(self.names),
            "prices": [
                {
                    "willingness": float(self.willingness[i]),
                    "optimal": self.names[int(self.optimal[i])],
                    "ceaf": float(self.ceaf[i]),
                    "evpi": float(self.evpi[i]),
                    "ceac": self.ceac[i].tolist(),
                    "mean_net_benefit": self.mean_net_benefit[i].tolist(),
                }
                for i in range(self.willingness.size)
            ],
        }


def net_benefit(cost: FloatArray, effect: FloatArray, willingness: FloatArray) -> FloatArray:
    """Return price x effect - cost for every price: (..., strategies) to (prices, ..., strategies)."""
    prices = np.asarray(willingness, dtype=np.float64)
    return prices.reshape(-1, *[1] * np.ndim(effect)) * effect - cost


def acceptability(
    names: list[str], costs: FloatArray, effects: FloatArray, willingness: FloatArray
) -> Acceptability:
    """Return the acceptability curve, its frontier, and the value of perfect information.

    Args:
        names: Strategies.
        costs: Draws of each strategy's cost, shape (draws, strategies).
        effects: Draws of each strategy's effect, higher is better, same shape.
        willingness: Prices of one unit of effect, shape (prices,).

    Raises:
        InputError: The shapes do not fit.
    """
    if costs.shape != effects.shape or costs.ndim != 2 or costs.shape[1] != len(names):
        raise InputError(
            "costs and effects must have one column for each strategy",
            got=f"shapes {costs.shape} and {effects.shape} for {len(names)} strategies",
        )
    benefit = net_benefit(costs, effects, willingness)
    winners = np.argmax(benefit, axis=2)
    ceac = np.stack([np.mean(winners == i, axis=1) for i in range(len(names))], axis=1)
    mean = benefit.mean(axis=1)
    optimal = np.argmax(mean, axis=1)
    rows = np.arange(optimal.size)
    return Acceptability(
        names=tuple(names),
        willingness=np.asarray(willingness, dtype=np.float64),
        mean_net_benefit=mean,
        ceac=ceac,
        optimal=optimal,
        ceaf=ceac[rows, optimal],
        evpi=benefit.max(axis=2).mean(axis=1) - mean[rows, optimal],
    )
