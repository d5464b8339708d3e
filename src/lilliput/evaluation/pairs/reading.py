"""Read minimal pairs from BLiMP, its supplement, Zorro, or any JSON Lines file of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lilliput.core.errors import InputError
from lilliput.core.files import is_hidden, numbered_lines, numbered_records
from lilliput.core.seeding import generator
from lilliput.evaluation.admission import Admits


@dataclass(frozen=True)
class Pair:
    """Hold an acceptable sentence and its unacceptable twin."""

    good: str
    bad: str


@dataclass(frozen=True)
class Paradigm:
    """Hold the pairs of one file.

    Attributes:
        name: The file's name without its ending.
        pairs: Pairs whose sentences differ, in the file's order.
        numbers: Number of each pair in the file, from 0.
        identical: Pairs of the file whose two sentences are the same; they are skipped.
        unfit: Pairs left out because a sentence is longer than the model reads, or has no token at all.
        total: Pairs of the file.
    """

    name: str
    pairs: tuple[Pair, ...]
    numbers: tuple[int, ...]
    identical: int
    total: int
    unfit: int = 0

    def fitting(self, rows: Sequence[int]) -> Paradigm:
        """Return the pairs in `rows`, which the model can read; the others are counted in `unfit`."""
        kept = [(self.pairs[row], self.numbers[row]) for row in rows]
        return replace(self._only(kept), unfit=len(self.pairs) - len(rows))

    def admitted(self, admits: Admits) -> Paradigm:
        """Return the pairs both of whose sentences a vocabulary admits."""
        kept = [
            (pair, number)
            for pair, number in zip(self.pairs, self.numbers, strict=True)
            if admits([pair.good]) and admits([pair.bad])
        ]
        return self._only(kept)

    def sampled(self, size: int) -> Paradigm:
        """Return at most `size` of the pairs, drawn without replacement; the same ones every time."""
        count = len(self.pairs)
        if size >= count:
            return self
        drawn = generator(0, "pairs", self.name).choice(count, size, replace=False)
        return self._only([(self.pairs[i], self.numbers[i]) for i in sorted(drawn)])

    def _only(self, kept: Sequence[tuple[Pair, int]]) -> Paradigm:
        pairs, numbers = tuple(p for p, _ in kept), tuple(n for _, n in kept)
        return replace(self, pairs=pairs, numbers=numbers)


def find_paradigms(data: Path, names: Sequence[str] = ()) -> list[Path]:
    """Return the files of pairs at `data` (a file, or a folder), by name.

    Raises:
        InputError: There is none, or one that was asked for is missing.
    """
    files = [data] if data.is_file() else _files_in(data)
    by_name = {path.stem: path for path in files}
    if len(by_name) < len(files):
        twice = next(path for path in files if by_name[path.stem] != path)
        raise InputError(
            "each file of minimal pairs must have a name of its own, whatever its ending",
            got=f"{twice.name} and {by_name[twice.stem].name} in {data}",
        )
    missing = [name for name in names if name not in by_name]
    if missing or not files:
        raise InputError(
            "minimal pairs must be .jsonl or .txt files",
            got=f"no {missing[0]} in {data}" if missing else data,
            remedy=f"There are: {', '.join(by_name)}." if by_name else "Check the path.",
        )
    return [by_name[name] for name in names] if names else files


def _files_in(folder: Path) -> list[Path]:
    files = [p for kind in ("*.jsonl", "*.txt") for p in folder.glob(kind) if not is_hidden(p.name)]
    return sorted(files, key=lambda path: path.stem)


def read_paradigm(path: Path) -> Paradigm:
    """Return the pairs of a file that differ, with their places and the count of those that do not.

    Raises:
        InputError: A line is not a pair; the message names it.
    """
    pairs = read_all_pairs(path)
    numbers = [i for i, pair in enumerate(pairs) if pair.good != pair.bad]
    return Paradigm(
        path.stem,
        tuple(pairs[i] for i in numbers),
        tuple(numbers),
        len(pairs) - len(numbers),
        len(pairs),
    )


def read_all_pairs(path: Path) -> list[Pair]:
    """Return every pair in a JSON Lines file (`sentence_good`, `sentence_bad`) or in a Zorro text file.

    Raises:
        InputError: A line is not a pair; the message names it.
    """
    read = _from_json_lines if path.suffix == ".jsonl" else _from_alternating_lines
    return list(read(path))


def _from_json_lines(path: Path) -> Iterator[Pair]:
    for number, record in numbered_records(path):
        good, bad = (record.get(key) for key in ("sentence_good", "sentence_bad"))
        for key, sentence in (("sentence_good", good), ("sentence_bad", bad)):
            if not isinstance(sentence, str) or not sentence.strip():
                raise InputError(
                    f"line {number} of {path} must have a sentence under {key}",
                    got=repr(sentence) if key in record else f"only {', '.join(record)}",
                )
        yield Pair(str(good), str(bad))


def _from_alternating_lines(path: Path) -> Iterator[Pair]:
    """Read Zorro's form: odd lines hold the unacceptable sentence, even lines the acceptable one."""
    lines = [line.strip() for _, line in numbered_lines(path)]
    if len(lines) % 2:
        raise InputError(
            f"{path} must hold pairs of lines, the unacceptable sentence first",
            got=f"{len(lines)} lines",
        )
    for bad, good in zip(lines[::2], lines[1::2], strict=True):
        yield Pair(good, bad)
