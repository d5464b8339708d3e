"""A fleet as artefacts: every member a run folder of its own, as if it had been trained alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import Manifest, folder_holds, is_artefact, read_manifest
from lilliput.core.errors import ConfigurationError, LilliputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.plan import ExecutionPlan, load_or_make_plan, threads_given_back
from lilliput.training.fleet.grouping import fleet_key
from lilliput.training.fleet.loop import FleetLoop
from lilliput.training.loop import plan_for
from lilliput.training.run import building_run, claim_run, finish_run
from lilliput.training.run_config import PLAN, RunConfig, run_identity, run_lineage
from lilliput.training.run_folder import RunResult
from lilliput.training.run_schedule import RunSchedule


@dataclass(frozen=True)
class FleetMember:
    """One run of a fleet.

    Attributes:
        config: Model, recipe and seed.
        out: Folder of the run; made when absent.
        info: More to record in `run.json`.
    """

    config: RunConfig
    out: Path
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


def train_fleet(
    members: Sequence[FleetMember], tokens: Path, *, reporter: Reporter = SILENT
) -> list[RunResult | LilliputError]:
    """Train runs of one shape as one stacked computation, or go on with them.

    Each member's folder, curve and checkpoints are those that `train` would leave, within rounding
    (docs/training.md), and `train` can go on with any of them alone. The plan beside each run names the
    whole fleet: call again with the same members, finished ones too, and the numbers are the same bits.

    Args:
        members: Runs whose `fleet_key` is the same, each in a folder of its own.
        tokens: Token store.
        reporter: Where progress goes.

    Returns:
        The result of each member, or the error that stopped it, in order.

    Raises:
        ConfigurationError: The members cannot share a stack, or were begun in another fleet.
        OccupiedFolderError: A folder holds something else.
        KeyboardInterrupt: Ctrl-C or SIGTERM; a checkpoint of every member was written first.
    """
    _require_one_shape(members)
    manifest = read_manifest(tokens, "tokens")
    identities = tuple(run_identity(member.config, manifest) for member in members)
    waiting = [
        position
        for position, (member, identity) in enumerate(zip(members, identities, strict=True))
        if not (is_artefact(member.out) and folder_holds(member.out) == identity)
    ]
    failures = _train(members, waiting, identities, manifest, tokens, reporter) if waiting else {}
    return [
        failures[position] if position in failures else RunResult.read(member.out)
        for position, member in enumerate(members)
    ]


@threads_given_back()
def _train(
    members: Sequence[FleetMember],
    waiting: Sequence[int],
    identities: tuple[str, ...],
    manifest: Manifest,
    tokens: Path,
    reporter: Reporter,
) -> dict[int, LilliputError]:
    """Train the members at the places `waiting`; the errors of those that failed."""
    started = time.monotonic()
    for position in waiting:
        member = members[position]
        claim_run(member.config, manifest, member.out, member.info)
    data = load_data(members[0].config, tokens)
    planned = [RunSchedule.of(member.config, data) for member in members]
    plan = _fleet_plan([members[position].out for position in waiting], identities, planned[0])
    plan.apply()
    folders = {position: members[position].out for position in waiting}
    lineages = {p: run_lineage(members[p].config, manifest) for p in waiting}
    loop = FleetLoop(planned, folders, lineages, plan, reporter)
    loop.run()
    for position, recorder in loop.recorders.items():
        if position not in loop.failures:
            member = members[position]
            config, out, info = member.config, member.out, member.info
            with building_run(config, manifest, out, info, started=started) as build:
                finish_run(build, config, data, recorder)
    return loop.failures


def _fleet_plan(
    folders: Sequence[Path], identities: tuple[str, ...], first: RunSchedule
) -> ExecutionPlan:
    """Return the plan that lies beside the members, or a new one, written beside each of them."""
    paths = [folder / PLAN for folder in folders]
    paths.sort(key=lambda path: not path.is_file())
    plan = load_or_make_plan(paths[0], lambda: _stacked(first, identities))
    for path in paths:
        other = load_or_make_plan(path, lambda: plan)
        if other != plan or other.fleet != identities:
            raise ConfigurationError(
                f"a run goes on in the fleet that {path} names",
                got=f"{len(identities)} members, where it names {len(other.fleet) or 'none'}",
                remedy="Call with those members, train it alone, or delete the file to regroup: "
                "the run then agrees to rounding, not bitwise.",
            )
    return plan


def _stacked(first: RunSchedule, identities: tuple[str, ...]) -> ExecutionPlan:
    """Return the plan of a fleet, from that of one of its runs."""
    plan = plan_for(first, may_replicate=False)
    most = first.config.max_cpu_rows if plan.device == "cpu" else first.config.max_gpu_rows
    # Under vmap a processor takes the members through torch's fused attention one by one; on a GPU it refuses
    # bfloat16, which autocast no longer casts, and torch 2.13 mixes up the members' masks.
    return replace(plan, fleet=identities, attention_kernel="plain", max_rows=most(len(identities)))


def _require_one_shape(members: Sequence[FleetMember]) -> None:
    keys = [fleet_key(member.config) for member in members]
    if None in keys:
        raise ConfigurationError(
            "a fleet's members must have neither dropout, accumulation_off_by_one, pads that count, imported weights "
            "nor an objective with a loss of its own, such as distillation",
            got=f"member {keys.index(None)} that has",
            remedy="Train it alone.",
        )
    if len(set(keys)) > 1:
        raise ConfigurationError(
            "a fleet's members may differ in seed, learning rate and what leaves the arithmetic alone",
            got=f"{len(set(keys))} shapes or recipes",
            remedy="Put runs of one lilliput.training.fleet.fleet_key together.",
        )
