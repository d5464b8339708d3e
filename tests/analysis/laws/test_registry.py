"""A law from outside the package: registered, fitted, drawn, named, and shown on the page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lilliput.analysis import FitOptions, analyse_plan, law_label, read_table
from lilliput.analysis.laws.base import CostLaw
from lilliput.analysis.laws.curve import CurveFit, line_coefficients, total_sum_of_squares
from lilliput.analysis.laws.power import PowerLaw
from lilliput.analysis.laws.registry import law_named, law_names, register_law, unregister_law
from lilliput.cli._frame import build_app
from lilliput.core.errors import ConfigurationError

A, B = 12.0, 0.2


class Logarithm(CostLaw):
    """L = a - b ln C, fitted by least squares in the loss."""

    name = "toy"
    label = "logarithm of the cost"
    help = "a - b ln C"

    def n_free(self, breaks):
        return 3

    def fit(self, flops, loss, breaks, start=None):
        x = np.log(flops)
        design = np.stack([np.ones_like(x), -x], axis=1)
        a, b = line_coefficients(design, loss)
        curve = a - b * x
        if (curve <= 0).any():
            return None
        return CurveFit(
            law=self.name,
            names=("a", "b"),
            values=np.array([a, b]),
            breaks=np.empty(0),
            n_free=3,
            rss=float(np.sum((np.log(curve) - np.log(loss)) ** 2)),
            tss=total_sum_of_squares(np.log(loss)),
            fitted=np.log(curve),
            free=("a", "b"),
            tangent=design / curve[:, None],
        )

    def log_curve(self, log_flops, parameters, log_breaks):
        return np.log(parameters["a"] - parameters["b"] * log_flops)

    def warnings(self, fit):
        return ["A logarithm falls below zero in the end."]


@pytest.fixture
def toy():
    register_law(Logarithm())
    yield
    unregister_law("toy")


@pytest.fixture
def table(csv_file):
    """Twelve finished runs on the toy law, with noise of 0.1 %."""
    flops = np.geomspace(1e12, 1e17, 12)
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal(12)
    columns = {
        "run": [f"run-{i}" for i in range(12)],
        "shape": [f"shape-{i}" for i in range(12)],
        "flops_reference": flops,
        "loss": (A - B * np.log(flops)) * noise,
    }
    return str(csv_file(columns))


def analyse(*words):
    result = CliRunner().invoke(build_app(), ["analyse", *words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("toy")
def test_a_law_from_outside_is_fitted_from_the_command_line(table):
    record = analyse("fit", table, "--law", "toy", "--points", "all", "--resamples", "100")
    assert record["law"] == "toy"
    found = record["parameters"]
    assert found["a"]["value"] == pytest.approx(A, abs=0.1)
    assert found["b"]["low"] < B < found["b"]["high"]
    assert "A logarithm falls below zero in the end." in record["warnings"]


@pytest.mark.usefixtures("toy")
def test_auto_compares_it_and_chooses_it_where_it_is_true(table):
    record = analyse("fit", table, "--points", "all", "--resamples", "20")
    assert record["law"] == "toy"
    assert {"toy", "power", "segmented"} <= {one["law"] for one in record["candidates"]}


@pytest.mark.usefixtures("toy")
def test_help_lists_it_with_its_formula():
    result = CliRunner().invoke(build_app(), ["analyse", "fit", "--help"], env={"COLUMNS": "400"})
    assert "toy (a - b ln C)" in " ".join(result.stdout.split())


@pytest.mark.usefixtures("toy")
def test_a_plan_follows_its_curve(table):
    options = FitOptions(law="toy", points="all", resamples=20)
    plan = analyse_plan(read_table(Path(table)), budget=1e18, options=options)
    assert plan.predicted_loss.value == pytest.approx(A - B * math.log(1e18), rel=0.01)


@pytest.mark.usefixtures("toy")
def test_the_page_of_a_table_shows_it(table, tmp_path):
    out = tmp_path / "page.html"
    result = CliRunner().invoke(build_app(), ["report", table, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "logarithm of the cost" in out.read_text("utf-8")


def test_without_its_plugin_the_law_is_refused_by_name(table):
    result = CliRunner().invoke(build_app(), ["analyse", "fit", table, "--law", "toy"])
    assert isinstance(result.exception, ConfigurationError)
    assert "toy" in str(result.exception)
    with pytest.raises(ConfigurationError, match="toy"):
        law_named("toy")


def test_two_laws_cannot_share_a_name():
    class Other(PowerLaw):
        pass

    with pytest.raises(ConfigurationError, match="power"):
        register_law(Other())
    register_law(PowerLaw())


def test_labels_say_the_number_of_breaks():
    assert law_label("segmented", 2) == "broken power law, joined (2 breaks)"
    assert law_label("power") == "power law"


def test_every_module_of_the_room_that_registers_a_law_is_found():
    """A module is found by its lying in the room: no list names it."""
    assert law_names() == (
        "auto", "power", "log_quadratic", "power_offset", "segmented", "segmented_jumps", "bnsl",
        "parametric", "parametric_tied", "repeated", "repeated_tied", "isoflop", "minimum",
    )  # fmt: skip


def test_the_word_auto_is_no_name_of_a_law():
    class Auto(PowerLaw):
        name = "auto"

    with pytest.raises(ConfigurationError, match="auto"):
        register_law(Auto())
