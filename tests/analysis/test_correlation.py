from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lilliput.analysis import analyse_correlation, partial_correlation, read_table
from lilliput.analysis.coefficients import kendall, pearson, reliability, spearman
from lilliput.core.errors import InputError


def test_rank_correlations_of_the_42_runs(paper):
    # Derived from the authors' runs: test loss against parameters, FLOPs, non-embedding parameters.
    for column, expected in (
        ("num_parameters", -0.853),
        ("sequence_flops_reference", -0.887),
        ("num_parameters_non_embedding", -0.847),
    ):
        found = analyse_correlation(paper, x="test_loss_reference", y=column, resamples=10)
        assert found.spearman.value == pytest.approx(expected, abs=6e-4)
        assert found.spearman.n == 42
    logged = ("test_loss_reference", "num_parameters")
    found = analyse_correlation(
        paper, x="test_loss_reference", y="num_parameters", log=logged, resamples=10
    )
    assert found.pearson.value == pytest.approx(-0.878, abs=6e-4)


pairs = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=30)


@given(pairs)
def test_coefficients_agree_with_scipy(values):
    x, y = np.array(values, float).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(pearson(x, y))
        return
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


def test_many_points_take_the_same_coefficient_by_another_route():
    x, y = np.random.default_rng(0).integers(0, 40, (2, 200)).astype(float)
    signs = [np.sign(np.subtract.outer(v, v)) for v in (x, y)]
    ties = [np.sum(sign**2) for sign in signs]
    expected = np.sum(signs[0] * signs[1]) / np.sqrt(ties[0] * ties[1])
    assert kendall(x, y) == pytest.approx(expected, abs=1e-12)


def test_partial_correlation_with_one_given_is_the_textbook_formula():
    rng = np.random.default_rng(1)
    z = rng.normal(size=200)
    x, y = z + rng.normal(size=200), z + rng.normal(size=200)
    r = np.corrcoef([x, y, z])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert partial_correlation(x, y, z[:, None]) == pytest.approx(expected, abs=1e-12)


def table_of(csv_file, x, y, run, **more):
    columns = {"run": run, "x": x, "y": y} | more
    return read_table(csv_file({name: list(values) for name, values in columns.items()}))


def test_a_common_cause_is_seen_through(csv_file):
    rng = np.random.default_rng(2)
    z = rng.normal(size=150)
    x, y = z + 0.3 * rng.normal(size=150), z + 0.3 * rng.normal(size=150)
    table = table_of(csv_file, x, y, range(150), z=z)
    found = analyse_correlation(table, x="x", y="y", given=("z",), resamples=300)
    assert found.pearson.low > 0.8
    assert found.partial["pearson"].low < 0 < found.partial["pearson"].high
    assert any("cannot separate" in w for w in found.warnings)


def test_points_of_one_run_are_not_counted_as_independent(csv_file):
    rng = np.random.default_rng(3)
    x0, y0 = rng.normal(size=12), rng.normal(size=12)
    x, y = np.repeat(x0, 20), np.repeat(y0, 20)
    clustered = analyse_correlation(
        table_of(csv_file, x, y, np.repeat(range(12), 20)),
        x="x",
        y="y",
        points="all",
        resamples=500,
    )
    naive = analyse_correlation(
        table_of(csv_file, x, y, range(240)), x="x", y="y", points="all", resamples=500
    )
    width = lambda c: c.high - c.low  # noqa: E731
    assert width(clustered.pearson) > 3 * width(naive.pearson)


def test_task_noise_hides_part_of_a_correlation(csv_file):
    rng = np.random.default_rng(4)
    x = rng.normal(size=1000)
    noisy = x + rng.normal(size=1000)
    found = analyse_correlation(
        table_of(csv_file, x, noisy, range(1000)), x="x", y="y", noise_sd=1.0, resamples=5
    )
    assert found.pearson.value == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert found.disattenuated.value == pytest.approx(1.0, abs=0.07)
    assert np.isnan(reliability(x, 10.0))


def test_bad_input_is_named(csv_file, paper):
    flat = table_of(csv_file, [1, 2, 3], [7, 7, 7], "abc")
    with pytest.raises(InputError, match="7 everywhere"):
        analyse_correlation(flat, x="x", y="y")
    with pytest.raises(InputError, match="got 2"):
        analyse_correlation(table_of(csv_file, [1, 2], [2, 1], "ab"), x="x", y="y")
    with pytest.raises(InputError, match="score_cola"):
        analyse_correlation(paper, y="score_cola")
    with pytest.raises(InputError, match="-1"):
        analyse_correlation(
            table_of(csv_file, [-1, 2, 3], [2, 1, 5], "abc"), x="x", y="y", log=("x",)
        )


def curves_csv(csv_file):
    """Six runs of four measurements each; only the last of a run says what it came to."""
    rng = np.random.default_rng(5)
    sizes = np.repeat(np.geomspace(1e6, 1e7, 6), 4)
    done = np.tile([0.25, 0.5, 0.75, 1.0], 6)
    loss = 9 * (sizes * done) ** -0.1 * np.exp(0.02 * rng.normal(size=24))
    columns = {"run": np.repeat(range(6), 4), "flops_x": sizes * done * 1e9}
    columns |= {"num_parameters": sizes.round(), "loss": loss}
    return csv_file({name: list(values) for name, values in columns.items()})


def test_the_last_row_of_a_run_is_told_without_a_mark(csv_file):
    table = read_table(curves_csv(csv_file))
    assert analyse_correlation(table, resamples=5).pearson.n == 6
    assert analyse_correlation(table, points="all", resamples=5).pearson.n == 24
    order = np.random.default_rng(0).permutation(24)
    assert analyse_correlation(table.select(order), resamples=5).pearson.n == 6


def test_every_row_counts_where_nothing_tells_the_last(csv_file):
    found = analyse_correlation(
        table_of(csv_file, [1, 2, 3, 5], [4, 3, 2, 2], "aabb"), x="x", y="y", resamples=5
    )
    assert found.pearson.n == 4
    assert any("how far along" in w for w in found.warnings)


def test_columns_must_differ_and_be_used(csv_file):
    table = read_table(curves_csv(csv_file))
    with pytest.raises(InputError, match="num_parameters twice"):
        analyse_correlation(table, given=("num_parameters",))
    with pytest.raises(InputError, match="los"):
        analyse_correlation(table, log=("los",))
    with pytest.raises(InputError, match="-1"):
        analyse_correlation(table, noise_sd=-1.0)


def test_nothing_left_to_correlate_is_said(csv_file):
    x = [1.0, 2, 4, 7, 11, 16]
    table = table_of(csv_file, x, [3, 1, 4, 1, 5, 9], "abcdef", z=[2 * v for v in x])
    found = analyse_correlation(table, x="x", y="y", given=("z",), resamples=20)
    assert np.isnan(found.partial["pearson"].value)
    assert any("nothing is left" in w for w in found.warnings)


@pytest.mark.parametrize(("runs", "is_told"), [(3, False), (4, False), (5, True)])
def test_no_interval_where_even_a_perfect_order_is_chance(csv_file, runs, is_told):
    """Two of the n! orders of n runs are perfect: 0.083 of them at four, 0.017 at five."""
    columns = {
        "run": [f"r{i}" for i in range(runs)],
        "loss": [3 - 0.1 * i for i in range(runs)],
        "score_sst2": [0.5 + 0.01 * i for i in range(runs)],
    }
    table = read_table(csv_file(columns))
    found = analyse_correlation(table, resamples=200)
    assert found.spearman.value == pytest.approx(-1)
    assert (found.spearman.low is not None) == is_told
    assert any("even a perfect order arises by chance" in w for w in found.warnings) != is_told
