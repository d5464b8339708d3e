"""Put tokenizers into one table: trained here or found elsewhere, measured on the same words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.artefacts import artefact_id, building, is_artefact, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import require_file, write_json
from lilliput.core.hashing import content_id, file_hash
from lilliput.core.intervals import Interval
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.reader import read_record
from lilliput.language.corpus.reading import recorded_text_form
from lilliput.language.words.text_form import TextForm
from lilliput.tokenization.comparison.choice import TokenizerChoice, choose_tokenizer
from lilliput.tokenization.comparison.measures import (
    Resampling,
    WordIds,
    Words,
    cuts_in_context,
    fertility_by_band,
    pieces_isolated,
    unigram_bits_per_byte,
)
from lilliput.tokenization.comparison.morphology import (
    PAPER_WORDS,
    boundaries,
    boundary_counts,
    exact_match_score_first,
    match_counts,
    read_segmentations,
)
from lilliput.tokenization.comparison.word_sample import WordSample, read_task_texts, sample_words
from lilliput.tokenization.folder import LoadedTokenizer, load_tokenizer
from lilliput.tokenization.settings import CompareSettings

_KIND, _SCHEMA = "tokenizer_comparison", 1
_MEASURED_AT_ONCE = 2  # One encodes, outside the interpreter, while another one's ids are counted.
COMPARISON = "comparison"  # Folder beside the tokenizers, by custom.
COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True)
class TokenizerRow:
    """One tokenizer's measures; formulas in the documentation.

    Attributes:
        name: Folder's name.
        kind: Algorithm.
        content: Content hash.
        vocab_size_asked: Size asked for in training.
        vocab_size: Ids reached, special ones included.
        word_split_ratio_isolated: Tokens per word, each word alone (the paper's).
        word_split_ratio_in_context: Tokens per word after another word and a space.
        exact_match_score: The paper's score, 0 to 1.
        exact_match_score_first: Its first version, not normalised.
        boundary_precision: Share of cuts that gold has too.
        boundary_recall: Share of gold cuts that are made.
        boundary_f1: Twice the correct cuts over made and gold cuts.
        boundary_words: Words of the reference that were scored.
        kept_whole: Share of the train split's distinct words, those of letters and digits, that are one
            token in context.
        unused_tokens: Ids that no word of the train split needs, special ones left out.
        unknown_rate: Share of `<unk>` among the tokens of the measured split.
        unknown_rate_tasks: The same for the given task data.
        bits_per_byte_unigram: Of the measured split under token frequencies of the train split.
        characters_per_token: Of the measured split, spaces included.
        fertility_by_band: Tokens per occurrence, by the word's frequency in the train split.
        intervals: Measure to its 95 % bounds.
    """

    name: str
    kind: str
    content: str
    vocab_size_asked: int
    vocab_size: int
    word_split_ratio_isolated: float
    word_split_ratio_in_context: float
    exact_match_score: float
    exact_match_score_first: int
    boundary_precision: float
    boundary_recall: float
    boundary_f1: float
    boundary_words: int
    kept_whole: float
    unused_tokens: int
    unknown_rate: float
    unknown_rate_tasks: float | None
    bits_per_byte_unigram: float
    characters_per_token: float
    fertility_by_band: Mapping[str, float]
    intervals: Mapping[str, tuple[float | None, float | None]]

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        record = asdict(self)
        return record | {"intervals": {name: list(b) for name, b in self.intervals.items()}}


@dataclass(frozen=True)
class TokenizerComparison:
    """Hold the table of the tokenizers and the choice among them.

    Attributes:
        rows: One row for each tokenizer, in the order given.
        picked: The choice, with reasons.
        picked_folder: Where the picked tokenizer lies.
        encode_mb_per_s: Speed of the tokenizer alone on the sampled documents; machine-dependent.
    """

    rows: tuple[TokenizerRow, ...]
    picked: TokenizerChoice
    picked_folder: Path
    encode_mb_per_s: Mapping[str, float]

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON, with the keys of the command line's contract."""
        speeds = self.encode_mb_per_s
        rows = [row.as_record() | {"encode_mb_per_s": speeds.get(row.name)} for row in self.rows]
        return {"tokenizers": rows, "picked": self.picked.as_record()}


def compare_tokenizers(
    corpus: Path,
    tokenizers: Sequence[Path],
    out: Path | None = None,
    *,
    settings: CompareSettings | None = None,
    morphology: Path | None = None,
    task_data: Path | None = None,
    reporter: Reporter = SILENT,
) -> TokenizerComparison:
    """Measure tokenizers on one corpus and pick one.

    Args:
        corpus: A corpus folder; frequencies come from its train split.
        tokenizers: Folders: trained here, or any with a `tokenizer.json`.
        out: Folder of the comparison; nothing is written when None.
        settings: Split, sample, tolerance.
        morphology: Gold segmentations (see `read_segmentations`); the paper's 13 words when None.
        task_data: A table or text file on which the unknown-token rate is measured.
        reporter: Where progress goes.

    Raises:
        InputError: There are no tokenizers, two have the same name, or a file is not there.
        EmptyCorpusError: A split has no words.
    """
    settings = settings or CompareSettings()
    text_form = recorded_text_form(read_manifest(corpus, "corpus"))
    loaded = _load_all(tokenizers, text_form)
    plain, inputs = _identity(corpus, loaded, settings, morphology, task_data)
    identity = artefact_id(_KIND, _SCHEMA, plain, inputs)
    if out is not None and is_artefact(out) and read_manifest(out).id == identity:
        return _read(out, loaded)
    sample = sample_words(corpus, settings, reporter=reporter)
    measurer = _Measurer(
        sample, _gold(morphology, sample, settings), _tasks(task_data, text_form), settings
    )
    rows: list[TokenizerRow] = []
    with (
        reporter.task("compare tokenizers", total=len(loaded)) as task,
        ThreadPoolExecutor(_MEASURED_AT_ONCE) as pool,
    ):
        for row in pool.map(measurer.measure, loaded):
            rows.append(row)
            task.advance(note=row.name)
    speeds = {tokenizer.name: _speed(tokenizer, sample.texts) for tokenizer in loaded}
    picked = choose_tokenizer(rows, settings.split_ratio_tolerance)
    comparison = TokenizerComparison(tuple(rows), picked, _folder_of(picked, loaded), speeds)
    if out is not None:
        with building(out, _KIND, _SCHEMA, plain, inputs) as build:
            record = {"tokenizers": [r.as_record() for r in rows], "picked": picked.as_record()}
            write_json(build.path(COMPARISON_FILE), record)
            build.facts["encode_mb_per_s"] = speeds
    return comparison


def _load_all(tokenizers: Sequence[Path], text_form: TextForm | None) -> list[LoadedTokenizer]:
    loaded = [load_tokenizer(folder, text_form, is_corpus_text=True) for folder in tokenizers]
    names = [tokenizer.name for tokenizer in loaded]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not loaded:
        raise InputError(
            "a comparison needs at least one tokenizer, each in a folder of another name",
            got=f"{', '.join(twice)} twice" if twice else "none",
        )
    return loaded


def _identity(
    corpus: Path,
    loaded: Sequence[LoadedTokenizer],
    settings: CompareSettings,
    morphology: Path | None,
    task_data: Path | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    files = {"morphology": morphology, "task_data": task_data}
    for name, path in files.items():
        if path is not None:
            require_file(path, f"the file of {name}")
    hashes = {name: file_hash(path) for name, path in files.items() if path}
    together = content_id([[tokenizer.name, tokenizer.content] for tokenizer in loaded])
    inputs = {"corpus": read_manifest(corpus, "corpus").id, "tokenizers": together, **hashes}
    return settings.model_dump(mode="json"), inputs


def _read(out: Path, loaded: Sequence[LoadedTokenizer]) -> TokenizerComparison:
    record = read_record(out / COMPARISON_FILE)
    rows = tuple(
        TokenizerRow(**row | {"intervals": {k: tuple(v) for k, v in row["intervals"].items()}})
        for row in record["tokenizers"]
    )
    picked = TokenizerChoice(**record["picked"] | {"pareto": tuple(record["picked"]["pareto"])})
    speeds = read_manifest(out).facts["encode_mb_per_s"]
    return TokenizerComparison(rows, picked, _folder_of(picked, loaded), speeds)


def _folder_of(picked: TokenizerChoice, loaded: Sequence[LoadedTokenizer]) -> Path:
    return next(tokenizer.folder for tokenizer in loaded if tokenizer.name == picked.name)


def _gold(
    path: Path | None, sample: WordSample, settings: CompareSettings
) -> Mapping[str, tuple[str, ...]]:
    if path is None:
        return PAPER_WORDS
    gold = read_segmentations(path)
    known = {word: parts for word, parts in gold.items() if word in sample.train_index}
    return known if settings.known_words_only and known else gold


def _tasks(path: Path | None, text_form: TextForm | None) -> list[str] | None:
    """Return the texts of tasks, after what was done to the corpus's text."""
    texts = None if path is None else read_task_texts(path)
    if texts is None or text_form is None:
        return texts
    return [text_form.apply(text) for text in texts]


def _speed(tokenizer: LoadedTokenizer, texts: Sequence[str]) -> float:
    """Return the megabytes a second of the tokenizer alone, without remembering words."""
    started = time.perf_counter()
    tokenizer.backend.encode_batch_fast(list(texts), add_special_tokens=False)
    elapsed = time.perf_counter() - started
    return round(sum(len(text.encode()) for text in texts) / 1e6 / elapsed, 3)


class _Measurer:
    """Measure every tokenizer with the same words, reference and bootstrap weights."""

    def __init__(
        self,
        sample: WordSample,
        gold: Mapping[str, tuple[str, ...]],
        tasks: list[str] | None,
        settings: CompareSettings,
    ) -> None:
        options = {"resamples": settings.resamples, "seed": settings.seed}
        self._sample, self._gold, self._tasks = sample, gold, tasks
        self._train_words, self._measured_words = Words(sample.train_words), Words(sample.words)
        self._gold_cuts = [boundaries(parts) for parts in gold.values()]
        self._documents = Resampling(sample.sampled_documents, "documents", **options)
        self._words = Resampling(len(gold), "words", **options)

    def measure(self, tokenizer: LoadedTokenizer) -> TokenizerRow:
        sample, backend = self._sample, tokenizer.backend
        train = self._train_words.ids_in_context(backend)
        measured = self._measured_words.ids_in_context(backend)
        alone = self._measured_words.sizes_isolated(backend, measured)
        sampled = sample.per_document(np.ones_like(measured.sizes))
        isolated = self._documents.ratio(sample.per_document(alone), sampled)
        in_context = self._documents.ratio(sample.per_document(measured.sizes), sampled)
        pieces = pieces_isolated(backend, list(self._gold))
        matching = self._words.ratio(*match_counts(pieces, self._gold))
        precision, recall, f1 = self._boundaries(tokenizer)
        tokens = int((measured.sizes * sample.counts).sum())
        intervals = {
            "word_split_ratio_isolated": isolated,
            "word_split_ratio_in_context": in_context,
            "exact_match_score": matching,
            "boundary_precision": precision,
            "boundary_recall": recall,
            "boundary_f1": f1,
        }
        return TokenizerRow(
            name=tokenizer.name,
            kind=tokenizer.kind,
            content=tokenizer.content,
            vocab_size_asked=tokenizer.vocab_size_asked,
            vocab_size=tokenizer.vocab_size,
            exact_match_score_first=exact_match_score_first(pieces, self._gold),
            boundary_words=len(self._gold),
            kept_whole=_kept_whole(train, sample),
            unused_tokens=_unused(tokenizer, train),
            unknown_rate=sample.share_of(tokenizer.unknown_id, measured),
            unknown_rate_tasks=self._unknown_in_tasks(tokenizer),
            bits_per_byte_unigram=unigram_bits_per_byte(
                train,
                sample.train_counts,
                measured,
                sample.counts,
                sample.bytes_total,
                tokenizer.vocab_size,
            ),
            characters_per_token=sample.characters_total / max(1, tokens),
            fertility_by_band=fertility_by_band(
                measured.sizes, sample.counts, sample.counts_in_train
            ),
            **{name: found.value for name, found in intervals.items()},
            intervals={name: (found.low, found.high) for name, found in intervals.items()},
        )

    def _boundaries(self, tokenizer: LoadedTokenizer) -> tuple[Interval, Interval, Interval]:
        cuts = cuts_in_context(tokenizer.backend, list(self._gold))
        correct, made, gold = boundary_counts(cuts, self._gold_cuts)
        ratio = self._words.ratio
        return ratio(correct, made), ratio(correct, gold), ratio(correct, made + gold, factor=2.0)

    def _unknown_in_tasks(self, tokenizer: LoadedTokenizer) -> float | None:
        if self._tasks is None:
            return None
        encodings = tokenizer.backend.encode_batch_fast(self._tasks, add_special_tokens=False)
        ids = [i for encoding in encodings for i in encoding.ids]
        return ids.count(tokenizer.unknown_id) / max(1, len(ids))


def _kept_whole(train: WordIds, sample: WordSample) -> float:
    """Return the share of plain words that are one token; words with punctuation attached never are, and are left out."""
    plain = train.sizes[sample.train_plain]
    return float((plain == 1).mean()) if len(plain) else 0.0


def _unused(tokenizer: LoadedTokenizer, train: WordIds) -> int:
    used = set(np.unique(train.ids).tolist()) - tokenizer.special_ids
    return tokenizer.vocab_size - len(tokenizer.special_ids) - len(used)
