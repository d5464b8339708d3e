"""Students of a teacher: what is refused, what is equal to a run without one, and what it costs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from lilliput.architecture import Workload, flops_of_workload
from lilliput.core.errors import ConfigurationError, InputError
from lilliput.models import build_model, export_model, load_hugging_face
from lilliput.tokenization import load_tokenizer
from lilliput.tokenization.symbols import token_bytes, word_start
from lilliput.training import TrainingConfig, load_model, read_recipe, train
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.fleet import FleetMember, fleet_key, train_fleet
from lilliput.training.objectives.distillation import DistillationSettings, find_teacher
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.weights import build_run_model

from ..conftest import tiny_model, write_store
from ..test_start_from import TEXT, make_tokenizer
from ..test_train_verb import RECIPE


@pytest.fixture(scope="module")
def taught(tokens, tmp_path_factory) -> dict[str, Path]:
    """A finished teacher of each kind: masked, wider than the student, and causal."""
    place = tmp_path_factory.mktemp("teachers")
    from ..conftest import make_config

    make = make_config.__wrapped__()
    wide = {"hidden_size": 32, "intermediate_size": 64, "embedding_size": 32}
    for layout in ("mini-bert", "llama"):
        config = make(model=tiny_model(layout, **wide), seed=9, max_steps=30)
        train(config, tokens, place / layout)
    return {"masked": place / "mini-bert", "causal": place / "llama"}


@pytest.fixture
def distilled(make_config):
    """A student of the teachers in these folders."""

    def make(*teachers: Path, objective=None, **training):
        settings = DistillationSettings(
            name="distillation", teacher=tuple(map(str, teachers)), **(objective or {})
        ).located(Path())
        return make_config(objective=settings, **training)

    return make


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in load_model(run).named_parameters()}


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights_of(one), weights_of(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def engine_of(config, tokens):
    """The engine and the schedule of a run before its first step."""
    data = load_data(config, tokens)
    data.rules.objective.prepare(load_model)
    plan = ExecutionPlan("cpu", 1, "float32", "plain", 16, False, torch.__version__)
    model = build_run_model(config)
    return Engine(model, data.rules.objective, config, plan), RunSchedule.of(config, data)


def gradients(engine) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in engine.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_without_weight_a_student_is_the_plain_run_to_the_last_bit(
    kind, taught, distilled, make_config, tokens, tmp_path
):
    model = tiny_model("llama" if kind == "causal" else "mini-bert")
    student = distilled(taught[kind], objective={"weight": 0.0}, model=model)
    result = train(student, tokens, tmp_path / "student")
    plain = train(make_config(model=model), tokens, tmp_path / "plain")
    assert_same_weights(tmp_path / "student", tmp_path / "plain")
    assert result.loss == plain.loss
    assert result.flops == plain.flops


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_loss_and_gradient_are_the_formulas_and_no_split_or_padding_changes_them(
    kind, taught, distilled, tokens
):
    model = tiny_model("llama" if kind == "causal" else "mini-bert")
    config = distilled(taught[kind], objective={"weight": 0.8}, model=model)
    engine, schedule = engine_of(config, tokens)
    teacher = load_model(taught[kind])
    reference = build_run_model(config)
    total = torch.zeros(())
    for micro in schedule.batch(1, 16).micro_batches:
        read = (
            micro.input_ids_BL, micro.positions_N, micro.attention_mask,
            micro.position_ids_BL, micro.queries_BQ, micro.slots_N,
        )  # fmt: skip
        s = reference.logits(reference.encode_some(*read))
        with torch.no_grad():
            t = teacher.logits(teacher.encode_some(*read))
        hard = functional.cross_entropy(s, micro.targets_N, reduction="none")
        log_q, log_p = functional.log_softmax(s / 2, 1), functional.log_softmax(t / 2, 1)
        soft = functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(1)
        total = total + ((0.2 * hard + 0.8 * 4 * soft) * micro.weights_N).sum()
    total.backward()
    total = total.detach()
    expected = torch.cat([p.grad.flatten() for p in reference.parameters() if p.grad is not None])
    for rows in (16, 5, 1):
        loss = engine.accumulate(schedule.batch(1, rows))
        assert float(loss) == pytest.approx(float(total), rel=1e-5)
        torch.testing.assert_close(gradients(engine), expected, rtol=1e-4, atol=1e-6)
    # One sequence a row, with as many pads as there can be, in place of packed rows.
    from lilliput.training.data.packing import one_a_row

    padded = schedule.batch(1, 16, one_a_row(16, 32))
    assert float(engine.accumulate(padded)) == pytest.approx(float(total), rel=1e-5)
    torch.testing.assert_close(gradients(engine), expected, rtol=1e-4, atol=1e-6)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(taught, distilled, tokens):
    model = load_model(taught["masked"])
    config = distilled(
        taught["masked"],
        objective={"mix": "teacher only"},
        model=tiny_model(hidden_size=32, intermediate_size=64, embedding_size=32),
    )
    engine, schedule = engine_of(config, tokens)
    with torch.no_grad():
        for mine, its in zip(engine.model.parameters(), model.parameters(), strict=True):
            mine.copy_(its)
    assert abs(float(engine.accumulate(schedule.batch(1, 16)))) < 1e-6
    assert float(gradients(engine).abs().max()) < 1e-7


def test_an_ensemble_of_one_teacher_twice_is_that_teacher(taught, distilled, tokens):
    losses = []
    for teachers in ([taught["masked"]], [taught["masked"]] * 2):
        engine, schedule = engine_of(distilled(*teachers), tokens)
        losses.append(float(engine.accumulate(schedule.batch(1, 16))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_untrained_teachers_and_the_likeliest_words_teach_something_else(taught, distilled, tokens):
    losses = {}
    for name, settings in {
        "plain": {}, "untrained": {"teacher_weights": "untrained"}, "one": {"top_k": 1},
        "ten": {"top_k": 10}, "all": {"top_k": 60},
    }.items():  # fmt: skip
        config = distilled(taught["masked"], objective={"weight": 1.0, **settings})
        engine, schedule = engine_of(config, tokens)
        losses[name] = float(engine.accumulate(schedule.batch(1, 16)))
    assert losses["untrained"] != losses["plain"]
    assert losses["one"] < losses["ten"] < losses["plain"]
    assert losses["all"] == pytest.approx(losses["plain"], rel=1e-5)


def test_the_teachers_forward_passes_are_counted_and_its_id_is_in_the_students(
    taught, distilled, make_config, tokens, tmp_path
):
    config = distilled(taught["masked"])
    result = train(config, tokens, tmp_path / "student")
    plain = train(make_config(), tokens, tmp_path / "plain")
    teacher = find_teacher(taught["masked"])
    work = Workload.of(seq_length=32, predicted_share=0.15, sequences=10.0, tokens=200.0)
    for name, cost in flops_of_workload(teacher.model, work).items():
        assert config.objective().extra_flops(work)[name] == pytest.approx(cost / 3)
        assert result.flops[name] > plain.flops[name]
    assert config.identity_settings()["training"]["objective"]["teacher"] == [teacher.identity]
    other = distilled(taught["masked"], objective={"temperature": 3.0})
    assert other.identity_settings() != config.identity_settings()
    named = distilled(taught["masked"], objective={"mix": "teacher only"})
    written = distilled(taught["masked"], objective={"weight": 1.0, "temperature": 1.0})
    assert named.identity_settings() == written.identity_settings()
    # Where the teacher lies is no part of it.
    shutil.copytree(taught["masked"], tmp_path / "moved")
    assert distilled(tmp_path / "moved").identity_settings() == config.identity_settings()


def test_a_recipe_names_the_folder_of_its_teacher(taught, tokens, tmp_path):
    shutil.copytree(taught["masked"], tmp_path / "teacher")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(tokens=tokens), encoding="utf-8")
    table = "training.objective={name='distillation', teacher='teacher'}"
    run = read_recipe(path, [table])
    result = train(run.config, run.tokens, run.out)
    assert result.steps == 5
    with pytest.raises(InputError, match="no such folder"):
        read_recipe(path, [table.replace("'teacher'", "'nobody'")])
    with pytest.raises(ConfigurationError, match="recipe of a study"):
        read_recipe(path, [table.replace("'teacher'", "'self'")])


def test_unsuitable_teachers_are_refused_in_a_sentence(
    taught, distilled, make_config, tokens, tmp_path
):
    with pytest.raises(ConfigurationError, match=r"vocabulary of 61 words: got 60 words"):
        distilled(taught["masked"], model=tiny_model(vocab_size=61))
    with pytest.raises(ConfigurationError, match="sees only the past"):
        distilled(taught["causal"])
    with pytest.raises(ConfigurationError, match=r"max_seq_length = 64.*got at most 3\d"):
        distilled(taught["masked"], model=tiny_model(max_seq_length=64), max_seq_length=64)
    with pytest.raises(ConfigurationError, match="less than or equal to 1: got 1.5"):
        TrainingConfig(objective={"name": "distillation", "teacher": "x", "weight": 1.5})
    with pytest.raises(ConfigurationError, match="vocabulary of 60 words: got 61"):
        distilled(taught["masked"], objective={"top_k": 61})
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_text((taught["masked"] / "run.json").read_text())
    with pytest.raises(InputError, match="finished run.*got one that is not finished"):
        distilled(tmp_path / "half")
    other = write_store(tmp_path / "other", seed=1)
    with pytest.raises(ConfigurationError, match="must have learnt the student's token store"):
        train(distilled(taught["masked"]), other, tmp_path / "student")
    assert not (tmp_path / "student").exists()
    members = [FleetMember(distilled(taught["masked"], seed=s), tmp_path / str(s)) for s in (0, 1)]
    assert fleet_key(members[0].config) is None
    with pytest.raises(ConfigurationError, match="such as distillation"):
        train_fleet(members, tokens)


def test_a_model_in_hugging_face_layout_teaches_if_its_tokenizer_is_the_stores(distilled, tmp_path):
    loaded = load_tokenizer(make_tokenizer(tmp_path / "tokenizer", TEXT))
    size = loaded.vocab_size
    arrays = {"token_bytes": token_bytes(loaded, size), "word_start": word_start(loaded, size)}
    store = write_store(tmp_path / "tokens", vocab_size=size, arrays=arrays)
    teacher = build_model(tiny_model("roberta", vocab_size=size), seed=7)
    export_model(teacher, tmp_path / "teacher", tokenizer=tmp_path / "tokenizer")
    config = distilled(tmp_path / "teacher", model=tiny_model("roberta", vocab_size=size))
    train(config, store, tmp_path / "student")
    # And out again, as any other run.
    export_model(
        load_model(tmp_path / "student"), tmp_path / "out", tokenizer=tmp_path / "tokenizer"
    )
    back = dict(load_hugging_face(tmp_path / "out").named_parameters())
    assert all(torch.equal(back[n], p) for n, p in weights_of(tmp_path / "student").items())
    foreign = make_tokenizer(tmp_path / "foreign", [text[::-1] for text in TEXT])
    export_model(teacher, tmp_path / "other", tokenizer=foreign)
    stranger = distilled(tmp_path / "other", model=tiny_model("roberta", vocab_size=size))
    with pytest.raises(ConfigurationError, match="the tokenizer in .* must"):
        train(stranger, store, tmp_path / "refused")


def test_killed_a_student_goes_on_and_ends_bitwise_the_same(taught, distilled, tokens, tmp_path):
    settings = {"max_steps": 60, "save_interval_s": 1e-9}
    config = distilled(taught["masked"], **settings)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    code = (
        "import sys; from pathlib import Path; from lilliput.training import RunConfig, train;"
        f"c = RunConfig.model_validate_json(Path({str(tmp_path / 'config.json')!r}).read_text());"
        f"train(c, Path({str(tokens)!r}), Path({str(tmp_path / 'killed')!r}))"
    )
    work = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("checkpoints/resume-*")):
        assert time.monotonic() < deadline
        assert work.poll() is None
        time.sleep(0.005)
    os.kill(work.pid, signal.SIGKILL)
    work.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    train(config, tokens, tmp_path / "killed")
    train(config, tokens, tmp_path / "whole")
    assert_same_weights(tmp_path / "killed", tmp_path / "whole")
