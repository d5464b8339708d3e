"""Scoring a run on minimal pairs, as an artefact that keeps both likelihoods of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.artefacts import ArtefactBuild, building, read_manifest
from lilliput.core.errors import EmptyCorpusError, InputError
from lilliput.core.hashing import file_hash
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.admission import Admits, admission
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.pairs.likelihood import FloatArray, longest_sentence, score_sentences
from lilliput.evaluation.pairs.reading import Paradigm, find_paradigms, read_paradigm
from lilliput.evaluation.pairs.record import ScoredParadigm, read_part, write_part, write_scored
from lilliput.evaluation.scores.score import (
    EVALUATION_KIND,
    EVALUATION_SCHEMA,
    Score,
    is_finished,
    read_scores,
)
from lilliput.evaluation.settings import PairSettings, WordRule, plain_pair_settings
from lilliput.evaluation.weights import ScoredWeights, load_encoder, load_weights, text_form_record
from lilliput.tokenization import load_tokenizer
from lilliput.training import read_run_config


def default_pair_settings(run: Path) -> PairSettings:
    """Return the plain method of the run's kind of model, masked or causal."""
    return plain_pair_settings(read_run_config(run).model.is_causal)


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
    """Return the accuracy of a run on minimal pairs, by paradigm and in the mean, from both weights.

    Each paradigm is kept when it is finished: an interrupted call goes on at the next one.

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
        `note` says how many pairs were skipped: the identical ones, and those with a sentence that is
        longer than the model reads.

    Raises:
        InputError: No pairs are there, a line is not a pair, or every sentence is too long.
        EmptyCorpusError: The vocabulary admits no pair at all.
        ConfigurationError: The tokenizer is not the run's.
    """
    files = find_paradigms(data, paradigms)
    weight_sets = load_weights(run, checkpoint)
    settings = settings or plain_pair_settings(weight_sets[0].model.config.is_causal)
    admits, words = admission(vocabulary, rule) if vocabulary else (None, "")
    made_from: dict[str, Any] = {
        "pairs": settings.model_dump(mode="json"),
        "checkpoint": checkpoint,
        "words": words,
        "rule": rule if vocabulary else "",
        "text_form": text_form_record(run),
    }
    inputs = _inputs(run, tokenizer, files)
    if not is_finished(out, made_from, inputs):
        kept = _kept_paradigms(files, admits, settings.max_pairs)
        encoder = load_encoder(run, tokenizer, weight_sets[0].model, reporter)
        with building(out, EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs) as build:
            scored = _score_all(build, kept, weight_sets, encoder, settings, device, reporter)
            write_scored(build, scored, settings, weight_sets)
    return read_scores(out)


def _score_all(
    build: ArtefactBuild,
    paradigms: Sequence[Paradigm],
    weight_sets: Sequence[ScoredWeights],
    encoder: SequenceEncoder,
    settings: PairSettings,
    device: str,
    reporter: Reporter,
) -> list[ScoredParadigm]:
    """Score the paradigms one by one; those that an interrupted call finished are read."""
    scored: list[ScoredParadigm] = []
    with reporter.task("minimal pairs", total=len(paradigms), unit="paradigms") as progress:
        for paradigm in paradigms:
            one = read_part(build, paradigm)
            if one is None:
                one = _score(paradigm, weight_sets, encoder, settings, device)
                write_part(build, one)
            scored.append(one)
            progress.advance(note=_counted(one.paradigm))
    full = [one for one in scored if one.paradigm.pairs]
    if not full:
        raise InputError(
            f"sentences must have 1 to {longest_sentence(weight_sets[0].model)} tokens for this model",
            got=f"no pair of such sentences among {sum(p.total for p in paradigms):,}",
            remedy="Use a model with a larger max_position_embeddings.",
        )
    return full


def _counted(paradigm: Paradigm) -> str:
    aside = f", {paradigm.unfit:,} too long" if paradigm.unfit else ""
    return f"{paradigm.name}: {len(paradigm.pairs):,} of {paradigm.total:,} pairs kept{aside}"


def _inputs(run: Path, tokenizer: Path, files: Sequence[Path]) -> dict[str, str]:
    origins = {
        "run": read_manifest(run, "run").id,
        "tokenizer": load_tokenizer(tokenizer).content,
    }
    return origins | {f"pairs/{path.stem}": file_hash(path) for path in files}


def _kept_paradigms(
    files: Sequence[Path], admits: Admits | None, most: int | None
) -> list[Paradigm]:
    """Return the paradigms with a pair left."""
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
    weight_sets: Sequence[ScoredWeights],
    encoder: SequenceEncoder,
    settings: PairSettings,
    device: str,
) -> ScoredParadigm:
    """Score the pairs whose sentences the model can read; the others are counted."""
    good, bad = (
        encoder.tokenised([getattr(pair, side) for pair in paradigm.pairs])
        for side in ("good", "bad")
    )
    longest = longest_sentence(weight_sets[0].model)
    rows = [
        row
        for row, pair in enumerate(zip(good, bad, strict=True))
        if all(1 <= len(one.ids) <= longest for one in pair)
    ]
    good, bad = [good[row] for row in rows], [bad[row] for row in rows]
    is_same = np.array([g.ids == b.ids for g, b in zip(good, bad, strict=True)], np.bool_)
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    for weights in weight_sets if rows else ():
        model = weights.model.to(device)
        values = score_sentences(model, [*good, *bad], encoder.special, settings)
        first, second = values[: len(rows)], values[len(rows) :]
        # The same tokens are a tie, whatever the rounding of two batches.
        found[weights.name] = (first, np.where(is_same, first, second))
    return ScoredParadigm(paradigm.fitting(rows), found)
