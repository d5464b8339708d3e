"""Publish runs and corpora as Hugging Face folders, and those folders on the Hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lilliput.core.artefacts import is_artefact, read_manifest, whole_files
from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import read_json
from lilliput.core.network import answering
from lilliput.core.reader import ScoreEntry, read_record
from lilliput.evaluation.folders import run_origins
from lilliput.language.corpus.card import case_note
from lilliput.language.words.text_form import TextForm
from lilliput.models.hugging_face.card import ModelCard
from lilliput.models.hugging_face.exported import Exported
from lilliput.study.publishing.corpus import export_corpus
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.runs import RunRecord, read_run
from lilliput.tokenization.folder import TOKENIZER_FILE
from lilliput.tokenization.normalizer import with_text_form

_RESULTS = (
    "loss",
    "loss_reference",
    "perplexity",
    "bits_per_byte",
    "unigram_entropy",
    "tokens_seen",
    "steps",
    "wall_time_s",
)
_FEW_ITEMS = 100


def export_artefact(
    source: Path, to: Path, *, tokenizer: Path | None = None, checkpoint: str = "final"
) -> Exported:
    """Write a run as a Hugging Face model folder, or a corpus as a data-set folder.

    Args:
        source: Folder of a finished run or corpus.
        to: Where the export shall lie.
        tokenizer: For a run: the tokenizer it was trained with; looked for in its study by default.
        checkpoint: For a run: "final", "initial" or "step-N".

    Raises:
        InputError: `source` is neither, or the tokenizer does not fit.
        OccupiedFolderError: `to` holds something else.
    """
    kind = read_manifest(source).kind
    if kind == "run":
        return export_run(source, to, tokenizer=tokenizer, checkpoint=checkpoint)
    if kind == "corpus":
        return export_corpus(source, to)
    raise InputError("only runs and corpora can be exported", got=f"a {kind} in {source}")


def export_run(
    run: Path, to: Path, *, tokenizer: Path | None = None, checkpoint: str = "final"
) -> Exported:
    """Write a finished run's model, its tokenizer and a card with all that its study knows of it.

    Args:
        run: Folder of the run; in a study, tokenizer, corpus and scores are found by their ids.
        to: Where the export shall lie.
        tokenizer: Folder of the tokenizer, where it is not in the study.
        checkpoint: "final", "initial" or "step-N".

    Raises:
        InputError: No finished run is there, or the tokenizer does not fit.
        OccupiedFolderError: `to` holds something else.
    """
    from lilliput.evaluation.weights import text_form_of_run
    from lilliput.models import export_model
    from lilliput.training import load_model

    manifest = read_manifest(run, "run")
    origins = run_origins(run)
    tokenizer = tokenizer or origins.tokenizer
    text_form = text_form_of_run(run)
    return export_model(
        load_model(run, checkpoint),
        to,
        tokenizer=tokenizer,
        card=_card(read_run(run), checkpoint, origins.corpus, tokenizer, text_form),
        inputs={"run": manifest.id},
        normalizer=_normalizer(tokenizer, text_form),
    )


def _normalizer(tokenizer: Path | None, text_form: TextForm | None) -> Mapping[str, Any] | None:
    """Return what the exported tokenizer must do to a text, so that it reads as the corpus was read."""
    if tokenizer is None or text_form is None or not (tokenizer / TOKENIZER_FILE).is_file():
        return None  # A folder without a tokenizer is refused where it is read.
    own = read_json(tokenizer / TOKENIZER_FILE).get("normalizer")
    return with_text_form(own, text_form)


def _scores(folder: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted(folder.rglob("scores.json")):
        yield from (
            score for score in read_record(path, list[ScoreEntry]) if score["weights"] == "trained"
        )


def _card(
    run: RunRecord,
    checkpoint: str,
    corpus: Path | None,
    tokenizer: Path | None,
    text_form: TextForm | None,
) -> ModelCard:
    is_final = checkpoint == "final"
    study = StudyLayout(run.folder.resolve().parent.parent)
    found = _scores(study.root / "evaluations" / run.folder.resolve().name)
    scores = [s for s in found if s.get("checkpoint", "final") == checkpoint]
    results = {name: run.result[name] for name in _RESULTS if name in run.result}
    flops = {name: run.result[name] for name in run.result if name.startswith("flops_")}
    return ModelCard(
        name=run.name if is_final else f"{run.name}, {checkpoint}",
        language=str(_corpus_settings(corpus).get("text_language") or ""),
        text=_text(text_form, tokenizer),
        run=run.run_id,
        corpus=_named_hash(corpus),
        tokenizer=_named_hash(tokenizer),
        results=results if is_final else {},
        flops=flops if is_final else {},
        scores=scores,
        limits=_limits(run, scores, corpus, tokenizer),
        profile=_profile(run),
    )


def _corpus_settings(corpus: Path | None) -> Mapping[str, Any]:
    return {} if corpus is None else read_manifest(corpus, "corpus").settings


def _text(text_form: TextForm | None, tokenizer: Path | None) -> str:
    """Return what was done to the text of the corpus, and who does it to other texts."""
    if text_form is None:
        return ""
    by_itself = (
        "" if tokenizer is None else "; the tokenizer in this folder does the same by itself"
    )
    return f"the model learned from text that is {text_form.in_words}{by_itself}"


def _named_hash(folder: Path | None) -> dict[str, str]:
    if folder is None or not is_artefact(folder):
        return {}
    return {"name": folder.name, "hash": read_manifest(folder).content}


def _profile(run: RunRecord) -> dict[str, str]:
    training = run.config["training"]
    facts = {"profile": training["profile"], "seed": run.config["seed"]}
    facts |= {"schedule": training["lr_scheduler_type"], "learning rate": training["learning_rate"]}
    if "language" in run.info:
        facts["language"] = run.info["language"]
    return {name: str(value) for name, value in facts.items()}


def _limits(
    run: RunRecord, scores: list[Mapping[str, Any]], corpus: Path | None, tokenizer: Path | None
) -> list[str]:
    limits = [
        f"One training run (seed {run.config['seed']}): losses carry no interval over seeds, and small "
        "differences between single runs mean nothing."
    ]
    if not scores:
        limits.append("It has not been evaluated on any task.")
    few = [str(s["task"]) for s in scores if s["n"] < _FEW_ITEMS]
    if few:
        limits.append(f"Too few scored examples to conclude anything: {', '.join(few)}.")
    if note := case_note(_corpus_settings(corpus)).strip():
        limits.append(note)
    if tokenizer is None:
        limits.append("Its tokenizer is not in this folder.")
    return limits


class Hub(Protocol):
    """The two calls of `huggingface_hub.HfApi` that a push needs."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> object:
        """Make the repository unless it is there."""
        ...

    def upload_folder(
        self, *, repo_id: str, folder_path: str, repo_type: str, commit_message: str
    ) -> object:
        """Upload what has changed in the folder."""
        ...


@dataclass(frozen=True)
class Pushed:
    """Says what was sent where."""

    path: Path
    layout: str
    hub: str

    def as_record(self) -> dict[str, str]:
        """Return the keys of the command line's contract."""
        return {"path": str(self.path), "layout": self.layout, "hub": self.hub}


def push(folder: Path, name: str, *, private: bool = False, hub: Hub | None = None) -> Pushed:
    """Upload an exported folder to the Hugging Face Hub: the one command that uses the network.

    Args:
        folder: What `export_artefact` wrote.
        name: Repository, as USER/NAME.
        private: Make a new repository private.
        hub: The Hub to talk to; `HfApi()`, with the token of this machine, by default.

    Raises:
        InputError: The folder is not an export, or the name is not USER/NAME.
        MissingExtraError: huggingface_hub is not installed.
    """
    manifest = read_manifest(folder, "export")
    owner, slash, repository = name.partition("/")
    if not (owner and slash and repository) or "/" in repository:
        raise InputError("the Hub's repository must be USER/NAME", got=repr(name))
    connection: Hub = hub or require("huggingface_hub", "hf").HfApi()
    kind = str(manifest.facts["repo_type"])
    whole_files(folder, "*")
    with answering(f"the repository {name} on the Hub"):
        connection.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        connection.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            repo_type=kind,
            commit_message=f"Upload {manifest.id}",
        )
    return Pushed(folder, str(manifest.facts["layout"]), name)
