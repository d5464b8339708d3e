# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Read any corpus folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from lilliput.core.artefacts import Manifest, read_manifest, whole_files
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import parse_settings
from lilliput.language.corpus.settings import SPLITS
from lilliput.language.words.text_form import TextForm

KIND = "corpus"
SCHEMA = 1
TEXT_FORM_KEY = "text_form"  # Of the settings in a manifest.
DEFAULT_COLUMNS = ("text", "doc_id", "source", "position")


def iter_texts(
    corpus: Path, split: str, columns: Sequence[str] = DEFAULT_COLUMNS
) -> Iterator[pa.RecordBatch]:
    """Yield the spans of one split of a corpus, in order, as record batches with `columns`.

    Raises:
        InputError: No finished corpus lies there.
        ConfigurationError: There is no such split.
    """
    if split not in SPLITS:
        raise ConfigurationError(
            "the split must be known", got=repr(split), remedy=f"Use one of: {', '.join(SPLITS)}."
        )
    read_manifest(corpus, KIND, SCHEMA)
    for path in shard_paths(corpus):
        yield from _of_split(path, split, columns)


def recorded_text_form(manifest: Manifest) -> TextForm | None:
    """Return what was done to the text behind an artefact; None when its manifest does not say.

    Args:
        manifest: Of a corpus or its tokens (among the settings), or of a run (among the facts).

    Raises:
        ConfigurationError: The record has keys or values that are not known here.
    """
    record = {**manifest.facts, **manifest.settings}.get(TEXT_FORM_KEY)
    if record is None:
        return None
    return parse_settings(TextForm, record, where=f"the manifest {manifest.id}")


def _of_split(path: Path, split: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(dict.fromkeys([*columns, "split"]))):
            rows = batch.filter(pc.equal(batch.column("split"), split))
            if rows.num_rows:
                yield rows.select(list(columns))


def shard_paths(corpus: Path) -> list[Path]:
    """Return the Parquet files of a corpus in order."""
    return whole_files(corpus, "shards/*.parquet")
