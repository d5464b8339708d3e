"""The cases of the GPU path that are traced on fake tensors; `main` prints their faults as JSON.

The body of a captured step is traced once more with each of twelve faults planted, to show that they are found.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from tracer import Tracer

from lilliput.architecture import LAYOUTS, ModelConfig
from lilliput.models import LanguageModel
from lilliput.training import RunConfig, TrainingConfig
from lilliput.training.data.token_data import RunData, load_data
from lilliput.training.execution import captured, device_batches
from lilliput.training.execution.captured import CapturedStep
from lilliput.training.execution.device_batches import DeviceSplit
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.gradients import predicted_losses
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.fleet.batches import stacked_batch
from lilliput.training.fleet.captured import CapturedFleetStep
from lilliput.training.fleet.stack import Stack
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.weights import build_run_model

STORE = Path(sys.argv[2])
VOCABULARY = 60


def config(layout: str = "roberta", seed: int = 0, layers: int = 2, **training: Any) -> RunConfig:
    """Return a small run."""
    model = ModelConfig.for_layout(
        layout, vocab_size=VOCABULARY, embedding_size=16, hidden_size=16, intermediate_size=32,
        num_attention_heads=2, num_hidden_layers=layers, max_seq_length=32,
    )  # fmt: skip
    recipe = {"max_seq_length": 32, "global_batch_size": 16, "max_steps": 200, "device": "cuda"}
    return RunConfig(model=model, training=TrainingConfig(**(recipe | training)), seed=seed)


def plan(dtype: str = "bfloat16", kernel: Any = "fused", rows: int = 16) -> ExecutionPlan:
    """Return a plan for the fake GPU."""
    return ExecutionPlan("cuda", 1, dtype, kernel, rows, False, torch.__version__)


@cache
def data_of(layout: str, training: str) -> RunData:
    """Return the data of runs of one layout and recipe, without making fake tensors of it."""
    recipe = TrainingConfig.model_validate_json(training)
    with unset_fake_temporarily():
        return load_data(config(layout).model_copy(update={"training": recipe}), STORE)


def schedule(run: RunConfig) -> RunSchedule:
    """Return the schedule of a run on the store."""
    recipe = run.training.model_copy(update={"learning_rate": 1e-3})
    return RunSchedule.of(run, data_of(run.model.layout, recipe.model_dump_json()))


@cache
def host_model(shape: str, kernel: Any) -> LanguageModel:
    """Return a model in memory; its weights do not matter."""
    run = RunConfig.model_validate_json(shape)
    with unset_fake_temporarily():
        return build_run_model(run, kernel)


def gpu_model(run: RunConfig, kernel: Any) -> Any:
    """Return a run's model on the fake GPU."""
    same = run.model_copy(update={"seed": 0, "training": config().training})
    return on_gpu(host_model(same.model_dump_json(), kernel))


def on_gpu(model: Any) -> Any:
    """Return a copy with parameters on the fake GPU; `to` would swap them, which fake tensors refuse."""
    with unset_fake_temporarily():
        model = copy.deepcopy(model)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(parameter.detach().to("cuda")))
    return model


def engine(run: RunConfig, what: ExecutionPlan) -> Engine:
    """Return a run's model and optimizer on the fake GPU."""
    model = gpu_model(run, what.attention_kernel)
    return Engine(model, run.objective(), run, what)


# ---- Cases: each returns what is traced, after what need not be ------------------------------------------


def read(step: Any, number: int) -> None:
    """Have a captured step read a step's batch; a fake tensor has no memory to pin."""
    with mock.patch.object(torch.Tensor, "pin_memory", lambda tensor: tensor):
        step.read(number)


def one_run(run: RunConfig, what: ExecutionPlan) -> Callable[[], object]:
    """Return the captured step of one run."""
    one = schedule(run)
    split = DeviceSplit.of(one.data.train, one.data.rules, "cuda")
    step = CapturedStep(engine(run, what), split, one, what, Interrupts(), print)
    read(step, 2)
    return step.compute


def a_fleet(members: int, layout: str, seeds: int = 0) -> Callable[[], object]:
    """Return the captured step of a fleet, whose members read the same data or `seeds` different streams."""
    what = plan(kernel="plain")
    runs = [
        config(layout, k % max(1, seeds), layers=1, learning_rate=1e-3 * (1 + k // 2))
        for k in range(members)
    ]
    planned = [schedule(run) for run in runs]
    models = [gpu_model(run, "plain") for run in runs]
    stack = Stack(models, [run.training for run in runs], what)
    split = DeviceSplit.of(planned[0].data.train, planned[0].data.rules, "cuda")
    step = CapturedFleetStep(stack, planned, split, what, Interrupts(), print)
    read(step, 2)
    return lambda: step.compute(range(members))


def an_eager_step(run: RunConfig, what: ExecutionPlan) -> Callable[[], object]:
    """Return a step of host batches."""
    batch = schedule(run).batch(1, what.max_rows)
    one = engine(run, what)
    return lambda: one.step(batch, 1e-3, 1)


def an_eager_fleet_step() -> Callable[[], object]:
    """Return a fleet's step of host batches."""
    what, runs = plan(kernel="plain"), [config("electra", seed=k) for k in range(4)]
    planned = [schedule(run) for run in runs]
    models = [gpu_model(run, "plain") for run in runs]
    stack = Stack(models, [run.training for run in runs], what)
    batch = stacked_batch(planned, 1, what.max_rows)
    return lambda: stack.step(batch.micro_batches, dict.fromkeys(range(4), 1e-3))


def an_evaluation(layout: str) -> Callable[[], object]:
    """Return the losses at the predicted positions of a host batch."""
    run, what = config(layout), plan()
    model = gpu_model(run, "fused").eval()
    batch = schedule(run).batch(1, what.max_rows)
    return lambda: [predicted_losses(model, micro, what) for micro in batch.micro_batches]


def a_fine_tuning_stack(dtype: str) -> Callable[[], object]:
    """Return a step and a reading of a stack of classifiers."""
    from lilliput.evaluation.fine_tuning.classifier import Classifier
    from lilliput.evaluation.fine_tuning.stack import ClassifierStack
    from lilliput.evaluation.settings import FineTuningSettings

    settings = FineTuningSettings(dtype=dtype, encoder_dropout=0.1)
    with unset_fake_temporarily():
        base = build_run_model(config("mini-bert"), "plain")
        built = [Classifier(base, 2, settings, seed) for seed in (0, 1, 2)]
    models = [on_gpu(model) for model in built]
    stack = ClassifierStack(models, [0, 1, 2], settings)
    ids = torch.zeros(12, 8, dtype=torch.int64, device="cuda")
    visible = torch.ones(12, 8, dtype=torch.bool, device="cuda")
    labels = torch.zeros(12, dtype=torch.int64, device="cuda")

    def work() -> None:
        stack.step(0, ids, visible, labels, [1e-3] * 3)
        stack.read(ids[:4], visible[:4])

    return work


REFERENCE = config("mini-bert", profile="reference", per_device_train_batch_size=8)
# What a graph would record: no fault is allowed.
CAPTURED: dict[str, Callable[[], Callable[[], object]]] = {
    **{layout: lambda layout=layout: one_run(config(layout), plan()) for layout in LAYOUTS},
    "float32": lambda: one_run(config("mini-bert"), plan("float32")),
    "two micro-batches": lambda: one_run(config(), plan(rows=8)),
    "whole words": lambda: one_run(config(whole_word_mask=True, mask_replace_prob=0.8), plan()),
    "fixed count": lambda: one_run(config(fixed_mask_count=True), plan()),
    "reference, with dropout": lambda: one_run(REFERENCE, plan(rows=8)),
    "pads are predicted": lambda: one_run(config(switches={"score_padding": True}), plan()),
    "fleet of 8": lambda: a_fleet(8, "electra", seeds=2),
    "fleet of llamas": lambda: a_fleet(3, "llama"),
}
SLOW = {"fleet of 64": lambda: a_fleet(64, "roberta", seeds=64)}
# Steps of host batches: copies to the device are due, waiting is not.
EAGER: dict[str, Callable[[], Callable[[], object]]] = {
    "eager step": lambda: an_eager_step(config("modernbert"), plan()),
    "eager step of reference": lambda: an_eager_step(REFERENCE, plan()),
    "eager fleet": an_eager_fleet_step,
    "evaluation": lambda: an_evaluation("roberta"),
    "evaluation, causal": lambda: an_evaluation("llama"),
    "fine-tuning": lambda: a_fine_tuning_stack("bfloat16"),
}  # fmt: skip


# ---- Faults to plant: each changes what a step computes on its way ----------------------------------------


def _after(method: str, harm: Callable[[Any], object], owner: Any = captured.CapturedStep) -> Any:
    """Return a patch that does `harm` to the arguments or result of a method after it ran."""
    original = getattr(owner, method)

    def harmful(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        harmed = harm(out)
        return out if harmed is None else harmed

    return mock.patch.object(owner, method, harmful)


def _with_batches(harm: Callable[[Any], object]) -> Any:
    return _after("device_batch", lambda batches: harm(batches[0]), captured)


PLANTED: dict[str, Callable[[], Any]] = {
    "the loss is read": lambda: _after("add_gradients", lambda loss: loss.item() and None, captured),
    "a number decides": lambda: _after("add_gradients", lambda loss: bool(loss > 0) and None, captured),
    "counted positions": lambda: _with_batches(lambda b: b.weights_N.nonzero() is None or None),
    "a boolean index": lambda: _with_batches(lambda b: b.targets_N[b.weights_N > 0] is None or None),
    "masked_select": lambda: _with_batches(lambda b: b.targets_N.masked_select(b.weights_N > 0) is None or None),
    "unique ids": lambda: _with_batches(lambda b: b.targets_N.unique() is None or None),
    "a copy to the host": lambda: _with_batches(lambda b: b.targets_N.cpu() is None or None),
    "a copy from the host": lambda: _with_batches(lambda b: torch.zeros(3).to(b.targets_N.device) is None or None),
    "a table on the host": lambda: _after("_padded_ids", lambda ids: torch.zeros(VOCABULARY, dtype=torch.int64)[ids], device_batches),
    "a sum of two devices": lambda: _after("_padded_ids", lambda ids: ids + torch.zeros(ids.shape[1], dtype=torch.int64), device_batches),
    "repeats counted on the device": lambda: _with_batches(lambda b: torch.repeat_interleave(b.targets_N) is None or None),
    "work on the host": lambda: _with_batches(lambda b: torch.arange(5).cumsum(0) is None or None),
}  # fmt: skip


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Let the block compute shapes alone, with torch believing in a GPU that has bfloat16."""
    with ExitStack() as stack:
        for name, answer in (
            ("torch.cuda.is_available", True),
            ("torch.cuda.amp.common.amp_definitely_not_available", False),
            ("torch.cuda.is_bf16_supported", True),
        ):
            stack.enter_context(mock.patch(name, lambda *_, answer=answer, **__: answer))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


def trace(prepare: Callable[[], Callable[[], object]]) -> dict[str, Any]:
    """Return faults and number of operations of a case."""
    tracer = Tracer()
    with fake_gpu():
        work = prepare()
        with tracer:
            try:
                work()
            except Exception as error:
                tracer.faults.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    return {"faults": tracer.faults, "operations": tracer.operations.total()}


def main() -> None:
    """Print the faults of all cases, and those found where one was planted."""
    # torch has no kernel of shapes for the fused optimizer with a rate on the device.
    library = torch.library.Library("aten", "IMPL")
    library.impl("_fused_adamw_.tensor_lr", lambda *_, **__: None, "Meta")
    if sys.argv[3:] == ["slow"]:
        found = {"captured": {name: trace(case) for name, case in SLOW.items()}}
        sys.stdout.write(json.dumps(found))
        return
    planted = {}
    for name, plant in PLANTED.items():
        with plant():
            planted[name] = trace(lambda: one_run(config(layers=1), plan()))
    captured, eager = ({n: trace(case) for n, case in cases.items()} for cases in (CAPTURED, EAGER))
    sys.stdout.write(json.dumps({"captured": captured, "eager": eager, "planted": planted}))
