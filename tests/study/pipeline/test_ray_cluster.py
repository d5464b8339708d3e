"""A study on a Ray cluster of a head and two workers, each a node of its own with capped memory, one of which is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest
from tests.study.conftest import DEADLINE_S, StudyCommand
from tests.study.pipeline.test_faults import assert_whole, is_training, wait_for

pytestmark = pytest.mark.ray
STORE_BYTES = 80_000_000


@pytest.fixture
def cluster() -> Generator[Any]:
    """A head that takes no work, and two nodes of one processor and one declared GPU each."""
    from ray import cluster_utils as utils

    limits = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    found = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **limits})
    for _ in range(2):
        found.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE_BYTES)
    found.wait_for_nodes()
    yield found
    found.shutdown()


def test_a_lost_node_costs_its_runs_some_time(
    cluster: Any, command: StudyCommand, finished_study: Any
) -> None:
    process = command.start("--executor", "ray", "--address", cluster.address)
    wait_for(is_training(command.out), process)
    lost = cluster.list_all_nodes()[-1]
    os.kill(lost.all_processes["raylet"][0].process.pid, signal.SIGKILL)
    printed, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, printed
    assert json.loads(printed)["done"] == 4
    assert_whole(command.out, finished_study)
