from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lilliput.architecture import count_parameters
from lilliput.core.errors import ConfigurationError, InputError, OccupiedFolderError
from lilliput.core.settings import parse_settings
from lilliput.recipes import recipe_text, shipped_recipes
from lilliput.study import Recipe, init_recipe, load_recipe
from lilliput.study.planning.plan import plan_grid
from lilliput.study.recipe.expansion import expand_recipe


def quickstart_with(folder: Path, block: str) -> Path:
    """The recipe of the quickstart with another block of its grid behind it."""
    path = folder / "recipe.toml"
    path.write_text(recipe_text("quickstart") + block)
    return path


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_planned(name: str, tmp_path: Path) -> None:
    grid = expand_recipe(load_recipe(name))
    plan = plan_grid(grid, tmp_path / "study")
    assert plan.runs > 0
    assert plan.done == 0
    assert plan.disk.low > 0
    masked, full = plan.flops["flops_executed_masked"], plan.flops["flops_executed_full"]
    # A causal model predicts every token, so that nothing is left out.
    is_causal = all(config.model.is_causal for config in grid.configs())
    assert masked == full if is_causal else masked < full


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_says_command_cost_and_result(name: str) -> None:
    header = recipe_text(name).split("\n\n", maxsplit=1)[0]
    assert all(word in header for word in ("command", "cost", "result"))


def test_the_quickstart_spans_the_promised_sizes() -> None:
    runs = expand_recipe(load_recipe("quickstart")).runs
    shapes = {
        language: {run.shape for run in runs if run.language == language}
        for language in ("constrained", "unconstrained")
    }
    sizes = sorted({count_parameters(run.config(1500).model).total for run in runs})
    assert (len(shapes["constrained"]), len(shapes["unconstrained"])) == (6, 3)
    assert shapes["unconstrained"] < shapes["constrained"]
    assert 35_000 < sizes[0] < 45_000
    assert 350_000 < sizes[-1] < 450_000
    assert {run.seed for run in runs} == {0, 1}
    assert {run.language for run in runs} == {"constrained", "unconstrained"}


def test_overrides_win_over_the_scale() -> None:
    recipe = load_recipe("quickstart", ["scale=tiny", "training.max_tokens=77"])
    assert recipe.training.max_tokens == 77
    assert recipe.tokenizers.train_with == "byte-bpe-600"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.learning_rat=1", "Did you mean 'learning_rate'"),
        ("scale=huge", "This recipe has: full, tiny"),
        ("training.learning_rate=-1", "-1"),
        ("tokenizers.train_with=bpe-7", "byte-bpe-750"),
        ("languages.unconstrained.matched_to=nowhere", "constrained language"),
        ("nonsense", "KEY=VALUE"),
    ],
)
def test_a_typo_is_answered_in_one_sentence(assignment: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_recipe("quickstart", [assignment])


def test_a_shape_that_does_not_fit_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    text = recipe_text("quickstart").replace('"8/16/64/2/1"', '"8/130/32/4/1"')
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(
        ConfigurationError,
        match="hidden_size must be a multiple of num_attention_heads: got 130 and 4. Use 128 or 132",
    ):
        expand_recipe(load_recipe(str(path)))


def test_a_grid_that_names_no_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        recipe_text("quickstart").replace('languages = ["unconstrained"]', 'languages = ["dutch"]')
    )
    with pytest.raises(ConfigurationError, match="dutch"):
        load_recipe(str(path))


def test_a_missing_recipe_and_a_missing_folder_name_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Shipped: .*quickstart"):
        load_recipe("quickstrat")
    with pytest.raises(InputError, match="nowhere.toml"):
        load_recipe(str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigurationError, match="--set paths.corpus=FOLDER"):
        load_recipe("small-english").resolve("{corpus}/a.txt")


def test_init_writes_a_recipe_that_plans_and_overwrites_nothing(tmp_path: Path) -> None:
    path = init_recipe("mine", "quickstart", tmp_path)
    assert load_recipe(str(path)).name == "mine"
    path.write_text("edited")
    with pytest.raises(OccupiedFolderError):
        init_recipe("mine", "quickstart", tmp_path)
    assert path.read_text() == "edited"


def test_a_profile_in_the_grid_sets_its_switches_and_keeps_single_ones(tmp_path: Path) -> None:
    text = recipe_text("quickstart").replace(
        'languages = ["unconstrained"]',
        'profiles = ["reference", "corrected"]\nlanguages = ["unconstrained"]',
    )
    path = tmp_path / "both.toml"
    path.write_text(text)
    runs = [
        run for run in expand_recipe(load_recipe(str(path))).runs if run.language == "unconstrained"
    ]
    by_profile = {run.profile: run.training.switches for run in runs}
    assert by_profile["reference"].score_padding
    assert not by_profile["corrected"].score_padding
    assert by_profile["corrected"].initialization == "xavier"


def test_a_switch_that_another_profile_of_the_grid_would_set_back_is_refused(
    tmp_path: Path,
) -> None:
    """A norm of 1 is what `corrected` has anyway: it would be lost under `reference`."""
    block = """
[[grid]]
variant = "both"
languages = ["constrained"]
profiles = ["corrected", "reference"]
shapes = ["32/64/256/4/2"]
training = { max_tokens = 7, switches = { SWITCHES } }
"""
    given = ["training.switches.max_grad_norm=1.0"]
    path = quickstart_with(tmp_path, block.replace("SWITCHES", ""))
    with pytest.raises(ConfigurationError, match="max_grad_norm must hold under every profile"):
        load_recipe(str(path), given)
    path = quickstart_with(tmp_path, block.replace("SWITCHES", "max_grad_norm = 1.0"))
    runs = expand_recipe(load_recipe(str(path), given)).runs
    found = {
        run.profile: run.training.switches.max_grad_norm for run in runs if run.variant == "both"
    }
    assert found == {"corrected": 1.0, "reference": 1.0}


def test_a_dropout_of_the_model_that_the_switch_sets_aside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dropout.toml"
    asked = recipe_text("quickstart").replace(
        "[model]", "[model]\nhidden_dropout_prob = 0.25\nattention_probs_dropout_prob = 0.25", 1
    )
    path.write_text(asked)
    with pytest.raises(ConfigurationError, match=r"model\.hidden_dropout_prob: got 0\.25"):
        expand_recipe(load_recipe(str(path)))
    recipe = load_recipe(str(path), ['training.switches.dropout="model"'])
    (built, *_) = [run.config(600).built_model() for run in expand_recipe(recipe).runs]
    assert built.hidden_dropout_prob == 0.25


def test_a_variant_changes_its_block_alone_and_is_a_family_of_its_own(tmp_path: Path) -> None:
    path = quickstart_with(
        tmp_path,
        """
[[grid]]
variant = "post-norm without B6"
profiles = ["reference"]
languages = ["constrained"]
shapes = ["32/64/256/4/2"]
training = { max_steps = 7, switches = { projection_norm_gain = 1.0 } }
model = { norm_position = "post" }
""",
    )
    runs = expand_recipe(load_recipe(str(path))).runs
    (changed,) = [run for run in runs if run.variant]
    assert changed.family == "constrained reference post-norm without B6"
    # Gain 1 with bias 0, the corrected start, and not with the bias that the defect gives too.
    assert changed.training.switches.projection_norm_gain is None
    assert changed.training.switches.score_padding
    assert (changed.training.max_steps, changed.training.max_tokens) == (7, None)
    assert changed.config(600).model.norm_position == "post"
    others = [run for run in runs if not run.variant]
    assert {run.config(600).model.norm_position for run in others} == {"pre"}
    assert {run.training.max_steps for run in others} == {None}


def test_a_variant_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    """It would be trained in the folder of the run it equals, and never be done."""
    path = quickstart_with(
        tmp_path,
        """
[[grid]]
variant = "with shuffling"
languages = ["constrained"]
shapes = ["32/64/256/4/1"]
training = { switches = { shuffle = true } }
""",
    )
    with pytest.raises(ConfigurationError, match="with shuffling 32/64/256/4/1 seed 0', the same"):
        load_recipe(str(path))
    assert not (tmp_path / "study").exists()


def test_a_change_without_a_name_is_refused(tmp_path: Path) -> None:
    path = quickstart_with(
        tmp_path,
        """
[[grid]]
languages = ["constrained"]
shapes = ["32/64/256/4/2"]
training = { learning_rate = 1e-3 }
""",
    )
    with pytest.raises(ConfigurationError, match="must name its variant"):
        load_recipe(str(path))


def test_a_folder_of_its_name_does_not_hide_a_shipped_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert load_recipe("quickstart").name == "quickstart"
    (tmp_path / "quickstart").rmdir()
    (tmp_path / "quickstart").write_text(
        recipe_text("quickstart").replace('name = "quickstart"', 'name = "mine"')
    )
    assert load_recipe("quickstart").name == "mine"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"languages": {"/somewhere/else": {"sources": ["a.txt"]}}}, "must not hold /"),
        ({"languages": {"a\0b": {"sources": ["a.txt"]}}}, "must hold no control characters"),
        ({"languages": {"En": {"sources": ["a"]}, "en": {"sources": ["b"]}}}, "differ in more than case"),
        ({"name": "con"}, "must not be a device of Windows"),
        ({"glue": {"data": "d", "tasks": ["../sst2"]}}, "must not hold /"),
        ({"seed": 10**400}, "seed"),
    ],
)  # fmt: skip
def test_names_that_become_folders_are_checked_where_they_enter(
    changes: dict[str, Any], rule: str
) -> None:
    values = {
        "name": "s",
        "vocabulary": {"sources": ["a"]},
        "languages": {"en": {"sources": ["a"]}},
        "tokenizers": {"vocab_sizes": [300], "train_with": "byte-bpe-300"},
        "training": {"max_steps": 2},
        "grid": [{"languages": ["en"], "shapes": ["8/8/16/1/1"]}],
    }
    parse_settings(Recipe, values)
    with pytest.raises(ConfigurationError, match=rule):
        parse_settings(Recipe, values | changes)


def test_init_makes_a_causal_recipe_where_the_shapes_allow_it(tmp_path: Path) -> None:
    recipe = load_recipe(str(init_recipe("mine", "domain", tmp_path, is_causal=True)))
    configs = expand_recipe(recipe).configs()
    assert {config.model.layout for config in configs} == {"llama"}
    assert {config.objective().name for config in configs} == {"causal_lm"}
    tiny = load_recipe(str(tmp_path / "mine.toml"), ["scale=tiny"])
    assert all(config.model.is_causal for config in expand_recipe(tiny).configs())
    with pytest.raises(
        ConfigurationError, match="quickstart must suit a causal model.*--recipe domain"
    ):
        init_recipe("other", "quickstart", tmp_path, is_causal=True)
    assert not (tmp_path / "other.toml").exists()
