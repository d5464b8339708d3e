"""Multiple-choice tasks made from held-out text, so that any language and any corpus has them.

    question     the old king went down to the sea and took
    choices      his boat to the island   (as it was written)
                 and she said to him   …  (from other documents)

Wrong choices are right ones of other questions, so that no choice gives itself away without its question.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.artefacts import Manifest, artefact_id, building, is_artefact, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import write_json_lines, write_text
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator, stream_key
from lilliput.evaluation.choices.settings import ChoiceProbeSettings
from lilliput.language import iter_texts

CHOICE_PROBES_KIND = "choice-probes"
CHOICE_PROBES_SCHEMA = 1
CONTINUATION, NEXT_WORD = "continuation", "next_word"
_SPACELESS_WORD = 20
"""Mean letters a space-separated word above which a script is taken to write no spaces."""
_TRAIN_SHARE = 5
"""One document in this many goes to the train split."""
_FEWEST = 8


@dataclass(frozen=True)
class _Piece:
    """Consecutive words of a document: those of a question, and those that come next."""

    document: str
    question: str
    following: tuple[str, ...]


def build_choice_probes(
    corpus: Path,
    out: Path,
    *,
    settings: ChoiceProbeSettings | None = None,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Manifest:
    """Make the tasks `continuation` and `next_word` from the held-out text of `corpus`, as an artefact in `out`.

    Each task is a folder in lm-eval's form: a YAML file, and JSON Lines of its train and validation items, which
    come from different documents.

    Args:
        corpus: Artefact "corpus".
        out: Folder of the artefact; one that is already there is returned as it is.
        settings: Words of questions and choices, and how many of each.
        seed: Of the order of the text and of the wrong choices.
        reporter: Where progress goes.

    Returns:
        The manifest; `facts` holds, by task, the numbers of `train` and `validation` items.

    Raises:
        InputError: There is too little held-out text.
    """
    settings = settings or ChoiceProbeSettings()
    made_from = {"choices": settings.model_dump(mode="json"), "seed": seed}
    inputs = {"corpus": read_manifest(corpus, "corpus").id}
    if is_artefact(out):
        manifest = read_manifest(out)
        if manifest.id == artefact_id(CHOICE_PROBES_KIND, CHOICE_PROBES_SCHEMA, made_from, inputs):
            return manifest
    with building(out, CHOICE_PROBES_KIND, CHOICE_PROBES_SCHEMA, made_from, inputs) as build:
        pieces, joiner = _pieces(corpus, settings, seed)
        for task, words in ((CONTINUATION, settings.choice_words), (NEXT_WORD, 1)):
            counts: dict[str, int] = {}
            for split, most in (
                ("train", settings.max_train_items),
                ("validation", settings.max_items),
            ):
                rng = generator(seed, "choices", task, split)
                rows = list(_items(pieces[split][:most], words, joiner, settings.choices, rng))
                write_json_lines(build.path(f"{task}/{split}.jsonl"), rows)
                counts[split] = len(rows)
            if counts["validation"] < _FEWEST:
                raise InputError(
                    f"a corpus must hold enough held-out text for {_FEWEST} items of {task}",
                    got=f"{counts['validation']} items from {corpus}",
                    remedy="Hold out a larger share, or lower question_words.",
                )
            write_text(build.path(f"{task}/{task}.yaml"), _yaml(task, joiner))
            build.facts[task] = counts
            reporter.say(f"{task}: {counts['validation']:,} items")
    return read_manifest(out)


def _pieces(
    corpus: Path, settings: ChoiceProbeSettings, seed: int
) -> tuple[Mapping[str, list[_Piece]], str]:
    """Return pieces of text by split, in a drawn order, and what stands between words."""
    rows = [
        (stream_key(seed, "document", document), document, position, text)
        for split in settings.splits
        for batch in iter_texts(corpus, split, columns=["text", "doc_id", "position"])
        for document, position, text in zip(
            batch["doc_id"].to_pylist(),
            batch["position"].to_pylist(),
            batch["text"].to_pylist(),
            strict=True,
        )
    ]
    rows.sort()
    letters = sum(len(text) for *_, text in rows)
    words = sum(len(text.split()) for *_, text in rows)
    joiner = "" if words and letters / words > _SPACELESS_WORD else " "
    found: dict[str, list[_Piece]] = {"train": [], "validation": []}
    for key, document, _, text in rows:
        split = "validation" if key % _TRAIN_SHARE else "train"
        units = text.split() if joiner else [c for c in text if not c.isspace()]
        size = settings.question_words + settings.choice_words
        for start in range(0, len(units) - size + 1, size):
            question = joiner.join(units[start : start + settings.question_words])
            following = tuple(units[start + settings.question_words : start + size])
            found[split].append(_Piece(document, question, following))
    # One piece of each document first, so that a few long documents do not fill a task.
    return {split: _spread(pieces) for split, pieces in found.items()}, joiner


def _spread(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Return the pieces so that the first of every document come first, then the second ones, and so on."""
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int]] = []
    for place, piece in enumerate(pieces):
        seen[piece.document] = seen.get(piece.document, 0) + 1
        ranked.append((seen[piece.document], place))
    return [pieces[place] for _, place in sorted(ranked)]


def _items(
    pieces: Sequence[_Piece], words: int, joiner: str, choices: int, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Yield a row for each piece: its question, choices, and the place of the right one."""
    texts = [joiner.join(piece.following[:words]) for piece in pieces]
    for place, piece in enumerate(pieces):
        wrong: list[str] = []
        for other in rng.permutation(len(pieces)).tolist():
            is_new = texts[other] != texts[place] and texts[other] not in wrong
            if pieces[other].document != piece.document and is_new:
                wrong.append(texts[other])
            if len(wrong) == choices - 1:
                break
        if len(wrong) < choices - 1:
            continue
        gold = int(rng.integers(choices))
        yield {
            "question": piece.question,
            "choices": [*wrong[:gold], texts[place], *wrong[gold:]],
            "gold": gold,
        }


def _yaml(task: str, joiner: str) -> str:
    """Return the definition of a task in lm-eval's form; its values are written as JSON, of which YAML is a superset."""
    settings = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"train": "train.jsonl", "validation": "validation.jsonl"}
        },
        "output_type": "multiple_choice",
        "training_split": "train",
        "fewshot_split": "train",
        "validation_split": "validation",
        "doc_to_text": "{{question}}",
        "doc_to_target": "gold",
        "doc_to_choice": "{{choices}}",
        "target_delimiter": joiner,
        "fewshot_delimiter": "\n",
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in ("acc", "acc_norm")
        ],
        "metadata": {"version": 1.0},
    }
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
    return "\n".join(lines) + "\n"
