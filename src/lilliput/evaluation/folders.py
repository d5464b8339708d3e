"""The folders of an evaluation, where the user does not give them: found by what the run was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lilliput.core.artefacts import MANIFEST, read_manifest
from lilliput.core.errors import InputError


@dataclass(frozen=True)
class EvaluationFolders:
    """Hold the folders of one evaluation.

    Attributes:
        tokenizer: The run's.
        out: For the scores.
        probes: Of the run's language; None outside a study.
    """

    tokenizer: Path
    out: Path
    probes: Path | None


def evaluation_folders(
    run: Path, suite: str, tokenizer: Path | None, out: Path | None, checkpoint: str
) -> EvaluationFolders:
    """Return the folders given, or those of the study that the run lies in.

    The tokenizer is found by content: the run names its token store, the store its tokenizer.

    Raises:
        InputError: The run is not there, or no tokenizer was given and none is found.
    """
    study = run.resolve().parent.parent
    origins = run_origins(run)
    return EvaluationFolders(
        tokenizer or _required(origins.tokenizer, study),
        out or scores_folder(run, suite, checkpoint),
        study / "probes" / origins.tokens.name if origins.tokens else None,
    )


def scores_folder(run: Path, suite: str, checkpoint: str) -> Path:
    """Return where the scores of a run on a suite go: into its study, or beside the run.

    Raises:
        InputError: The run is not there.
    """
    name = suite if checkpoint == "final" else f"{suite}-{checkpoint}"
    if run.resolve().parent.name != "runs":
        return run.with_name(f"{run.resolve().name}-{name}")
    study = run.resolve().parent.parent
    return study / "evaluations" / read_manifest(run, "run").id / name


def _required(tokenizer: Path | None, study: Path) -> Path:
    if tokenizer is None:
        raise InputError(
            "the run's tokenizer must be known",
            got=f"no tokenizer of this run in {study}",
            remedy="Give its folder with --tokenizer.",
        )
    return tokenizer


@dataclass(frozen=True)
class RunOrigins:
    """Name what a run was made from, as far as its study still has it."""

    tokens: Path | None
    tokenizer: Path | None
    corpus: Path | None


def run_origins(run: Path) -> RunOrigins:
    """Return what a run was made from: its manifest names its tokens, and theirs tokenizer and corpus.

    All are found by content beside the folder `runs`, whatever they are called there.

    Raises:
        InputError: The run is not there.
    """
    study = run.resolve().parent.parent
    wanted = set(read_manifest(run, "run").inputs.values())
    tokens = _first_among(wanted, study / "tokens", "tokens")
    if tokens is not None:
        wanted |= set(read_manifest(tokens).inputs.values())
    return RunOrigins(
        tokens=tokens,
        tokenizer=_first_among(wanted, study / "tokenizers", "tokenizer"),
        corpus=_first_among(wanted, study / "corpora", "corpus"),
    )


def _first_among(wanted: set[str], folder: Path, kind: str) -> Path | None:
    """Return the artefact known downstream by its id, or (a trained tokenizer) by its content."""
    for path in sorted(folder.rglob(MANIFEST)):
        manifest = read_manifest(path.parent)
        if manifest.kind == kind and {manifest.id, manifest.content} & wanted:
            return path.parent
    return None
