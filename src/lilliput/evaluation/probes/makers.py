"""The three probes: each makes balanced examples from windows, with the marginal cues taken out."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lilliput.evaluation.probes.windows import DocumentWindows, Window
from lilliput.evaluation.tasks.definition import TaskDefinition

_SOURCE = "made from held-out text of this study's corpus"


@dataclass(frozen=True)
class ProbeExample:
    """One example: a text or a pair of texts, the class, the document it is from."""

    texts: tuple[str, ...]
    label: int
    doc_id: str


def _definition(
    name: str, title: str, fields: Sequence[str], labels: Sequence[str]
) -> TaskDefinition:
    return TaskDefinition(
        name=name,
        title=title,
        fields=tuple(fields),
        labels=tuple(labels),
        metrics=("accuracy",),
        train="train",
        dev=("dev",),
        in_average=False,
        source=_SOURCE,
        licence="that of the corpus",
        version="1",
    )


WORD_ORDER = _definition(
    "word_order",
    "Is the window as written, or are two neighbouring words swapped?",
    ["sentence"],
    ["swapped", "as_written"],
)
COHERENCE = _definition(
    "coherence",
    "Does the second window follow the first?",
    ["sentence1", "sentence2"],
    ["random", "next"],
)


def source_definition(labels: Sequence[str]) -> TaskDefinition:
    """Return the task of telling these sources apart."""
    return _definition("source", "Which source is the window from?", ["sentence"], labels)


def make_word_order(
    documents: Iterable[DocumentWindows],
    count: int,
    rng: np.random.Generator,
    *,
    both_ways: bool = False,
) -> list[ProbeExample]:
    """Return up to `count` examples, half of them as written, half with two neighbouring words swapped.

    The first and the last word stay, and so does every word with a mark of punctuation on it, so that
    neither a capital nor a comma in the wrong place gives the swap away.

    Args:
        documents: Where the windows come from.
        count: Most examples.
        rng: Of windows and swaps.
        both_ways: Give each window as written and swapped, which teaches more from as many examples;
            otherwise each window occurs once, so that scored examples are independent.
    """
    windows = [(window, _swappable(window)) for window in _distinct(documents)]
    usable = [(window, places) for window, places in windows if places]
    most = count // 2 if both_ways else count // 2 * 2
    order = rng.permutation(len(usable))[:most]
    order = order if both_ways else order[: len(order) // 2 * 2]
    examples: list[ProbeExample] = []
    for number, i in enumerate(order):
        window, places = usable[i]
        swapped = ProbeExample((_swap(window, int(rng.choice(places))),), 0, window.doc_id)
        written = ProbeExample((window.text,), 1, window.doc_id)
        examples += [swapped, written] if both_ways else [written if number % 2 else swapped]
    return examples


def _swappable(window: Window) -> list[int]:
    units = window.units
    inner = range(1, len(units) - 2)
    return [
        i
        for i in inner
        if units[i].isalnum()
        and units[i + 1].isalnum()
        and units[i].casefold() != units[i + 1].casefold()
    ]


def _swap(window: Window, place: int) -> str:
    units = list(window.units)
    units[place], units[place + 1] = units[place + 1], units[place]
    return window.joiner.join(units)


def make_coherence(
    documents: Iterable[DocumentWindows], count: int, rng: np.random.Generator
) -> list[ProbeExample]:
    """Return up to `count` pairs, half of them a window and the next one, half a window and another's next.

    The second windows of both halves come from the same set, and a false one from another document of
    the same source, so that neither window alone, nor the style of a source, gives the class away.
    """
    by_label: dict[str, list[tuple[Window, Window]]] = defaultdict(list)
    seen: set[str] = set()
    for document in documents:
        for span in document.spans:
            for first, second in itertools.pairwise(span):
                if first.text not in seen:
                    seen.add(first.text)
                    by_label[document.label].append((first, second))
    pairs: list[ProbeExample] = []
    for label in sorted(by_label):
        pairs += _half_mismatched(by_label[label], rng)
    return _balanced(pairs, 2, count, rng)


def _half_mismatched(
    pairs: list[tuple[Window, Window]], rng: np.random.Generator
) -> list[ProbeExample]:
    order = rng.permutation(len(pairs))
    half = len(pairs) // 2
    true = [pairs[i] for i in order[:half]]
    false = [pairs[i] for i in order[half : 2 * half]]
    examples = [ProbeExample((a.text, b.text), 1, a.doc_id) for a, b in true]
    # Sorted by document and shifted by the largest document, no window meets its own document.
    false.sort(key=_document_of)
    largest = max(Counter(a.doc_id for a, _ in false).values(), default=0)
    for i, (first, _) in enumerate(false):
        second = false[(i + largest) % len(false)][1]
        if second.doc_id != first.doc_id:
            examples.append(ProbeExample((first.text, second.text), 0, first.doc_id))
    return examples


def _document_of(pair: tuple[Window, Window]) -> str:
    return pair[0].doc_id


def make_source(
    documents: Iterable[DocumentWindows],
    labels: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> list[ProbeExample]:
    """Return up to `count` windows, equally many of each source in `labels`."""
    windows = [w for w in _distinct(documents) if w.label in labels]
    examples = [ProbeExample((w.text,), labels.index(w.label), w.doc_id) for w in windows]
    return _balanced(examples, len(labels), count, rng)


def largest_sources(
    train: Iterable[DocumentWindows], dev: Iterable[DocumentWindows], most: int
) -> list[str]:
    """Return up to `most` source labels with the most windows in the scarcer of the two sets, by name."""
    in_train = Counter(window.label for document in train for window in document.windows)
    in_dev = Counter(window.label for document in dev for window in document.windows)
    scarcer = {label: min(in_train[label], in_dev[label]) for label in in_train}
    present = [label for label, windows in scarcer.items() if windows]
    return sorted(sorted(present, key=lambda label: (-scarcer[label], label))[:most])


def _distinct(documents: Iterable[DocumentWindows]) -> list[Window]:
    windows: dict[str, Window] = {}
    for document in documents:
        for window in document.windows:
            windows.setdefault(window.text, window)
    return list(windows.values())


def _balanced(
    examples: list[ProbeExample], classes: int, count: int, rng: np.random.Generator
) -> list[ProbeExample]:
    """Return equally many examples of each class, at most `count` in all, in a drawn order."""
    by_class: list[list[ProbeExample]] = [[] for _ in range(classes)]
    for i in rng.permutation(len(examples)):
        by_class[examples[i].label].append(examples[i])
    each = min(count // classes, *map(len, by_class))
    kept = [example for members in by_class for example in members[:each]]
    return [kept[i] for i in rng.permutation(len(kept))]
