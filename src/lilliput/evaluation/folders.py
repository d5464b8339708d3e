"""Where an evaluation finds its tokenizer and puts its scores, when the user does not say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lilliput.core.artefacts import Manifest, is_artefact, read_manifest
from lilliput.core.errors import ConfigurationError, InputError
from lilliput.evaluation.settings import PairSettings, WordRule, plain_pair_settings
from lilliput.training import read_run_config


@dataclass(frozen=True)
class EvaluationFolders:
    """Folders of one evaluation.

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
    """The folders given, or those of the study that the run lies in.

    The tokenizer is found by content: the run names its token store, the store its tokenizer.

    Raises:
        InputError: The run is not there, or no tokenizer was given and none is found.
    """
    manifest = read_manifest(run, "run")
    study = run.resolve().parent.parent
    store = find_token_store(run, manifest)
    name = suite if checkpoint == "final" else f"{suite}-{checkpoint}"
    is_study = run.resolve().parent.name == "runs"
    beside = run.with_name(f"{run.resolve().name}-{name}")
    return EvaluationFolders(
        tokenizer or _find_tokenizer(study, store),
        out or (study / "evaluations" / manifest.id / name if is_study else beside),
        study / "probes" / store.name if store else None,
    )


def find_token_store(run: Path, manifest: Manifest) -> Path | None:
    """The token store that a run of a study was trained on; None when it is not beside it."""
    wanted = manifest.inputs.get("tokens")
    folders = _artefacts(run.resolve().parent.parent / "tokens", "*")
    return next((folder for folder in folders if read_manifest(folder).id == wanted), None)


def _find_tokenizer(study: Path, store: Path | None) -> Path:
    if store is not None:
        wanted = read_manifest(store).inputs["tokenizer"]
        for folder in _artefacts(study / "tokenizers", "*/*"):
            if read_manifest(folder).content == wanted:
                return folder
    raise InputError(
        "the run's tokenizer must be known",
        got=f"no tokenizer of this run in {study}",
        remedy="Give its folder with --tokenizer.",
    )


def _artefacts(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(folder.glob(pattern)) if is_artefact(path))


def default_pair_settings(run: Path) -> PairSettings:
    """The plain method of the run's kind of model, masked or causal."""
    return plain_pair_settings(read_run_config(run).model.is_causal)


def word_rule_named(name: str) -> WordRule:
    """The word rule called `name`.

    Raises:
        ConfigurationError: There is none.
    """
    for rule in get_args(WordRule):
        if rule == name:
            return rule
    raise ConfigurationError(
        f"the word rule must be one of {', '.join(get_args(WordRule))}", got=repr(name)
    )
