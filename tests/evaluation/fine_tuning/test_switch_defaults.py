"""A run is fine-tuned as its own switches say, unless the user says otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.evaluation.conftest import train_run

from lilliput.architecture import ModelConfig
from lilliput.cli._frame import build_app
from lilliput.core.artefacts import artefact_id, read_manifest
from lilliput.core.errors import OccupiedFolderError
from lilliput.evaluation import FineTuningSettings, ProbeSettings, evaluate_glue, load_task
from lilliput.evaluation.fine_tuning import seeds
from lilliput.evaluation.fine_tuning.classifier import Classifier
from lilliput.evaluation.settings import follow_switches
from lilliput.models import build_model
from lilliput.study.pipeline.stages.scoring import GLUE, LearnedTasks
from lilliput.tokenization import load_tokenizer
from lilliput.training import Switches, profile_values

# What evaluations of `corrected` runs have recorded since the first of them: their ids rest on it.
DEFAULTS = {
    "learning_rates": [1e-3], "num_train_epochs": [4], "seeds": [0, 1, 2], "batch_size": 32,
    "weight_decay": 0.01, "warmup_ratio": 0.1, "max_grad_norm": 1.0, "pooling": "mean",
    "head": "linear", "classifier_dropout": 0.1, "encoder_dropout": None, "regression": "linear",
    "selection_share": 0.1, "selection": "held-out", "max_seq_length": 128, "dtype": "float32",
    "pad_to_max": False, "attend_to_padding": False, "max_train_examples": None,
    "eval_batch_tokens": 4096, "resamples": 1000,
}  # fmt: skip
QUICK = {"learning_rates": (1e-3,), "num_train_epochs": (1,), "seeds": (0,), "resamples": 20}
REFERENCE, CORRECTED = Switches(**profile_values("reference")), Switches()
LONGEST = 64  # Of the runs in these tests.
OURS = {
    "pooling": "mean", "pad_to_max": False, "attend_to_padding": False, "classifier_dropout": 0.1,
    "regression": "linear", "selection": "held-out",
}  # fmt: skip


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """CoLA and STS-B of forty short sentences."""
    root, rng = tmp_path_factory.mktemp("glue"), np.random.default_rng(0)

    def texts():
        return [" ".join(rng.choice(["the", "cat", "sees", "a", "dog"], 5)) for _ in range(40)]

    cola = {"sentence": texts(), "label": [i % 2 for i in range(40)]}
    values = pa.array([i % 6 for i in range(40)], pa.float32())
    stsb = {"sentence1": texts(), "sentence2": texts(), "label": values}
    for name, columns in (("cola", cola), ("stsb", stsb)):
        (root / name).mkdir()
        for split in ("train", "validation"):
            pq.write_table(pa.table(columns), root / name / f"{split}.parquet")
    return [root / "cola", root / "stsb"]


@dataclass
class Seen:
    """What one evaluation built and learned from."""

    models: list[Classifier] = field(default_factory=list)
    widths: set[int] = field(default_factory=set)
    labels: list[float] = field(default_factory=list)
    manifest: dict = field(default_factory=dict)
    scores: list = field(default_factory=list)


@pytest.fixture
def score(line, tasks, tmp_path, monkeypatch):
    """Train a run under some switches, and score it, watched."""

    def scored(*, settings=None, profile="corrected", **switches):
        seen = Seen()
        number = len(list(tmp_path.glob("run*")))
        run = train_run(tmp_path / f"run{number}", line.tokens, profile=profile, switches=switches)

        class Watched(seeds.ClassifierStack):
            def __init__(self, models, *more):
                seen.models += models
                super().__init__(models, *more)

            def step(self, step, ids, is_token, labels, rates):
                seen.widths.add(ids.shape[1])
                if labels.is_floating_point():
                    seen.labels += labels.tolist()
                return super().step(step, ids, is_token, labels, rates)

        out = tmp_path / f"scores{number}"
        with monkeypatch.context() as patch:
            patch.setattr(seeds, "ClassifierStack", Watched)
            asked = FineTuningSettings(**QUICK | (settings or {}))
            seen.scores = evaluate_glue(run, tasks, line.tokenizer, out, settings=asked)
        seen.manifest = read_manifest(out).settings["fine_tuning"]
        with monkeypatch.context() as patch:
            patch.setattr("lilliput.evaluation.suite.fine_tune_models", None)  # Recognised as done.
            assert evaluate_glue(run, tasks, line.tokenizer, out, settings=asked) == seen.scores
        return seen

    return scored


def test_classifier_head_weighs_every_position_or_the_tokens_alone(score):
    reference, corrected = score(classifier_head="positions"), score()
    assert reference.widths == {LONGEST}
    assert max(corrected.widths) < LONGEST
    for model in reference.models:
        assert model.positions.in_features == LONGEST
        assert model.dropout.p == 0.0
        assert not model.attends_to_padding
    assert all(model.positions is None and model.pooling == "mean" for model in corrected.models)
    assert reference.manifest["pooling"] == "positions"
    assert corrected.manifest == DEFAULTS | json.loads(json.dumps(QUICK))


def test_regression_loss_cuts_values_at_zero_or_scales_them(score):
    reference, corrected = score(regression_loss="relu_mse"), score()
    cut = [model.cuts_at_zero for model in reference.models]
    assert cut.count(True) == cut.count(False) == len(cut) / 2  # STS-B, and CoLA which has none.
    assert not any(model.cuts_at_zero for model in corrected.models)
    # Without the ReLU values are learned with mean 0 and variance 1.
    assert (min(reference.labels), max(reference.labels)) == (0.0, 5.0)
    assert np.mean(corrected.labels) == pytest.approx(0, abs=1e-6)
    assert np.std(corrected.labels) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("loss", ["relu_mse", "mse"])
def test_the_gradient_of_a_negative_value_dies_under_relu_mse(loss):
    settings = follow_switches(FineTuningSettings(), Switches(regression_loss=loss))
    config = ModelConfig.for_layout(
        "roberta", vocab_size=60, embedding_size=16, hidden_size=16, intermediate_size=32,
        num_attention_heads=2, num_hidden_layers=1, max_seq_length=32,
    )  # fmt: skip
    model = Classifier(build_model(config, 0), load_task("stsb").num_outputs, settings, seed=0)
    torch.nn.init.constant_(model.out.bias, -9.0)
    (model(torch.tensor([[0, 12, 13, 2]]), None) - 3.0).square().mean().backward()
    assert (model.out.bias.grad.abs().item() > 0) is (loss == "mse")


def test_reported_epoch_is_the_last_or_the_best_held_out_one(score):
    offered = {"learning_rates": (1e-3, 3e-3), "num_train_epochs": (1, 3)}
    for score_of in score(settings=offered, reported_epoch="last").scores:
        assert score_of.details["chosen"] == {"learning_rate": 1e-3, "num_train_epochs": 3}
        assert score_of.details["choices"] == []
    for score_of in score(settings=offered).scores:
        choices = score_of.details["choices"]
        assert len(choices) == 4
        best = max(choices, key=lambda choice: choice["held_out"])
        assert score_of.details["chosen"] == {
            "learning_rate": best["learning_rate"], "num_train_epochs": best["num_train_epochs"],
        }  # fmt: skip


def test_attended_padding_is_attended_to_in_fine_tuning_too(score):
    seen = score(attend_padding=True)
    assert seen.widths == {LONGEST}
    assert all(model.attends_to_padding and model.pooling == "mean" for model in seen.models)


def test_the_profile_reference_has_every_defect_of_the_papers_preset():
    followed = follow_switches(FineTuningSettings(), REFERENCE)
    paper = FineTuningSettings.paper()
    own = {"learning_rates", "num_train_epochs", "weight_decay", "warmup_ratio"}
    assert followed.model_dump(exclude=own) == paper.model_dump(exclude=own)


@pytest.mark.parametrize("asked", [FineTuningSettings(), ProbeSettings().fine_tuning])
def test_corrected_is_what_it_always_was(asked):
    assert follow_switches(asked, CORRECTED) == asked
    assert FineTuningSettings().model_dump(mode="json") == DEFAULTS


def test_the_id_of_a_corrected_runs_evaluation_names_what_decides_it(line, tasks, tmp_path):
    out = tmp_path / "out"
    evaluate_glue(line.run, tasks[:1], line.tokenizer, out, settings=FineTuningSettings(**QUICK))
    manifest = read_manifest(out)
    made_from = {
        "tasks": [load_task("cola").model_dump(mode="json")],
        "fine_tuning": DEFAULTS | QUICK,
        "checkpoint": "final",
        "text_form": None,  # The corpus of these tests says nothing of its text.
    }
    inputs = {
        "run": read_manifest(line.run).id,
        "cola": manifest.inputs["cola"],
        "tokenizer": load_tokenizer(line.tokenizer).content,
    }
    assert manifest.id == artefact_id("evaluation", 2, made_from, inputs)


def test_explicit_settings_win_field_by_field(score):
    seen = score(settings=OURS, profile="reference")
    assert seen.manifest == DEFAULTS | json.loads(json.dumps(QUICK))
    assert all(model.positions is None and not model.cuts_at_zero for model in seen.models)
    one = follow_switches(FineTuningSettings(selection="held-out"), REFERENCE)
    assert (one.selection, one.pooling, one.regression) == ("held-out", "positions", "relu")


@pytest.mark.parametrize("named", [{"pooling": "first"}, {"pad_to_max": False}])
def test_a_head_that_is_named_or_cannot_be_is_not_the_switchs(named):
    found = follow_switches(FineTuningSettings(**named), REFERENCE)
    assert found.pooling == named.get("pooling", "mean")
    assert found.classifier_dropout == 0.1
    assert found.regression == "relu"
    assert found.pad_to_max == named.get("pad_to_max", True)


def test_what_was_followed_once_is_followed_no_further():
    followed = follow_switches(FineTuningSettings(), CORRECTED)
    assert follow_switches(followed, REFERENCE) == followed


def test_the_command_line_leaves_to_the_switches_what_nobody_gave(line, tasks, tmp_path, capsys):
    run = train_run(tmp_path / "run", line.tokens, profile="reference")

    def fine_tuning(*words):
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        quick = [f"--set={key}={list(value)}" for key, value in QUICK.items() if key != "resamples"]
        build_app()(
            ["evaluate", "glue", str(run), "--data", str(tasks[0].parent), "--tasks", "cola",
             "--tokenizer", str(line.tokenizer), "--out", str(out), "--json", *quick, *words],
            standalone_mode=False,
        )  # fmt: skip
        capsys.readouterr()
        return read_manifest(out).settings["fine_tuning"]

    found = fine_tuning()
    assert (found["pooling"], found["regression"], found["selection"]) == (
        "positions", "relu", "last",
    )  # fmt: skip
    found = fine_tuning("--set=pooling=first", "--set=regression=linear")
    assert (found["pooling"], found["regression"], found["selection"]) == (
        "first", "linear", "last",
    )  # fmt: skip


def test_a_study_recognises_scores_made_the_runs_way(line, tasks, tmp_path):
    run = train_run(tmp_path / "run", line.tokens, profile="reference")
    asked = FineTuningSettings(**QUICK)
    origins = (load_tokenizer(line.tokenizer).content,)

    def task(settings, folder="scores"):
        place = ("it", run, line.tokenizer, tmp_path / folder / "glue", origins)
        return LearnedTasks(*place, GLUE, tuple(tasks[:1]), settings, REFERENCE)

    otherwise = FineTuningSettings(**QUICK, **OURS)
    task(otherwise).score()
    assert task(otherwise).is_done
    assert not task(asked).is_done
    with pytest.raises(OccupiedFolderError, match="hold this very evaluation"):
        task(asked).score()
    assert task(otherwise).is_done
    task(asked, "own").score()
    assert task(asked, "own").is_done
