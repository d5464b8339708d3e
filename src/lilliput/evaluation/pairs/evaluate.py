"""Scoring a run on minimal pairs, as an artefact that keeps both likelihoods of every pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import Build, artefact_id, building, is_artefact, read_manifest
from lilliput.core.errors import EmptyCorpusError
from lilliput.core.files import atomic_path, write_json
from lilliput.core.hashing import file_hash
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.encoding import TextEncoder
from lilliput.evaluation.glue.words import Admits, admission
from lilliput.evaluation.pairs.likelihood import FloatArray, score_sentences
from lilliput.evaluation.pairs.reading import Paradigm, find_paradigms, read_paradigm
from lilliput.evaluation.pairs.scoring import hits, mean_over_paradigms, paradigm_scores
from lilliput.evaluation.scores import PREDICTIONS_FILE, SCORES_FILE, Score, read_scores
from lilliput.evaluation.settings import PairSettings, WordRule
from lilliput.evaluation.starts import Start, check_vocabulary, load_starts
from lilliput.evaluation.suite import EVALUATION_KIND, EVALUATION_SCHEMA
from lilliput.tokenization import load_tokenizer

_MEAN = "mean"


@dataclass(frozen=True)
class _Scored:
    """Likelihoods of one paradigm's sentences: start to (good, bad), each of shape (pairs,)."""

    paradigm: Paradigm
    found: Mapping[str, tuple[FloatArray, FloatArray]]

    @property
    def hits(self) -> dict[str, FloatArray]:
        return {start: hits(good, bad) for start, (good, bad) in self.found.items()}


def evaluate_pairs(
    run: Path,
    data: Path,
    tokenizer: Path,
    out: Path,
    *,
    paradigms: Sequence[str] = (),
    vocabulary: Path | None = None,
    rule: WordRule = "corrected",
    settings: PairSettings | None = None,
    checkpoint: str = "final",
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> list[Score]:
    """Accuracy of a run on minimal pairs, paradigm by paradigm and in the mean, from both starts.

    Args:
        run: Folder of the run.
        data: A file of pairs, or a folder of them: BLiMP or any JSON Lines with `sentence_good` and
            `sentence_bad`, or Zorro's text files.
        tokenizer: Folder of the tokenizer the run was trained with.
        out: Folder of the artefact "evaluation"; one that is already there is read.
        paradigms: Names of files; all when empty.
        vocabulary: Keep only pairs both of whose sentences this vocabulary admits by `rule`.
        rule: See `admission`.
        settings: The method; by default the plain one of the model's kind.
        checkpoint: The trained weights: "final" or "step-N".
        device: Where to compute.
        reporter: Where progress goes.

    Returns:
        A score for each paradigm with a pair left and, with two or more, their unweighted mean. The
        `note` says how many pairs were identical and skipped.

    Raises:
        InputError: No pairs are there, a line is not a pair, or a sentence is too long.
        EmptyCorpusError: The vocabulary admits no pair at all.
        ConfigurationError: The tokenizer is not the run's.
    """
    files = find_paradigms(data, paradigms)
    starts = load_starts(run, checkpoint)
    is_causal = starts[0].model.config.is_causal
    settings = settings or PairSettings(method="causal" if is_causal else "plain")
    admits, words = admission(vocabulary, rule) if vocabulary else (None, "")
    made_from: dict[str, Any] = {
        "pairs": settings.model_dump(mode="json"),
        "checkpoint": checkpoint,
        "words": words,
        "rule": rule if vocabulary else "",
    }
    inputs = _inputs(run, tokenizer, files)
    if is_artefact(out):
        manifest = read_manifest(out)
        if manifest.id == artefact_id(EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs):
            return read_scores(out)
    kept = _kept_paradigms(files, admits)
    encoder = TextEncoder.load(tokenizer)
    check_vocabulary(run, starts[0].model, encoder)
    with building(out, EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs) as build:
        scored = _score_all(kept, starts, encoder, settings, device, reporter)
        _write(build, scored, settings, starts)
    return read_scores(out)


def _score_all(
    paradigms: Sequence[Paradigm],
    starts: Sequence[Start],
    encoder: TextEncoder,
    settings: PairSettings,
    device: str,
    reporter: Reporter,
) -> list[_Scored]:
    scored: list[_Scored] = []
    with reporter.task("minimal pairs", total=len(paradigms), unit="paradigms") as progress:
        for paradigm in paradigms:
            scored.append(_score(paradigm, starts, encoder, settings, device))
            progress.advance(note=paradigm.name)
    return scored


def _inputs(run: Path, tokenizer: Path, files: Sequence[Path]) -> dict[str, str]:
    origins = {
        "run": read_manifest(run, "run").id,
        "tokenizer": load_tokenizer(tokenizer).content,
    }
    return origins | {f"pairs/{path.stem}": file_hash(path) for path in files}


def _kept_paradigms(files: Sequence[Path], admits: Admits | None) -> list[Paradigm]:
    """The paradigms with a pair left."""
    found = [read_paradigm(path) for path in files]
    kept = [paradigm.admitted(admits) if admits else paradigm for paradigm in found]
    if not any(paradigm.pairs for paradigm in kept):
        raise EmptyCorpusError(
            "the vocabulary must admit at least one minimal pair",
            got=f"0 of {sum(paradigm.total for paradigm in found)} pairs",
            remedy="Use a larger vocabulary, or score the pairs unfiltered.",
        )
    return [paradigm for paradigm in kept if paradigm.pairs]


def _score(
    paradigm: Paradigm,
    starts: Sequence[Start],
    encoder: TextEncoder,
    settings: PairSettings,
    device: str,
) -> _Scored:
    count = len(paradigm.pairs)
    sentences = encoder.tokenised(
        [pair.good for pair in paradigm.pairs] + [pair.bad for pair in paradigm.pairs]
    )
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    for start in starts:
        model = start.model.to(device)
        values = score_sentences(model, sentences, encoder.special, settings)
        found[start.name] = (values[:count], values[count:])
    return _Scored(paradigm, found)


def _write(
    build: Build, scored: Sequence[_Scored], settings: PairSettings, starts: Sequence[Start]
) -> None:
    tables = [
        pa.table(
            {
                "task": [one.paradigm.name] * len(good),
                "start": [start] * len(good),
                "example": list(one.paradigm.numbers),
                "good": good,
                "bad": bad,
            }
        )
        for one in scored
        for start, (good, bad) in one.found.items()
    ]
    with atomic_path(build.path(PREDICTIONS_FILE)) as path:
        pq.write_table(pa.concat_tables(tables), path, compression="zstd")
    scores = [score for one in scored for score in _paradigm(one, settings)]
    if len(scored) > 1:
        scores += mean_over_paradigms(
            _MEAN, [one.hits for one in scored], resamples=settings.resamples
        )
    checkpoints = {start.name: start.checkpoint for start in starts}
    digests = {start.name: start.digest for start in starts}
    records = [
        replace(
            score,
            checkpoint=checkpoints[score.start],
            details={
                **score.details,
                "method": settings.method,
                "weights_digest": digests[score.start],
            },
        ).as_record()
        for score in scores
    ]
    write_json(build.path(SCORES_FILE), records)
    build.facts["scores"] = {f"{r['task']}/{r['start']}": r["value"] for r in records}


def _paradigm(one: _Scored, settings: PairSettings) -> list[Score]:
    paradigm = one.paradigm
    same = paradigm.identical
    note = f"{same} of {paradigm.total} pairs are identical and were skipped" if same else ""
    counts = {"pairs": paradigm.total, "identical": same, "kept": len(paradigm.pairs)}
    scores = paradigm_scores(paradigm.name, one.hits, resamples=settings.resamples, note=note)
    return [replace(score, details=counts) for score in scores]
