"""Many budgets from one trunk: warm-up, stable rate, and a decay that ends at each budget.

The longest run is the trunk. It is trained once and leaves its whole state at the steps where shorter
ones begin to decay (see `trunks`); each branch starts there and ends bitwise where it would have ended
from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import LilliputError
from lilliput.core.files import write_json
from lilliput.core.progress import SILENT, Reporter
from lilliput.training.execution.plan import read_plan
from lilliput.training.run import claim_run, train
from lilliput.training.run_config import PLAN, RunConfig
from lilliput.training.run_folder import RunResult
from lilliput.training.trunks import branch_start


def train_branches(
    configs: Sequence[RunConfig],
    tokens: Path,
    outs: Sequence[Path],
    *,
    infos: Sequence[Mapping[str, Any]] | None = None,
    reporter: Reporter = SILENT,
) -> list[RunResult | LilliputError]:
    """Train the runs of `branch_configs`, or go on with them; all but the longest start from its states.

    A branch whose state is not there is trained from scratch: that costs time and changes nothing.

    Args:
        configs: Shortest first, as `branch_configs` gives them.
        tokens: Token store.
        outs: Folder of each run.
        infos: More to record in each `run.json`.
        reporter: Where progress goes.

    Returns:
        Of each run its result, equal to that of `train` alone, or the error that stopped it; one that
        diverges does not stop the others.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; a checkpoint was written first.
    """
    infos = infos or [{} for _ in configs]
    starts = [branch_start(config) for config in configs]
    trunk = outs[-1]

    def attempt(position: int, **more: Any) -> RunResult | LilliputError:
        out, info = outs[position], infos[position]
        try:
            return train(configs[position], tokens, out, info=info, reporter=reporter, **more)
        except LilliputError as error:
            return error

    results = [attempt(len(configs) - 1, keep_states_at=frozenset(starts[:-1]))]
    for position in reversed(range(len(configs) - 1)):
        try:
            _take_plan(configs[position], tokens, outs[position], infos[position], trunk)
        except LilliputError as error:
            results.append(error)
            continue
        state = trunk / "checkpoints" / f"state-{starts[position]}"
        results.append(attempt(position, start_from=state))
    return results[::-1]


def _take_plan(
    config: RunConfig, tokens: Path, out: Path, info: Mapping[str, Any], trunk: Path
) -> None:
    """Have a branch that is not begun obey its trunk's execution plan: bits agree within one plan."""
    if is_artefact(out) or (out / PLAN).is_file() or not (trunk / PLAN).is_file():
        return
    claim_run(config, read_manifest(tokens, "tokens"), out, info)
    write_json(out / PLAN, asdict(replace(read_plan(trunk / PLAN), fleet=())))
