"""Overrides and tables that would do nothing are refused, and so is what no plan can bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from lilliput.core.errors import ConfigurationError, InputError, LilliputError
from lilliput.recipes import recipe_text
from lilliput.study import Recipe, load_recipe, plan_study
from lilliput.study.recipe.expansion import expand_recipe

RATES = "grid=[{shapes=['8/8/16/1/1'],learning_rates=[1e-3]}]"
SEARCHED = "grid=[{shapes=['8/8/16/1/1'],learning_rates='search'}]"
MANY = [*range(1, 200)]
SEARCH = "search={learning_rates=[1e-3,2e-3,4e-3],max_steps=10}"


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["model.hidden_size=64"], r"model in .*: model.hidden_size would do nothing: it is set by the shapes of the grid"),
        (["model.vocab_size=5"], "set by the tokenizer"),
        (["model.max_position_embeddings=5"], "set by training.max_seq_length"),
        ([RATES, "training.learning_rate=1e-2"], r"got --set training.learning_rate=1e-2.*Every block of the grid sets learning_rate"),
        (["training.profile=reference"], "--set training.profile=reference, and the plan is the same"),
        ([SEARCHED, SEARCH, "training.learning_rate=1e-2"], "--set training.learning_rate=1e-2"),
        ([SEARCH], "No block of the grid searches"),
        (["variants.wide={training={learning_rate=1e-3}}"], "No block of the grid lists this variant"),
        (["paths.data=texts"], r"paths.data, which no text of it mentions"),
        (["analysis.flops=flops_executed_mask"], "such as flops_executed_masked"),
        (["vocabulary.word_profile=zz"], "word_profile"),
    ],
)  # fmt: skip
def test_overrides_that_do_nothing_are_refused(
    recipe_file: Path, assignments: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        load_recipe(str(recipe_file), assignments)


# What is written in the recipe, after the texts that it names, and what is said of it.
IDLE = [
    ("[languages.twin]\nsources = ['x.txt']\nmatched_to = 'invented'\n[languages.twin.corpus]\ntest_share = 0.3",
     "languages.twin.*corpus would do nothing beside matched_to: .*set languages.invented.corpus"),
    ("[languages.windows]\nsources = ['x.txt']\n[languages.windows.corpus]\noverlap = 'remove'",
     "overlap = 'remove' would do nothing: only windows overlap, and the spans are sentences"),
    ("[languages.windows]\nsources = ['x.txt']\n[languages.windows.corpus]\nword_profile = 'cpp'\nstride_words = 3",
     "stride_words = 3 would do nothing.*the spans are runs"),
    ("[search]\nlearning_rates = [1e-3, 2e-3, 3e-3]", r"\[search\] must change something.*no block of the grid"),
    ("[variants.wide]\ntraining = { learning_rate = 1e-2 }", r"\[variants.wide\] must change something.*no block.*lists it"),
    ("[probes]\ntasks = ['word_order']\nmax_sources = 3", "max_sources = 3 would do nothing: the probe source"),
    ("[probes.fine_tuning]\nselection_share = 0.3\nlearning_rates = [1e-3]\nnum_train_epochs = [1]",
     "selection_share = 0.3 would do nothing: there is one learning rate"),
    ("[probes.fine_tuning]\nselection = 'last'\nlearning_rates = [1e-3, 2e-3]", "takes the first of learning_rates"),
    ("[probes]\nsplits = ['dev']", "'train', 'validation' or 'test'"),
    ("[pairs]\ndata = 'x'\n[pairs.scoring]\nmasked_once_parts = 3", "masked_once_parts = 3 would do nothing"),
    ("[training.switches]\nscore_padding = true\n[[grid]]\nshapes = ['8/8/16/1/1']\nvariant = 'x'\n"
     "training = { num_cycles = 2.0 }", "training.num_cycles must change something: got 2.0, and only .*'cosine'"),
]  # fmt: skip


@pytest.mark.parametrize(("tables", "sentence"), IDLE, ids=[text[:30] for text, _ in IDLE])
def test_settings_that_do_nothing_are_refused(
    recipe_file: Path, tmp_path: Path, tables: str, sentence: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{recipe_file.read_text()}\n{tables}\n")
    with pytest.raises(ConfigurationError, match=sentence):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("vocabulary.coverage", "0.5", "coverage = 0.5 would do nothing beside vocabulary.file"),
        ("vocabulary.size", "10", "size = 10 would do nothing beside vocabulary.file"),
        ("vocabulary.word_profile", "paper", "word_profile = 'paper' would do nothing beside"),
        ("vocabulary.coverage", "none", ""),
    ],
)
def test_a_file_of_words_is_taken_whole(
    recipe_file: Path, tmp_path: Path, key: str, value: str, sentence: str
) -> None:
    path, names = tmp_path / "mine.toml", "sources"
    text = recipe_file.read_text()
    vocabulary = text[text.index("[vocabulary]") : text.index("[languages.invented]")]
    path.write_text(text.replace(vocabulary, "[vocabulary]\nfile = 'words.csv'\n\n"))
    assert names in vocabulary
    if not sentence:
        assert load_recipe(str(path)).vocabulary.coverage is None
        return
    with pytest.raises(ConfigurationError, match=sentence):
        load_recipe(str(path), [f"{key}={value}"])


def test_settings_of_the_training_that_every_block_replaces_are_refused(
    recipe_file: Path, tmp_path: Path
) -> None:
    text = recipe_file.read_text().replace(
        "seeds = [0, 1]", "seeds = [0, 1]\nlearning_rates = [1e-3]"
    )
    path = tmp_path / "mine.toml"
    path.write_text(text)
    load_recipe(str(path))
    path.write_text(text.replace("[training]", "[training]\nlearning_rate = 1e-2"))
    with pytest.raises(
        ConfigurationError, match="training.learning_rate = 0.01 must change.*every block"
    ):
        load_recipe(str(path))
    # A smaller grid for a moment is no mistake in the recipe.
    load_recipe(str(path), [RATES])


@pytest.mark.parametrize(
    "assignments",
    [
        ["training.learning_rate=1e-2"],
        ["training.max_steps=300"],  # As the recipe has it: no mistake.
        ["training.threads=2"],  # Changes how runs are executed.
        ["seed=0", "name=small"],
        [SEARCHED, SEARCH],
        [RATES, "training.max_steps=200"],
        ["paths.data=texts", "vocabulary.sources=['{data}']"],
        ["training.learning_rate=1e-2", "training.learning_rate=1e-3"],
    ],
)
def test_overrides_that_act_are_let_in(recipe_file: Path, assignments: list[str]) -> None:
    assert isinstance(load_recipe(str(recipe_file), assignments), Recipe)


def test_a_folder_that_another_scale_mentions_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(recipe_text("small-english"))
    load_recipe(str(path), ["scale=tiny", "paths.data=texts"])


def test_a_misspelt_folder_names_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigurationError, match=r"paths\.corpus.*Did you mean 'corpora'"):
        load_recipe("paper", ["paths.corpus=texts"])


def test_a_plan_refuses_what_a_run_would(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        str(recipe_file), ["paths.data=nowhere", "vocabulary.sources=['{data}/a']"]
    )
    with pytest.raises(InputError, match=r"paths\.data must be a folder that exists"):
        plan_study(recipe, tmp_path / "study")
    recipe = load_recipe(str(recipe_file), ["languages.invented.sources=['package:no_such_text']"])
    with pytest.raises(ConfigurationError, match="no_such_text"):
        plan_study(recipe, tmp_path / "study")
    for table, sentence in (
        (f"glue={{data='{tmp_path}',tasks=['cola']}}", "the data of cola must be a folder"),
        (f"glue={{data='{tmp_path}',tasks=['colla']}}", "colla"),
        (f"pairs={{data='{tmp_path}/none'}}", "none"),
        ("tokenizers.morphology='none.tsv'", "the file of tokenizers.morphology"),
    ):
        with pytest.raises(LilliputError, match=sentence):
            plan_study(load_recipe(str(recipe_file), [table]), tmp_path / "study")


@pytest.mark.parametrize(
    "assignment",
    [
        "analysis.resamples=1000000000000",
        f"grid=[{{around='8/8/8/1/1',vary={{hidden_size={MANY},num_hidden_layers={MANY}}},seeds={MANY},budgets={MANY}}}]",
        "grid=[{shapes=['8/8/8/1/1'],seeds=[-1]}]",
        "grid=[{shapes=['8/8/8/1/99999999999999999999']}]",
        "grid=[{iso={targets=[1e6],bounds={hidden_size=[1,100000],num_hidden_layers=[1,100000]}}}]",
        f"seed={'9' * 400}",
        "tokenizers.vocab_sizes=[100000000000]",
        "training={switches=5,max_steps=1}",
        "grid=[{shapes=['8/8/8/1/1'],variant='v',training={switches=5}}]",
        "model.position_offset='x'",
        "scales=5",
        f"x={'[' * 2000}",
    ],
)  # fmt: skip
def test_what_has_no_bound_or_no_sense_is_refused_in_one_sentence(
    recipe_file: Path, assignment: str
) -> None:
    with pytest.raises(LilliputError) as caught:
        expand_recipe(load_recipe(str(recipe_file), [assignment]))
    assert len(str(caught.value)) < 600


def test_scales_must_be_tables(tmp_path: Path, recipe_file: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("scales = 5\n" + recipe_file.read_text())
    with pytest.raises(ConfigurationError, match="scales in .* must be a table of tables"):
        load_recipe(str(path), ["scale=tiny"])


def test_an_error_in_the_grid_names_the_file(recipe_file: Path) -> None:
    given = "grid=[{shapes=['8/8/8/1/1'],variant='v',training={learning_rat=1}}]"
    with pytest.raises(ConfigurationError, match=r"in the grid of .*small\.toml.*learning_rate"):
        expand_recipe(load_recipe(str(recipe_file), [given]))


VARIANTS = [
    "variants.pre={model={norm_position='pre'},learning_rates=[1e-3,2e-3]}",
    "variants.rotary={base='pre',model={position_embedding_type='rotary'}}",
    "variants.dropped={training={switches={dropout=0.1}}}",
    "grid=[{shapes=['8/8/16/1/1'],seeds=[0,1],variants=['','pre','rotary','dropped']}]",
]


def test_variants_are_the_same_runs_with_one_thing_changed(recipe_file: Path) -> None:
    runs = expand_recipe(load_recipe(str(recipe_file), VARIANTS)).runs
    assert [run.variant for run in runs] == [""] * 2 + ["pre"] * 4 + ["rotary"] * 4 + [
        "dropped"
    ] * 2
    plain, pre, rotary, dropped = runs[0], runs[2], runs[6], runs[10]
    assert (pre.training.learning_rate, runs[4].training.learning_rate) == (1e-3, 2e-3)
    assert pre.model["norm_position"] == rotary.model["norm_position"] == "pre"
    assert rotary.model["position_embedding_type"] == "rotary"
    assert "position_embedding_type" not in pre.model
    assert dropped.training.switches.dropout == 0.1
    assert plain.training.learning_rate == dropped.training.learning_rate == 5e-4
    assert rotary.name == "invented corrected rotary lr 0.001 8/8/16/1/1 seed 0"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("variants.pre={base='rotary',model={norm_position='pre'}}", "must not be its own base"),
        ("grid=[{shapes=['8/8/16/1/1'],variants=['rotory']}]", "not 'rotory'; did you mean 'rotary'"),
        ("variants.dropped={}", "must change training, model or learning_rates"),
        ("variants.dropped={model={hidden_size=8}}", "hidden_size would do nothing"),
        ("grid=[{shapes=['8/8/16/1/1'],variant='a',variants=['pre']}]", "either variant or variants"),
    ],
)  # fmt: skip
def test_variants_that_make_no_sense_are_refused(
    recipe_file: Path, change: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        expand_recipe(load_recipe(str(recipe_file), [*VARIANTS, change]))


def test_the_largest_recipe_is_short() -> None:
    assert len(recipe_text("two-profiles").splitlines()) < 200
    grid = expand_recipe(load_recipe("two-profiles"))
    assert len(grid.runs) == 232
    assert len(expand_recipe(load_recipe("two-profiles", ["scale=cpu"])).runs) == 100
