"""A break of a frontier where runs leave a plateau is not left without a word on them."""

from __future__ import annotations

import numpy as np

from lilliput.analysis import FitOptions, Table, analyse_fit, measurements_of
from lilliput.analysis.inference.warnings import plateau_exits


def curves(runs: int = 12, *, exits: bool = True, seed: int = 0) -> Table:
    """Curves of 25 points; with `exits`, each stays on a plateau of 6.5 nats until a cost of its own."""
    rng = np.random.default_rng(seed)
    names: list[str] = []
    cost: list[float] = []
    loss: list[float] = []
    for i in range(runs):
        x = np.geomspace(1e14 * 1.4**i, 1e16 * 1.4**i, 25)
        law = 100 * x**-0.1
        if exits:
            left = x[0] * 10 ** rng.uniform(0.6, 1.2)
            plateau = 6.5 * (x / x[0]) ** -0.01
            law = np.where(x < left, plateau, plateau * (x / left) ** -0.8)
            law = np.maximum(law, 60 * x**-0.1)
        names += [f"r{i}"] * 25
        cost += x.tolist()
        loss += (law * np.exp(rng.normal(0, 0.001, 25))).tolist()
    columns = {"run": np.array(names), "flops_x": np.array(cost), "loss": np.array(loss)}
    return Table("curves.csv", columns, np.arange(len(cost)))


def test_exits_are_found_where_they_are() -> None:
    exits, long_runs = plateau_exits(measurements_of(curves()))
    assert long_runs == 12
    assert len(exits) >= 8
    assert plateau_exits(measurements_of(curves(exits=False))) == ([], 12)


def test_a_claimed_break_comes_with_the_exits_and_the_verdict_of_finished_runs() -> None:
    found = analyse_fit(curves(), options=FitOptions(law="segmented", breaks=1, resamples=0))
    said = [warning for warning in found.warnings if "leave a plateau" in warning]
    assert len(said) == 1
    assert "with --points final there is" in said[0]
    smooth = analyse_fit(
        curves(exits=False), options=FitOptions(law="segmented", breaks=1, resamples=0)
    )
    assert not any("leave a plateau" in warning for warning in smooth.warnings)
