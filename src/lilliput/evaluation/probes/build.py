"""The artefact "probes": a folder a task, with its definition and its train and dev examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import (
    ArtefactBuild,
    Manifest,
    artefact_id,
    building,
    is_artefact,
    read_manifest,
)
from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path, write_json
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.evaluation.probes.makers import (
    COHERENCE,
    WORD_ORDER,
    ProbeExample,
    largest_sources,
    make_coherence,
    make_source,
    make_word_order,
    source_definition,
)
from lilliput.evaluation.probes.windows import DocumentWindows, read_documents
from lilliput.evaluation.settings import ProbeSettings
from lilliput.evaluation.tasks.definition import TaskDefinition

PROBES_KIND = "probes"
PROBES_SCHEMA = 1
_FEWEST = 8
"""Training or scored examples below which a probe is left out, with the reason in the facts."""


def build_probes(
    corpus: Path,
    out: Path,
    *,
    settings: ProbeSettings | None = None,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Manifest:
    """Make probe tasks from the held-out text of `corpus`, as an artefact in `out`.

    Train and dev examples come from different documents, and no dev text occurs in train.

    Args:
        corpus: Artefact "corpus".
        out: Folder of the artefact; one that is already there is returned as it is.
        settings: Which probes, from which splits, how large.
        seed: Of the division of documents and of every draw.
        reporter: Where progress goes.

    Returns:
        The manifest; `facts` holds, by task, the numbers of `train` and `dev` examples and `classes`,
        or the reason why a probe was `left_out`.

    Raises:
        InputError: Fewer than two documents are held out, or no probe can be made.
    """
    settings = settings or ProbeSettings()
    made_from = {
        "probes": settings.model_dump(mode="json", exclude={"fine_tuning"}),
        "seed": seed,
    }
    inputs = {"corpus": read_manifest(corpus, "corpus").id}
    if is_artefact(out):
        manifest = read_manifest(out)
        if manifest.id == artefact_id(PROBES_KIND, PROBES_SCHEMA, made_from, inputs):
            return manifest
    with building(out, PROBES_KIND, PROBES_SCHEMA, made_from, inputs) as build:
        train, dev = _divide(read_documents(corpus, settings, seed), settings.dev_share, corpus)
        with reporter.task("probes", total=len(settings.tasks), unit="tasks") as task:
            for name in settings.tasks:
                build.facts[name] = _build_one(build, name, train, dev, settings, seed)
                task.advance(note=name)
        if not any("train" in fact for fact in build.facts.values()):
            raise InputError(
                "a corpus must hold enough held-out text for at least one probe",
                got="; ".join(f"{name}: {f['left_out']}" for name, f in build.facts.items()),
                remedy="Use a larger corpus, hold out a larger share, or lower probes.min_words.",
            )
    return read_manifest(out)


def _divide(
    documents: list[DocumentWindows], dev_share: float, corpus: Path
) -> tuple[list[DocumentWindows], list[DocumentWindows]]:
    """Return the documents for training and for scoring, none in both."""
    usable = [document for document in documents if next(document.windows, None)]
    if len(usable) < 2:
        raise InputError(
            f"probes need at least two held-out documents with sentences in {corpus}",
            got=f"{len(usable)} documents",
            remedy="Build the corpus with a larger share of validation and test documents.",
        )
    held = min(max(1, round(dev_share * len(usable))), len(usable) - 1)
    return usable[held:], usable[:held]


def _build_one(
    build: ArtefactBuild,
    name: str,
    train: Sequence[DocumentWindows],
    dev: Sequence[DocumentWindows],
    settings: ProbeSettings,
    seed: int,
) -> dict[str, object]:
    labels = largest_sources(train, dev, settings.max_sources)
    if name == "source" and len(labels) < 2:
        return {"left_out": f"{len(labels)} source with text in both train and dev"}
    sets: dict[str, list[ProbeExample]] = {}
    for split, documents, count in (
        ("train", train, settings.max_train_examples),
        ("dev", dev, settings.max_dev_examples),
    ):
        rng = generator(seed, "probe", name, split)
        sets[split] = _make(name, split, documents, labels, count, rng)
    known = {example.texts for example in sets["train"]}
    sets["dev"] = [example for example in sets["dev"] if example.texts not in known]
    fewest = min(map(len, sets.values()))
    if fewest < _FEWEST:
        return {"left_out": f"{fewest} examples, fewer than {_FEWEST}"}
    definition = _definition_of(name, labels)
    write_json(build.path(f"{name}/task.json"), definition.model_dump(mode="json"))
    for split, examples in sets.items():
        _write(build.path(f"{name}/{split}.parquet"), definition, examples)
    classes = len(definition.labels)
    return {"train": len(sets["train"]), "dev": len(sets["dev"]), "classes": classes}


def _make(
    name: str,
    split: str,
    documents: Sequence[DocumentWindows],
    labels: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> list[ProbeExample]:
    if name == "word_order":
        return make_word_order(documents, count, rng, both_ways=split == "train")
    if name == "coherence":
        return make_coherence(documents, count // 2, rng)
    return make_source(documents, labels, count, rng)


def _definition_of(name: str, labels: Sequence[str]) -> TaskDefinition:
    fixed = {"word_order": WORD_ORDER, "coherence": COHERENCE}
    return fixed.get(name) or source_definition(labels)


def _write(path: Path, task: TaskDefinition, examples: Sequence[ProbeExample]) -> None:
    columns: dict[str, list[object]] = {
        field: [example.texts[i] for example in examples] for i, field in enumerate(task.fields)
    }
    columns[task.label] = [example.label for example in examples]
    columns["idx"] = list(range(len(examples)))
    columns["doc_id"] = [example.doc_id for example in examples]
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")
