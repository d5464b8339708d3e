"""Publish a corpus as a data-set folder: one Parquet file a split, and a card."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from lilliput.core.artefacts import (
    Manifest,
    artefact_id,
    building,
    folder_holds,
    is_artefact,
    read_manifest,
)
from lilliput.core.files import atomic_path, write_text
from lilliput.language import iter_texts
from lilliput.language.corpus.card import case_note
from lilliput.models.hugging_face.card import markdown_environment
from lilliput.models.hugging_face.exported import Exported

_KIND, _SCHEMA = "export", 1
_SPLITS = ("train", "validation", "test")
_COLUMNS = ("text", "doc_id", "source", "position")


def export_corpus(corpus: Path, to: Path) -> Exported:
    """Write a corpus as a folder that `datasets.load_dataset` reads.

    Args:
        corpus: A finished corpus.
        to: Where the export shall lie.

    Raises:
        InputError: No corpus is there.
        OccupiedFolderError: `to` holds something else.
    """
    manifest = read_manifest(corpus, "corpus")
    settings, inputs = {"columns": list(_COLUMNS)}, {"corpus": manifest.id}
    exported = Exported(to, "parquet")
    if is_artefact(to) and folder_holds(to) == artefact_id(_KIND, _SCHEMA, settings, inputs):
        return exported
    with building(to, _KIND, _SCHEMA, settings, inputs) as build:
        rows = {
            split: _write_split(corpus, split, build.path(f"data/{split}.parquet"))
            for split in _SPLITS
        }
        rows = {split: count for split, count in rows.items() if count}
        write_text(build.path("README.md"), _card(corpus, manifest, rows))
        build.facts.update(layout="parquet", repo_type="dataset", rows=rows)
    return exported


def _write_split(corpus: Path, split: str, path: Path) -> int:
    """Return rows written; no file is left for an empty split."""
    batches = iter(iter_texts(corpus, split, columns=_COLUMNS))
    first = next((batch for batch in batches if batch.num_rows), None)
    if first is None:
        return 0
    rows = first.num_rows
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, first.schema, compression="zstd") as writer,
    ):
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _card(corpus: Path, manifest: Manifest, rows: dict[str, int]) -> str:
    facts = {
        name: manifest.facts[name]
        for name in ("documents", "spans", "kept", "written", "duplicates", "words")
        if name in manifest.facts
    }
    template = markdown_environment("lilliput.study.publishing").get_template("dataset_card.md")
    return template.render(
        name=corpus.name,
        rows=rows,
        facts=facts,
        dropped=manifest.facts.get("dropped", {}),
        settings=manifest.settings,
        language=str(manifest.settings.get("text_language") or ""),
        case_note=case_note(manifest.settings).strip(),
        columns=_COLUMNS,
        artefact=manifest.id,
        content=manifest.content,
    )
