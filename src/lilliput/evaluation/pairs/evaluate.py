"""Scoring a run on minimal pairs, as an artefact that keeps both likelihoods of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import EmptyCorpusError
from lilliput.core.hashing import file_hash
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.admission import Admits, admission
from lilliput.evaluation.encoding import TextEncoder
from lilliput.evaluation.pairs.likelihood import FloatArray, score_sentences
from lilliput.evaluation.pairs.reading import Paradigm, find_paradigms, read_paradigm
from lilliput.evaluation.pairs.record import ScoredParadigm, write_scored
from lilliput.evaluation.scores.score import (
    EVALUATION_KIND,
    EVALUATION_SCHEMA,
    Score,
    is_finished,
    read_scores,
)
from lilliput.evaluation.settings import PairSettings, WordRule, plain_pair_settings
from lilliput.evaluation.weights import ScoredWeights, check_vocabulary, load_weights
from lilliput.tokenization import load_tokenizer


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
    starts = load_weights(run, checkpoint)
    settings = settings or plain_pair_settings(starts[0].model.config.is_causal)
    admits, words = admission(vocabulary, rule) if vocabulary else (None, "")
    made_from: dict[str, Any] = {
        "pairs": settings.model_dump(mode="json"),
        "checkpoint": checkpoint,
        "words": words,
        "rule": rule if vocabulary else "",
    }
    inputs = _inputs(run, tokenizer, files)
    if not is_finished(out, made_from, inputs):
        kept = _kept_paradigms(files, admits, settings.max_pairs)
        encoder = TextEncoder.load(tokenizer)
        check_vocabulary(run, starts[0].model, encoder)
        with building(out, EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs) as build:
            scored = _score_all(kept, starts, encoder, settings, device, reporter)
            write_scored(build, scored, settings, starts)
    return read_scores(out)


def _score_all(
    paradigms: Sequence[Paradigm],
    starts: Sequence[ScoredWeights],
    encoder: TextEncoder,
    settings: PairSettings,
    device: str,
    reporter: Reporter,
) -> list[ScoredParadigm]:
    scored: list[ScoredParadigm] = []
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


def _kept_paradigms(
    files: Sequence[Path], admits: Admits | None, most: int | None
) -> list[Paradigm]:
    """The paradigms with a pair left."""
    found = [read_paradigm(path) for path in files]
    kept = [paradigm.admitted(admits) if admits else paradigm for paradigm in found]
    if not any(paradigm.pairs for paradigm in kept):
        raise EmptyCorpusError(
            "the vocabulary must admit at least one minimal pair",
            got=f"0 of {sum(paradigm.total for paradigm in found)} pairs",
            remedy="Use a larger vocabulary, or score the pairs unfiltered.",
        )
    full = [paradigm for paradigm in kept if paradigm.pairs]
    return full if most is None else [paradigm.sampled(most) for paradigm in full]


def _score(
    paradigm: Paradigm,
    starts: Sequence[ScoredWeights],
    encoder: TextEncoder,
    settings: PairSettings,
    device: str,
) -> ScoredParadigm:
    count = len(paradigm.pairs)
    sentences = encoder.tokenised(
        [pair.good for pair in paradigm.pairs] + [pair.bad for pair in paradigm.pairs]
    )
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    for start in starts:
        model = start.model.to(device)
        values = score_sentences(model, sentences, encoder.special, settings)
        found[start.name] = (values[:count], values[count:])
    return ScoredParadigm(paradigm, found)
