"""Choices, context and emergence as stages of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.core.errors import ConfigurationError
from lilliput.core.files import read_json
from lilliput.study import load_recipe, run_study
from lilliput.study.pipeline.stages.emergence import _by_task, _sizes, _verdicts
from lilliput.study.pipeline.status import read_status
from lilliput.study.recipe.schema import EmergenceRecipe
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.runs import RunRecord

TABLES = """
[variants.causal.training]
objective = "causal_lm"

[variants.causal.model]
is_causal = true

[[grid]]
languages = ["invented"]
variants = ["causal"]
shapes = ["8/8/16/1/1"]

[choices.probes]
question_words = 6
choice_words = 3

[choices.scoring]
resamples = 20
max_items = 20

[context]
early = [2, 6]
sequence_length = 8
sequences = 10
resamples = 20

[samples]
prompts = ["eto", "<b>"]
generation = { max_new_tokens = 4 }

[emergence]
resamples = 5
"""
SMALL = ["training.max_steps=4", "training.learning_rate=1e-3"]


@pytest.fixture(scope="module")
def recipe(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("emergence") / "small.toml"
    path.write_text(recipe_file.read_text() + TABLES)
    return path


def test_a_study_scores_both_objectives_and_gives_verdicts(recipe: Path, tmp_path: Path):
    out = tmp_path / "study"
    run_study(load_recipe(str(recipe), SMALL), out, executor="inline")
    runs = {path.name for path in (out / "runs").iterdir() if path.is_dir()}
    choices = {path.parent.parent.name for path in out.glob("evaluations/*/choices/scores.json")}
    context = list(out.glob("evaluations/*/context/scores.json"))
    assert len(choices) == 5
    assert choices <= runs
    assert len(context) == 1  # The causal run alone.
    found = read_json(out / "emergence" / "emergence.json")
    groups = {(one["task"], one["variant"]) for one in found["verdicts"]}
    assert {("continuation", ""), ("next_word", "causal"), ("induction", "causal")} <= groups
    assert ("induction", "") not in groups
    assert all(one["why"] for one in found["verdicts"])
    (texts,) = read_json(out / "samples" / "samples.json")
    assert [one["prompt"] for one in texts["samples"]] == ["eto", "<b>"]
    assert (texts["shape"], texts["variant"]) == ("8/8/16/1/1", "causal")
    html = (out / "report.html").read_text(encoding="utf-8")
    assert '<section id="emergence"' in html
    samples = html[html.index('<section id="samples"') :].split("</section>")[0]
    assert "&lt;b&gt;" in samples
    assert "<b>" not in samples
    assert read_status(load_recipe(str(recipe), SMALL), out).stage == "done"
    measured = (out / "tables" / "measurements.csv").read_text().splitlines()[0]
    assert "score_continuation_by_length" in measured
    # A second call finds everything there.
    assert run_study(load_recipe(str(recipe), SMALL), out, executor="inline").skipped == 5


def made_up(root: Path, language: str, shift: float, rng: np.random.Generator) -> list[RunRecord]:
    """Runs of nine sizes and two seeds whose margin on forty items rises with ln N, as files of predictions."""
    records: list[RunRecord] = []
    for size in range(9):
        for seed in (0, 1):
            n = 1e4 * 2.0**size
            name = f"{language} {size} seed {seed}"
            margin = 0.3 * (np.log(n) - shift - 12) + rng.normal(0, 0.02, 40)
            folder = root / "evaluations" / name / "choices"
            folder.mkdir(parents=True)
            rows = {
                "task": ["mine"] * 40,
                "weights": ["trained"] * 40,
                "example": list(range(40)),
                "margin": margin,
            }
            pq.write_table(pa.table(rows), folder / "predictions.parquet")
            info = {"name": name, "language": language, "shape": f"shape {size}", "variant": ""}
            result = {"loss": 8 - 0.3 * (np.log(n) - shift), "num_parameters": n}
            config = {"model": {"num_hidden_layers": 1}}
            records.append(RunRecord(name, "done", info, config, result, {}, root / name))
    return records


def test_verdicts_and_sizes_come_from_the_items_of_all_runs(tmp_path: Path):
    rng = np.random.default_rng(0)
    runs = made_up(tmp_path, "unfiltered", np.log(4.0), rng) + made_up(
        tmp_path, "filtered", 0.0, rng
    )
    tasks = _by_task(StudyLayout(tmp_path), runs)
    settings = EmergenceRecipe(larger="unfiltered", smaller="filtered", resamples=50)
    verdicts = list(_verdicts("mine", tasks["mine"], settings))
    by_metric = {(v["language"], v["axis"], v["metric"]): v for v in verdicts}
    assert len(by_metric) == 2 * 2 * 2
    margin = by_metric["filtered", "size", "margin"]
    assert margin["verdict"] == "smooth"
    assert margin["points"] == len(margin["runs"]) == 18
    # The hits jump where the margin passes zero, within a thirtieth of the range.
    assert by_metric["filtered", "size", "accuracy"]["verdict"] in (
        "artefact of the metric",
        "smooth",
    )
    (accuracy, sizes) = _sizes("mine", tasks["mine"], settings)
    assert sizes["ratio"] == pytest.approx(4.0, rel=0.1)
    assert sizes["low"] <= 4.0 <= sizes["high"]
    assert not sizes["confirms_six"]
    assert accuracy["metric"] == "accuracy"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("emergence.larger=nowhere", "the language 'nowhere'"),
        ("choices.probes_from=nowhere", "the language 'nowhere'"),
    ],
)
def test_a_language_that_is_not_there_is_refused(recipe: Path, change: str, said: str):
    with pytest.raises(ConfigurationError, match=said):
        load_recipe(str(recipe), [*SMALL, change])
