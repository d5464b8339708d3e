"""Encode a corpus into the token store: part by part, in parallel, and on from where it stopped.

A part is a few row groups of a shard. Its bounds depend on the corpus alone, and parts are joined in the
order of the corpus, so that any number of workers writes the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from lilliput.core.artefacts import ArtefactBuild, artefact_id, building, is_artefact, read_manifest
from lilliput.core.errors import ArtefactError, ConfigurationError, DiskFullError
from lilliput.core.executors import Executor, make_executor
from lilliput.core.files import atomic_path, read_json, write_json
from lilliput.core.progress import SILENT, Reporter, Task
from lilliput.language.corpus.reading import TEXT_FORM_KEY, recorded_text_form
from lilliput.language.corpus.span_ids import SPAN_ID_COLUMNS, names_spans, span_ids
from lilliput.language.words.text_form import TextForm
from lilliput.tokenization.counting.texts import (
    batches_of_shard,
    row_group_ranges,
    rows_of,
    shard_paths,
)
from lilliput.tokenization.encoding.encoder import TextEncoder
from lilliput.tokenization.encoding.estimate import estimate_store
from lilliput.tokenization.folder import LoadedTokenizer, load_tokenizer
from lilliput.tokenization.store import (
    KIND,
    SCHEMA,
    SPLITS,
    offsets_file,
    span_ids_file,
    token_dtype,
    tokens_file,
)
from lilliput.tokenization.symbols import token_bytes, word_start

_PARTS = "parts"
_PART_BYTES = 32_000_000  # Of text: about the time in which a worker process starts.


@dataclass(frozen=True)
class EncodeResult:
    """A summary of what lies in the token store.

    Attributes:
        folder: Where it lies.
        tokens: All tokens.
        documents: All documents; one is a row of the corpus.
        vocab_size: Ids, unused ones included.
        unknown: Tokens that are `<unk>`.
        by_split: Tokens and documents of each split.
        skipped: Whether it lay there already.
    """

    folder: Path
    tokens: int
    documents: int
    vocab_size: int
    unknown: int
    by_split: dict[str, dict[str, int]]
    skipped: bool

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


@dataclass(frozen=True)
class _EncoderChoice:
    """The way in which the texts of one corpus become ids; workers keep the encoder of the last choice."""

    tokenizer: Path
    content: str
    dtype: str
    text_form: TextForm | None


@dataclass(frozen=True)
class _Work:
    """The task of encoding one part, with all that a worker needs for it: some row groups of a shard."""

    shard: Path
    row_groups: tuple[int, int]
    part: Path
    encoder: _EncoderChoice
    has_span_ids: bool


def encode_corpus(
    corpus: Path,
    tokenizer: Path,
    out: Path,
    *,
    vocab_size: int | None = None,
    workers: int = 1,
    reporter: Reporter = SILENT,
) -> EncodeResult:
    """Encode every split of a corpus, or find it done.

    Args:
        corpus: A corpus folder.
        tokenizer: A tokenizer folder.
        out: Folder of the store.
        vocab_size: Rows that models will have, when more than the tokenizer has ids (the paper's 19,010
            for 19,000); the unused ones are recorded.
        workers: Processes that encode at the same time; no more are started than there are parts.
        reporter: Where progress goes.

    Raises:
        ConfigurationError: `vocab_size` is smaller than the tokenizer's.
        DiskFullError: The disk has less room than the store will surely need.
    """
    loaded = load_tokenizer(tokenizer)
    rows = _rows(loaded, vocab_size)
    origin = read_manifest(corpus, "corpus")
    text_form = recorded_text_form(origin)
    settings = {
        "vocab_size": rows,
        TEXT_FORM_KEY: None if text_form is None else text_form.model_dump(),
    }
    inputs = {"corpus": origin.id, "tokenizer": loaded.content}
    if is_artefact(out) and read_manifest(out).id == artefact_id(KIND, SCHEMA, settings, inputs):
        return _result(out, skipped=True)
    if text_form is None:
        reporter.say(
            "The corpus does not say what was done to its text (lower-casing, for one): it is taken as it stands."
        )
    _require_disk(corpus, tokenizer, out, reporter)
    with building(out, KIND, SCHEMA, settings, inputs) as build:
        dtype = token_dtype(rows)
        work = _plan(
            build, corpus, _EncoderChoice(loaded.folder, loaded.content, dtype.str, text_form)
        )
        workers = min(workers, len(work))
        executor = make_executor("process" if workers > 1 else "inline", workers)
        with executor, reporter.task("encode", total=len(work), unit="parts") as task:
            _encode_parts(executor, work, task)
        build.facts |= _assemble(build, work, dtype)
        build.facts |= _describe_ids(build, loaded, rows)
    return _result(out, skipped=False)


def _plan(build: ArtefactBuild, corpus: Path, encoder: _EncoderChoice) -> list[_Work]:
    """Return the parts of a corpus, in order."""
    parts = build.scratch(_PARTS)
    has_span_ids = all(map(names_spans, shard_paths(corpus)))
    return [
        _Work(
            shard=shard,
            row_groups=(first, last),
            part=parts / f"{shard.stem}-{first:05d}-{last:05d}",
            encoder=encoder,
            has_span_ids=has_span_ids,
        )
        for shard in shard_paths(corpus)
        for first, last in row_group_ranges(shard, _PART_BYTES)
    ]


def _rows(loaded: LoadedTokenizer, asked: int | None) -> int:
    if asked is not None and asked < loaded.vocab_size:
        raise ConfigurationError(
            f"vocab_size must hold the tokenizer's {loaded.vocab_size} ids",
            got=asked,
            remedy=f"Use {loaded.vocab_size} or more, or leave it out.",
        )
    return asked or loaded.vocab_size


def _require_disk(corpus: Path, tokenizer: Path, out: Path, reporter: Reporter) -> None:
    """Say what is coming, and stop before work that the disk cannot hold."""
    estimate = estimate_store(corpus, tokenizer)
    size = estimate.disk_bytes
    reporter.say(
        f"{estimate.documents:,} documents, about {estimate.tokens.value:,.0f} tokens, {size.value / 1e6:,.1f} MB"
    )
    needed = size.value if size.low is None else size.low
    existing = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DiskFullError(
            f"{existing} must have room for at least {needed / 1e6:,.0f} MB",
            got=f"{free / 1e6:,.0f} MB free",
            remedy="Free some space or choose another folder.",
        )


def _encode_parts(executor: Executor, work: Sequence[_Work], task: Task) -> None:
    waiting = [item for item in work if not item.part.with_suffix(".json").is_file()]
    task.found(len(work) - len(waiting))
    for _ in executor.map(_encode_part, waiting):
        task.advance()


def _encode_part(work: _Work) -> None:
    """Encode one part into one file of tokens, of sizes and of span ids per split; the record comes last."""
    encoder, unknown = _encoder(work.encoder)
    ids = {split: [np.zeros(0, work.encoder.dtype)] for split in SPLITS}
    lengths = {split: [np.zeros(0, np.int64)] for split in SPLITS}
    spans = {split: [np.zeros(0, np.uint64)] for split in SPLITS}
    names = SPAN_ID_COLUMNS if work.has_span_ids else ()
    for batch in batches_of_shard(work.shard, range(*work.row_groups), names):
        for split in SPLITS:
            rows = rows_of(batch, split)
            found, sizes = encoder.encode(rows.column("text"))
            ids[split].append(found)
            lengths[split].append(sizes)
            if work.has_span_ids:
                spans[split].append(span_ids(rows))
    record: dict[str, list[int]] = {}
    for split in SPLITS:
        tokens, sizes = np.concatenate(ids[split]), np.concatenate(lengths[split])
        _save(_part(work, split, "tokens"), tokens)
        _save(_part(work, split, "sizes"), sizes)
        _save(_part(work, split, "spans"), np.concatenate(spans[split]))
        record[split] = [len(tokens), len(sizes), int((tokens == unknown).sum())]
    write_json(work.part.with_suffix(".json"), record)


@lru_cache(maxsize=1)
def _encoder(choice: _EncoderChoice) -> tuple[TextEncoder, int]:
    """Return the encoder of this process, which remembers words from part to part, and the id of `<unk>`."""
    loaded = load_tokenizer(choice.tokenizer, choice.text_form, is_corpus_text=True)
    if loaded.content != choice.content:
        raise ArtefactError(
            f"{choice.tokenizer} must stay as it is while it is used", got=loaded.content
        )
    return TextEncoder(loaded.backend, np.dtype(choice.dtype)), loaded.unknown_id


def _part(work: _Work, split: str, name: str) -> Path:
    return work.part.with_name(f"{work.part.name}.{split}.{name}.npy")


def _save(path: Path, array: NDArray[Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _assemble(build: ArtefactBuild, work: Sequence[_Work], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Join the parts into one file of tokens and one of offsets per split."""
    records = [read_json(item.part.with_suffix(".json")) for item in work]
    totals = {
        split: [sum(c) for c in zip(*(r[split] for r in records), strict=True)] for split in SPLITS
    }
    for split in SPLITS:
        length = totals[split][0]
        paths = [_part(item, split, "tokens") for item in work]
        _write_array(build.path(tokens_file(split)), dtype, length, map(_load, paths))
        sizes = np.concatenate([_load(_part(item, split, "sizes")) for item in work])
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        _save(build.path(offsets_file(split)), offsets)
        if all(item.has_span_ids for item in work):
            spans = np.concatenate([_load(_part(item, split, "spans")) for item in work])
            _save(build.path(span_ids_file(split)), spans)
    return {
        "tokens": sum(t[0] for t in totals.values()),
        "documents": sum(t[1] for t in totals.values()),
        "unknown": sum(t[2] for t in totals.values()),
        "splits": {s: {"tokens": t[0], "documents": t[1]} for s, t in totals.items()},
        "dtype": dtype.name,
    }


def _load(path: Path) -> NDArray[Any]:
    return np.load(path, allow_pickle=False)


def _write_array(
    path: Path, dtype: np.dtype[Any], length: int, chunks: Iterator[NDArray[Any]]
) -> None:
    """Write a 1-D .npy file from chunks, of which one at a time is in memory."""
    header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        npy_format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.astype(dtype, copy=False).tobytes())


def _describe_ids(build: ArtefactBuild, loaded: LoadedTokenizer, rows: int) -> dict[str, Any]:
    _save(build.path("token_bytes.npy"), token_bytes(loaded, rows))
    _save(build.path("word_start.npy"), word_start(loaded, rows))
    return {
        "vocab_size": rows,
        "unused_rows": rows - loaded.vocab_size,
        "tokenizer": loaded.content,
    }


def _result(out: Path, *, skipped: bool) -> EncodeResult:
    facts = read_manifest(out, KIND, SCHEMA).facts
    return EncodeResult(
        folder=out,
        tokens=facts["tokens"],
        documents=facts["documents"],
        vocab_size=facts["vocab_size"],
        unknown=facts["unknown"],
        by_split=facts["splits"],
        skipped=skipped,
    )
