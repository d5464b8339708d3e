"""Two sets of runs with a known difference: it is found, covered, and said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lilliput.analysis import FitOptions, Table, analyse_comparison, split_table, write_table
from lilliput.cli._frame import build_app
from lilliput.core.errors import InputError


def runs_of(
    scale: float,
    *,
    exponent: float = 0.1,
    shared: float = 0.0,
    own: float = 0.0,
    seed: int = 0,
    shapes: int = 12,
    with_sizes: bool = True,
) -> Table:
    """Finished runs of `shapes` costs on L = scale C^-exponent; `shared` is noise that both sides have."""
    cost = np.geomspace(1e14, 1e17, shapes)
    common = np.random.default_rng(99).normal(0, 1, shapes)
    mine = np.random.default_rng(seed).normal(0, 1, shapes)
    columns = {
        "run": np.array([f"run {i}" for i in range(shapes)]),
        "flops_reference": cost,
        "loss": scale * cost**-exponent * np.exp(shared * common + own * mine),
        "is_final": np.ones(shapes, dtype=bool),
    }
    if with_sizes:
        columns["num_parameters"] = np.round(np.sqrt(cost))
    return Table("runs.csv", columns, np.arange(shapes))


FINAL = FitOptions(points="final", resamples=200)


def test_exact_laws_give_the_exact_ratio() -> None:
    found = analyse_comparison(runs_of(40), runs_of(38), options=FINAL)
    ratio = (38 / 40) ** 10
    assert found.law == "power"
    for there in found.at_costs:
        assert there.compute_ratio.value == pytest.approx(ratio, rel=1e-9)
        assert there.loss_b / there.loss_a == pytest.approx(38 / 40)
        assert there.loss_difference.value == pytest.approx(there.loss_b - there.loss_a)
    assert found.exponent_difference is not None
    assert found.exponent_difference.value == pytest.approx(0, abs=1e-12)
    assert "B needs 0.60x the compute of A" in found.sentence


def test_the_ratio_where_exponents_differ_is_that_of_the_two_curves() -> None:
    found = analyse_comparison(runs_of(40), runs_of(60, exponent=0.11), at=1e18, options=FINAL)
    there = found.at_most_cost
    expected = (60 / there.loss_a) ** (1 / 0.11) / 1e18
    assert there.compute_ratio.value == pytest.approx(expected, rel=1e-6)
    assert found.exponent_difference is not None
    assert found.exponent_difference.value == pytest.approx(0.01)
    assert any("extrapolated" in warning for warning in found.warnings)


def test_shared_noise_cancels_between_matched_runs_only() -> None:
    noisy = [runs_of(scale, shared=0.05, own=0.002, seed=int(scale)) for scale in (40, 38)]
    paired = analyse_comparison(*noisy, options=FINAL)
    apart = analyse_comparison(
        *(runs_of(s, shared=0.05, own=0.002, seed=int(s), with_sizes=False) for s in (40, 38)),
        options=FINAL,
    )
    widths = []
    for found in (paired, apart):
        ratio = found.at_costs[1].compute_ratio
        assert ratio.low is not None
        assert ratio.high is not None
        assert ratio.low < (38 / 40) ** 10 < ratio.high
        widths.append(ratio.high - ratio.low)
    assert paired.facts["n_pairs"] == 12
    assert apart.facts["n_pairs"] == 0
    assert widths[0] < widths[1] / 5
    assert paired.finals is not None
    assert paired.finals.rule == "paired-t"
    assert paired.finals.accepted
    assert apart.finals is None  # Runs of other costs cannot be compared without their partners.


def test_a_loss_out_of_reach_is_said() -> None:
    floor = runs_of(2, exponent=0.0001)
    found = analyse_comparison(
        runs_of(40), floor, options=FitOptions(law="power", points="final", resamples=0)
    )
    assert np.isnan(found.at_most_cost.compute_ratio.value)
    assert "does not reach" in found.sentence
    assert found.as_record()["compute_ratio"]["value"] is None


def test_costs_that_do_not_overlap_are_refused_unless_a_cost_is_named() -> None:
    dear = runs_of(38)
    dear = dear.with_columns({"flops_reference": dear.number("flops_reference") * 1e4})
    with pytest.raises(InputError, match="must overlap"):
        analyse_comparison(runs_of(40), dear, options=FINAL)
    assert analyse_comparison(runs_of(40), dear, at=1e18, options=FINAL).at_costs


def test_a_table_without_a_common_cost_column_is_refused() -> None:
    other = runs_of(38)
    columns = {name: values for name, values in other.columns.items() if name != "flops_reference"}
    other = Table(
        "b.csv", {**columns, "flops_hoffmann": other.number("flops_reference")}, other.lines
    )
    with pytest.raises(InputError, match="share a column of FLOPs"):
        analyse_comparison(runs_of(40), other, options=FINAL)


def test_two_values_of_a_column() -> None:
    table = runs_of(40).with_columns({"profile": np.array(["old", "new"] * 6)})
    (first, a), (second, b) = split_table(table, "profile")
    assert (first, second, len(a), len(b)) == ("old", "new", 6, 6)
    with pytest.raises(InputError, match="two values"):
        split_table(table, "profile", ("old", "newer"))


@pytest.mark.slow
def test_intervals_hold_the_truth() -> None:
    truth, held, sets = (38 / 40) ** 10, 0, 100
    for number in range(sets):
        a, b = (runs_of(s, shared=0.02, own=0.005, seed=7 * number + int(s)) for s in (40, 38))
        ratio = analyse_comparison(
            a, b, options=FitOptions(law="power", points="final", seed=number)
        )
        found = ratio.at_costs[1].compute_ratio
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 90 <= held <= 99


def test_the_command_says_and_writes_it(tmp_path: Path) -> None:
    paths = [tmp_path / "old.csv", tmp_path / "new.csv"]
    for path, scale in zip(paths, (40, 38), strict=True):
        write_table(runs_of(scale), path)
    words = ["analyse", "compare", *map(str, paths), "--points", "final", "--resamples", "50"]
    said = CliRunner().invoke(build_app(), words)
    assert said.exit_code == 0, said.output
    assert "new needs 0.60x the compute of old" in said.stdout
    record = json.loads(CliRunner().invoke(build_app(), [*words, "--json"]).stdout)
    assert record["compute_ratio"]["value"] == pytest.approx((38 / 40) ** 10)
    assert {
        "exponent_difference",
        "loss_difference",
        "at_costs",
        "finals",
        "sentence",
    } <= record.keys()
    alone = CliRunner().invoke(build_app(), ["analyse", "compare", str(paths[0]), "--json"])
    assert alone.exit_code != 0
