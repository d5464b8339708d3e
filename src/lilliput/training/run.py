"""A run as an artefact: trained once, resumed where it stopped, recognised when it is done."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lilliput.architecture import count_parameters, shape_name
from lilliput.core.artefacts import (
    ArtefactBuild,
    Manifest,
    building,
    claim_folder,
    folder_holds,
    is_artefact,
    read_manifest,
)
from lilliput.core.files import write_json
from lilliput.core.progress import SILENT, Reporter
from lilliput.language.corpus.reading import TEXT_FORM_KEY
from lilliput.training.checkpoints import remove_resume_points
from lilliput.training.data.token_data import RunData, load_data
from lilliput.training.execution.plan import threads_given_back
from lilliput.training.loop import TrainingLoop
from lilliput.training.recorder import BudgetBranching, RunRecorder
from lilliput.training.run_config import RUN_KIND, RUN_SCHEMA, RunConfig, run_identity, run_lineage
from lilliput.training.run_folder import CONFIG, RESULT, RunResult


def train(
    config: RunConfig,
    tokens: Path,
    out: Path,
    *,
    reporter: Reporter = SILENT,
    info: Mapping[str, Any] | None = None,
    keep_states_at: Collection[int] = (),
    start_from: Path | None = None,
    weights_from: Path | None = None,
) -> RunResult:
    """Train the run in the folder `out`, or go on with it, or return its result if it is done.

    Args:
        config: Model, recipe and seed.
        tokens: Token store to train and validate on.
        out: Folder of the run; made when absent.
        reporter: Where progress goes.
        info: More to record in `run.json` (language, family); not part of the identity.
        keep_states_at: Steps after which the whole state is kept, for `train_branches`.
        start_from: State of a longer run of the same lineage to start from, if it is there; the result
            does not depend on it.
        weights_from: Hugging Face folder with the weights that `config.initial_weights` names; read when
            the run begins, and not again.

    Raises:
        ConfigurationError: The recipe does not fit the model or the token store.
        OccupiedFolderError: `out` holds something else, such as a half-done run of another recipe.
        NonFiniteLossError: Training diverged; names step, learning rate and the last checkpoint.
        DiskFullError: A file cannot be written.
        KeyboardInterrupt: Ctrl-C or SIGTERM; a checkpoint was written first.
    """
    manifest = read_manifest(tokens, "tokens")
    identity = run_identity(config, manifest)
    if is_artefact(out) and folder_holds(out) == identity:
        return RunResult.read(out)
    config.objective().require_store(tokens)  # Before the folder is taken.
    with building_run(config, manifest, out, info) as build, threads_given_back():
        data = load_data(config, tokens)
        branching = BudgetBranching(
            run_lineage(config, manifest), frozenset(keep_states_at), start_from
        )
        loop = TrainingLoop(config, data, build.folder, reporter, branching, weights_from)
        loop.run()
        finish_run(build, config, data, loop.recorder)
    return RunResult.read(out)


@contextmanager
def building_run(
    config: RunConfig,
    tokens: Manifest,
    out: Path,
    info: Mapping[str, Any] | None = None,
    *,
    started: float | None = None,
) -> Generator[ArtefactBuild]:
    """Yield the folder of a run while it is built: `run.json` is there, and the manifest comes at the end.

    `started` says when the run began, by `time.monotonic`, where that was before this block.

    Raises:
        OccupiedFolderError: `out` holds something else.
    """
    inputs = {"tokens": tokens.id}
    settings = config.identity_settings()
    with building(out, RUN_KIND, RUN_SCHEMA, settings, inputs, started=started) as build:
        claim_run(config, tokens, build.folder, info)
        # What was done to the corpus's text stays with the model, wherever the run is taken.
        build.facts[TEXT_FORM_KEY] = tokens.settings.get(TEXT_FORM_KEY)
        yield build


def claim_run(
    config: RunConfig, tokens: Manifest, out: Path, info: Mapping[str, Any] | None = None
) -> None:
    """Mark `out` as the place of the run, and write its `run.json`.

    Raises:
        OccupiedFolderError: `out` holds something else.
    """
    identity = run_identity(config, tokens)
    claim_folder(out.resolve(), identity, RUN_KIND)
    write_json(out / CONFIG, _run_record(config, identity, dict(info or {})))


def finish_run(
    build: ArtefactBuild, config: RunConfig, data: RunData, recorder: RunRecorder
) -> None:
    """Write the figures of a run that has ended, and delete what only an unfinished one needs."""
    count = count_parameters(config.built_model())
    record = {
        "run_id": build.id,
        **recorder.summary(),
        "unigram_entropy": data.unigram_entropy,
        "num_parameters": count.total,
        "num_parameters_non_embedding": count.non_embedding,
    }
    write_json(build.folder / RESULT, record)
    remove_resume_points(recorder.checkpoints)
    build.facts.update(record)


def _run_record(config: RunConfig, identity: str, info: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": identity,
        "shape": shape_name(config.model),
        "config": config.model_dump(mode="json"),
        "info": info,
    }
