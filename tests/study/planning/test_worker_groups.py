"""One way of grouping runs for workers, for the plan and for training alike."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.architecture import ModelConfig
from lilliput.study.planning.worker_groups import group_runs, stack_key
from lilliput.training.config import TrainingConfig
from lilliput.training.run_config import RunConfig


@dataclass(frozen=True)
class Run:
    run_config: RunConfig
    data: str


def run_of(
    seed: int, width: int = 16, language: str = "a", *, dropout: float = 0.0, fleet_size: int = 4,
    max_steps: int = 10,
) -> Run:  # fmt: skip
    model = ModelConfig.for_layout(
        "electra", embedding_size=8, hidden_size=8, intermediate_size=width, num_attention_heads=1,
        num_hidden_layers=1, vocab_size=100, max_seq_length=16,
    )  # fmt: skip
    training = TrainingConfig(
        max_seq_length=16, max_steps=max_steps, fleet_size=fleet_size, switches={"dropout": dropout}
    )
    return Run(RunConfig(model=model, training=training, seed=seed), language)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([16, 32]), st.sampled_from(["a", "b"]), st.booleans()),
        max_size=20,
    ),
    st.integers(1, 6),
)
def test_every_run_is_in_one_group_of_its_own_kind(runs, size):
    made = [
        run_of(seed, width, language, dropout=0.1 if drops else 0.0, fleet_size=size)
        for seed, (width, language, drops) in enumerate(runs)
    ]
    groups = group_runs(made)
    found = sorted(run.run_config.seed for group in groups for run in group.runs)
    assert found == list(range(len(made)))
    for group in groups:
        keys = {stack_key(run) for run in group.runs}
        assert len(keys) == 1
        assert len(group.runs) <= (1 if keys == {None} else size)


def test_stacks_are_about_equal_and_in_order():
    groups = group_runs([run_of(seed) for seed in range(10)])
    assert [[run.run_config.seed for run in group.runs] for group in groups] == [
        [0, 1, 2], [3, 4, 5], [6, 7, 8, 9],
    ]  # fmt: skip


def test_where_the_recipe_leaves_the_size_open_measurements_decide():
    runs = [run_of(seed, fleet_size="auto") for seed in range(4)]
    assert [len(group.runs) for group in group_runs(runs)] == [1, 1, 1, 1]
    sizes = {stack_key(runs[0]): 2}
    assert [len(group.runs) for group in group_runs(runs, sizes)] == [2, 2]
