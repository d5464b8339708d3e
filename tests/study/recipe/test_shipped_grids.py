"""The grids that ship: the shapes of two papers, and families made from bounds."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lilliput.architecture import count_parameters
from lilliput.core.errors import ConfigurationError
from lilliput.study import Recipe, load_recipe, plan_study
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.study.recipe.families import quantity_of
from lilliput.training.budget import plan_stream

SIZES = (
    "embedding_size", "hidden_size", "intermediate_size", "num_attention_heads_recorded", "num_hidden_layers",
)  # fmt: skip
PAPER_VOCABULARY, FOLLOW_UP_VOCABULARY = 19_010, 15_000


def with_grid(block: str, tmp_path: Path, more: str = "") -> Recipe:
    """The quickstart with one grid block in place of its own."""
    from lilliput.recipes import recipe_text

    text = recipe_text("quickstart")
    # What every block sets itself would do nothing in [training].
    replaced = [key for key in ("learning_rate", "budget") if f"{key}s = " in block]
    for key in (key.replace("budget", "max_tokens") for key in replaced):
        text = re.sub(rf"(?m)^{key} = .*\n", "", text)
    start, end = text.index("[[grid]]"), text.index("# ---- Probe tasks")
    path = tmp_path / "grid.toml"
    path.write_text(
        text[:start] + f'[[grid]]\nlanguages = ["constrained"]\n{block}\n' + more + text[end:]
    )
    return load_recipe(str(path))


def test_the_paper_has_its_42_shapes_with_their_published_sizes(golden: Path) -> None:
    published: dict[tuple[str, bool], int] = {}
    with (golden / "paper_runs.csv").open() as file:
        for row in csv.DictReader(file):
            shape = "/".join(row[size] for size in SIZES)
            published[shape, row["tied_standard_roberta"] == "True"] = int(row["num_parameters"])
    runs = expand_recipe(load_recipe("paper")).runs
    ours = {
        (run.shape, run.variant == "tied"): count_parameters(
            run.config(PAPER_VOCABULARY).built_model()
        ).total
        for run in runs
    }
    assert ours == published
    assert len(runs) == 42 * 2 * 3


def test_heads_are_eight_where_the_published_code_built_eight() -> None:
    for run in expand_recipe(load_recipe("paper")).runs:
        built = run.config(PAPER_VOCABULARY).built_model().num_built_heads
        recorded = run.sizes["num_attention_heads"]
        factorised_reference = run.profile == "reference" and run.variant != "tied"
        assert built == (8 if factorised_reference else recorded), run.name


def test_the_reference_runs_of_the_paper_make_its_updates() -> None:
    """S:B5: with 128 x 2, 35,476 steps, the first of them of 128 sequences."""
    found = {
        (run.profile, stream.max_steps, stream.places(1), stream.places(2))
        for run in expand_recipe(load_recipe("paper")).runs
        for stream in [plan_stream(run.training, 9_081_490, 9_081_490 * 120)]
    }
    assert found == {
        ("reference", 35_476, (0, 128), (128, 256)),
        ("corrected", 35_475, (0, 256), (256, 256)),
    }
    for run in expand_recipe(load_recipe("paper-mini")).runs:  # As with 256 x 1.
        assert plan_stream(run.training, 9_000, 9_000 * 120).max_steps == 3_000


def test_paper_mini_is_a_part_of_the_paper() -> None:
    shapes = {run.shape for run in expand_recipe(load_recipe("paper")).runs}
    assert {run.shape for run in expand_recipe(load_recipe("paper-mini")).runs} < shapes


def test_the_follow_up_has_36_models_from_1_to_165_million_parameters() -> None:
    runs = expand_recipe(load_recipe("mini-gpt")).runs
    sizes = {count_parameters(run.config(FOLLOW_UP_VOCABULARY).model).total for run in runs}
    assert len(runs) == 36
    assert (min(sizes), max(sizes)) == (992_928, 164_955_136)
    assert all(run.config(FOLLOW_UP_VOCABULARY).model.is_causal for run in runs)


def test_planning_the_paper_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lilliput.study import load_recipe\n"
        "from lilliput.study.planning.plan import plan_grid\n"
        "from lilliput.study.recipe.expansion import expand_recipe\n"
        f"plan = plan_grid(expand_recipe(load_recipe('paper')), Path({str(tmp_path / 'none')!r}))\n"
        "assert plan.runs == 252\n"
        "print(sorted({'torch', 'ray', 'transformers', 'scipy', 'pyarrow.parquet'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout
    assert "ray'" not in done.stdout


@pytest.mark.parametrize(
    ("quantity", "target"),
    [
        ("num_parameters", 500_000),
        ("num_parameters_non_embedding", 400_000),
        ("parameter_ratio", 4.0),
        ("flops_executed_masked", 1.5e6),
    ],
)
def test_an_iso_family_is_equal_in_what_it_says(
    quantity: str, target: float, tmp_path: Path
) -> None:
    recipe = with_grid(
        f"""
        [grid.iso]
        quantity = "{quantity}"
        targets = [{target}]
        tolerance = 0.15
        members = 4
        bounds = {{ embedding_size = [16, 128], hidden_size = [16, 192], num_hidden_layers = [1, 12] }}
        """,
        tmp_path,
    )
    runs = expand_recipe(recipe).runs
    assert 2 <= len(runs) <= 4
    for run in runs:
        config = run.config(1500)
        value = quantity_of(config.model, quantity, config.objective().predicted_share)
        assert abs(value / target - 1) <= 0.15
    depths = [run.sizes["hidden_size"] / run.sizes["num_hidden_layers"] for run in runs]
    assert depths == sorted(depths, reverse=True)


def test_an_empty_iso_family_names_the_nearest_shape(tmp_path: Path) -> None:
    iso = """
        [grid.iso]
        targets = [1e9]
        bounds = { hidden_size = [16, 64], num_hidden_layers = [1, 2] }
        """
    with pytest.raises(ConfigurationError, match="64/64/256/4/2 with .* Widen the bounds"):
        with_grid(iso, tmp_path)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ("{ hidden_size = [16, 64] }", "num_hidden_layers"),
        ("{ hidden_size = [64, 16], num_hidden_layers = [1, 2] }", "from 64 to 16"),
        ("{ heads = [1, 2], hidden_size = [16, 64], num_hidden_layers = [1, 2] }", "not heads"),
    ],
)
def test_wrong_bounds_are_named(bounds: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        with_grid(f"[grid.iso]\ntargets = [1e5]\nbounds = {bounds}", tmp_path)


def test_rates_and_budgets_multiply_the_grid(tmp_path: Path) -> None:
    recipe = with_grid(
        'shapes = ["16/16/64/2/2"]\nseeds = [0, 1]\nlearning_rates = [1e-3, 2e-3]\nbudgets = [100, 200, 400]',
        tmp_path,
    )
    runs = expand_recipe(recipe).runs
    assert len(runs) == len({run.name for run in runs}) == 12
    assert {run.training.learning_rate for run in runs} == {1e-3, 2e-3}
    assert {run.training.max_steps for run in runs} == {100, 200, 400}
    assert all(run.training.max_tokens is None for run in runs)
    # Laws are fitted over budgets, never over learning rates.
    assert {run.family for run in runs} == {
        "constrained corrected lr 0.001",
        "constrained corrected lr 0.002",
    }
    assert plan_study(recipe, tmp_path / "none").runs == 12


def test_one_rate_and_one_budget_leave_the_names_alone(tmp_path: Path) -> None:
    recipe = with_grid(
        'shapes = ["16/16/64/2/2"]\nlearning_rates = [1e-3]\nbudgets = [100]', tmp_path
    )
    assert [run.name for run in expand_recipe(recipe).runs] == [
        "constrained corrected 16/16/64/2/2 seed 0"
    ]
