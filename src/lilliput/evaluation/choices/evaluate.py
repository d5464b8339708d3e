"""Scoring a run on multiple-choice tasks, as an artefact that keeps the likelihood of every choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import ArtefactBuild, building, read_manifest
from lilliput.core.errors import EmptyCorpusError, InputError
from lilliput.core.files import atomic_path, read_json, write_json
from lilliput.core.hashing import file_hash
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.evaluation.admission import Admits, admission
from lilliput.evaluation.choices.likelihood import (
    Continuation,
    encode_continuations,
    fits,
    score_continuations,
)
from lilliput.evaluation.choices.scoring import ChoiceLikelihoods, hits, margins, task_scores
from lilliput.evaluation.choices.settings import ChoiceSettings
from lilliput.evaluation.choices.tasks import ChoiceItem, ChoiceTask, find_choice_tasks
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.folders import run_origins
from lilliput.evaluation.scores.score import (
    EVALUATION_KIND,
    EVALUATION_SCHEMA,
    PREDICTIONS_FILE,
    SCORES_FILE,
    Score,
    is_finished,
    read_scores,
    score_from_record,
)
from lilliput.evaluation.settings import WordRule
from lilliput.evaluation.weights import ScoredWeights, load_encoder, load_weights, text_form_record
from lilliput.models import LanguageModel
from lilliput.tokenization import load_tokenizer, open_store
from lilliput.training.data.unigram import log_unigram


def evaluate_choices(
    run: Path,
    data: Path,
    tokenizer: Path,
    out: Path,
    *,
    tasks: Sequence[str] = (),
    vocabulary: Path | None = None,
    rule: WordRule = "corrected",
    settings: ChoiceSettings | None = None,
    checkpoint: str = "final",
    reporter: Reporter = SILENT,
) -> list[Score]:
    """Return the accuracy of a run on multiple-choice tasks, from trained and untrained weights.

    Each task has two scores: by the log-likelihood of the whole choice, and (`…_by_length`) divided by its
    characters. A tie counts one half. Beside them stand the levels of chance, of the place that is right most often,
    and of token frequencies alone, and the mean margin in nats, which moves without steps.

    Args:
        run: Folder of the run, causal or masked.
        data: Folder of tasks; see `find_choice_tasks`.
        tokenizer: Folder of the tokenizer the run was trained with.
        out: Folder of the artefact "evaluation"; one that is already there is read.
        tasks: Names; all when empty.
        vocabulary: Keep only items whose texts this vocabulary admits by `rule`.
        rule: See `admission`.
        settings: Solved examples, seeds, sizes.
        checkpoint: The trained weights: "final" or "step-N".
        reporter: Where progress goes.

    Raises:
        InputError: No task is there, a row is no item, a task has too few solved examples, or no item fits.
        EmptyCorpusError: The vocabulary admits no item at all.
        ConfigurationError: The tokenizer is not the run's.
    """
    settings = settings or ChoiceSettings()
    known = find_choice_tasks(data, tasks)
    admits, words = admission(vocabulary, rule) if vocabulary else (None, "")
    made_from: dict[str, Any] = {
        "choices": settings.model_dump(mode="json"),
        "checkpoint": checkpoint,
        "words": words,
        "rule": rule if vocabulary else "",
        "text_form": text_form_record(run),
    }
    inputs = {"run": read_manifest(run, "run").id, "tokenizer": load_tokenizer(tokenizer).content}
    for task in known:
        for path in (*task.scored, *task.train, *task.sources):
            inputs[f"choices/{task.name}/{path.name}"] = file_hash(path)
    if is_finished(out, made_from, inputs):
        return read_scores(out)
    with building(out, EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs) as build:
        starts = load_weights(run, checkpoint)
        scorer = _Scorer(
            starts,
            load_encoder(run, tokenizer, starts[0].model, reporter),
            _unigram(run, starts[0].model.config.vocab_size),
            admits,
            settings,
        )
        with reporter.task("multiple choice", total=len(known), unit="tasks") as progress:
            for task in known:
                scorer.score_once(build, task)
                progress.advance(note=task.name)
        _assemble(build, [task.name for task in known])
    return read_scores(out)


def _unigram(run: Path, vocab_size: int) -> FloatArray | None:
    """Return the log frequency of each token in the run's training text, where its study still has it."""
    tokens = run_origins(run).tokens
    if tokens is None:
        return None
    return log_unigram(open_store(tokens).split("train")[0], vocab_size)


@dataclass(frozen=True)
class _Scorer:
    """Scores one task after another for the same run."""

    starts: Sequence[ScoredWeights]
    encoder: SequenceEncoder
    log_unigram: FloatArray | None
    admits: Admits | None
    settings: ChoiceSettings

    def score_once(self, build: ArtefactBuild, task: ChoiceTask) -> None:
        """Score one task and keep its parts, unless an interrupted call has already done so."""
        record = _part(build, task.name, "json")
        if record.is_file():
            return
        items, counts = self._items(task)
        train = task.items(task.train) if self.settings.shots else []
        if len(train) < self.settings.shots:
            raise InputError(
                f"{task.name} must have at least {self.settings.shots} items to take solved examples from",
                got=f"{len(train)} in its train split",
                remedy="Lower shots, or give the task a train split.",
            )
        seeds = self.settings.seeds if self.settings.shots else self.settings.seeds[:1]
        encoded = [self._encoded(task, items, train, seed) for seed in seeds]
        model = self.starts[0].model
        kept = [
            row
            for row in range(len(items))
            if all(fits(model, choice) for one in encoded for choice in one[row])
        ]
        if not kept:
            raise InputError(
                f"items must have at most {model.config.max_seq_length} tokens for this model, and choices at least one",
                got=f"no such item among {len(items):,} of {task.name}",
                remedy="Lower shots, or use a model with a larger max_seq_length.",
            )
        counts["unfit"] = len(items) - len(kept)
        items = [items[row] for row in kept]
        encoded = [[one[row] for row in kept] for one in encoded]
        found = {start.name: self._scored(start.model, items, encoded) for start in self.starts}
        scores = task_scores(
            task.name,
            items,
            found,
            unigram=self._unigram(items, encoded),
            resamples=self.settings.resamples,
            note=_note(counts, len(items)),
        )
        details = {
            **counts,
            "kept": len(items),
            "pairs": counts["rows"],
            "shots": self.settings.shots,
        }
        digests = {start.name: start for start in self.starts}
        with atomic_path(_part(build, task.name, "parquet")) as path:
            tables = [_table(task.name, name, items, seeds, one) for name, one in found.items()]
            pq.write_table(pa.concat_tables(tables), path, compression="zstd")
        write_json(
            record,
            [
                replace(
                    score,
                    checkpoint=digests[score.weights].checkpoint,
                    details={
                        **score.details,
                        **details,
                        "weights_digest": digests[score.weights].digest,
                    },
                ).as_record()
                for score in scores
            ],
        )

    def _items(self, task: ChoiceTask) -> tuple[list[ChoiceItem], dict[str, int]]:
        """Return the items to score, and how many were left out and why."""
        rows = task.items(task.scored)
        items = [item for item in rows if self.admits is None or self.admits(item.texts)]
        counts = {"rows": len(rows), "not_admitted": len(rows) - len(items)}
        if not items:
            raise EmptyCorpusError(
                f"the vocabulary must admit at least one item of {task.name}",
                got=f"0 of {len(rows)}",
                remedy="Use a larger vocabulary, leave the task out, or score it unfiltered.",
            )
        most = self.settings.max_items
        if most is not None and most < len(items):
            drawn = generator(0, "choices", task.name).choice(len(items), most, replace=False)
            items = [items[i] for i in sorted(drawn)]
        return items, counts

    def _encoded(
        self, task: ChoiceTask, items: Sequence[ChoiceItem], train: Sequence[ChoiceItem], seed: int
    ) -> list[list[Continuation]]:
        """Return the tokens of each item's choices, the right one first."""
        pairs: list[tuple[str, str]] = []
        for item in items:
            solved = task.solved_examples(train, item, self.settings.shots, seed)
            prompt = task.prompt(item, solved)
            pairs += [(prompt, task.delimiter + choice) for choice in _right_first(item)]
        flat = iter(encode_continuations(self.encoder, pairs))
        return [[next(flat) for _ in item.choices] for item in items]

    def _scored(
        self,
        model: LanguageModel,
        items: Sequence[ChoiceItem],
        encoded: Sequence[Sequence[Sequence[Continuation]]],
    ) -> ChoiceLikelihoods:
        special, tokens = self.encoder.special, self.settings.batch_tokens
        rows = [
            score_continuations(model, [c for item in one for c in item], special, tokens)
            for one in encoded
        ]
        return _likelihoods(items, rows)

    def _unigram(
        self, items: Sequence[ChoiceItem], encoded: Sequence[Sequence[Sequence[Continuation]]]
    ) -> ChoiceLikelihoods | None:
        known = self.log_unigram
        if known is None:
            return None
        rows = [
            np.array([known[list(c.ids)].sum() for item in one for c in item]) for one in encoded
        ]
        return _likelihoods(items, rows)


def _right_first(item: ChoiceItem) -> list[str]:
    wrong = [choice for i, choice in enumerate(item.choices) if i != item.gold]
    return [item.choices[item.gold], *wrong]


def _likelihoods(items: Sequence[ChoiceItem], rows: Sequence[FloatArray]) -> ChoiceLikelihoods:
    most = max(len(item.choices) for item in items)
    totals = np.full((len(rows), len(items), most), -np.inf)
    characters = np.ones((len(items), most))
    start = 0
    for i, item in enumerate(items):
        count = len(item.choices)
        for seed, row in enumerate(rows):
            totals[seed, i, :count] = row[start : start + count]
        characters[i, :count] = [max(1, len(choice)) for choice in _right_first(item)]
        start += count
    # Choices of the same text are a tie, whatever the rounding of two batches.
    for i, item in enumerate(items):
        for k, choice in enumerate(_right_first(item)):
            if k and choice == item.choices[item.gold]:
                totals[:, i, k] = totals[:, i, 0]
    return ChoiceLikelihoods(totals, characters)


def _note(counts: Mapping[str, int], kept: int) -> str:
    parts: list[str] = []
    if counts["not_admitted"]:
        parts.append(f"{counts['not_admitted']:,} are beyond the vocabulary")
    if counts["unfit"]:
        parts.append(f"{counts['unfit']:,} are too long for the model")
    return f"{kept:,} of {counts['rows']:,} items scored: {', '.join(parts)}." if parts else ""


def _part(build: ArtefactBuild, task: str, kind: str) -> Path:
    return build.scratch("parts") / f"{task}.{kind}"


def _table(
    task: str,
    weights: str,
    items: Sequence[ChoiceItem],
    seeds: Sequence[int],
    found: ChoiceLikelihoods,
) -> Any:
    """Return a row for each seed and item; `good` is the right choice and `bad` the best wrong one, in nats."""
    count, totals = len(items), found.totals
    flat = totals.reshape(len(seeds) * count, -1)
    return pa.table(
        {
            "task": [task] * len(flat),
            "weights": [weights] * len(flat),
            "seed": np.repeat(seeds, count),
            "example": np.tile([item.number for item in items], len(seeds)),
            "good": flat[:, 0],
            "bad": flat[:, 1:].max(-1),
            "margin": margins(totals).reshape(-1),
            "hit": hits(totals).reshape(-1),
            "hit_by_length": hits(found.by_length).reshape(-1),
            "choices": [[v for v in row if np.isfinite(v)] for row in flat.tolist()],
        }
    )


def _assemble(build: ArtefactBuild, names: Sequence[str]) -> None:
    records = [r for name in names for r in read_json(_part(build, name, "json"))]
    tables = [pq.read_table(_part(build, name, "parquet")) for name in names]
    with atomic_path(build.path(PREDICTIONS_FILE)) as path:
        pq.write_table(pa.concat_tables(tables), path, compression="zstd")
    write_json(build.path(SCORES_FILE), records)
    build.facts["scores"] = {
        f"{score.task}/{score.weights}": score.value for score in map(score_from_record, records)
    }
