"""Minimal pairs from BLiMP, its supplement, Zorro, or any JSON Lines file of pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lilliput.core.errors import InputError
from lilliput.core.seeding import generator
from lilliput.evaluation.admission import Admits


@dataclass(frozen=True)
class Pair:
    """An acceptable sentence and its unacceptable twin."""

    good: str
    bad: str


@dataclass(frozen=True)
class Paradigm:
    """The pairs of one file.

    Attributes:
        name: The file's name without its ending.
        pairs: Pairs whose sentences differ, in the file's order.
        numbers: EvaluationFolders of each pair in the file, from 0.
        identical: Pairs of the file whose two sentences are the same; they are skipped.
        total: Pairs of the file.
    """

    name: str
    pairs: tuple[Pair, ...]
    numbers: tuple[int, ...]
    identical: int
    total: int

    def admitted(self, admits: Admits) -> Paradigm:
        """The pairs both of whose sentences a vocabulary admits."""
        kept = [
            (pair, number)
            for pair, number in zip(self.pairs, self.numbers, strict=True)
            if admits([pair.good]) and admits([pair.bad])
        ]
        return self._only(kept)

    def sampled(self, size: int) -> Paradigm:
        """At most `size` of the pairs, drawn without replacement; the same ones every time."""
        count = len(self.pairs)
        if size >= count:
            return self
        drawn = generator(0, "pairs", self.name).choice(count, size, replace=False)
        return self._only([(self.pairs[i], self.numbers[i]) for i in sorted(drawn)])

    def _only(self, kept: Sequence[tuple[Pair, int]]) -> Paradigm:
        pairs, numbers = tuple(p for p, _ in kept), tuple(n for _, n in kept)
        return replace(self, pairs=pairs, numbers=numbers)


def find_paradigms(data: Path, names: Sequence[str] = ()) -> list[Path]:
    """The files of pairs at `data` (a file, or a folder), by name.

    Raises:
        InputError: There is none, or one that was asked for is missing.
    """
    files = [data] if data.is_file() else _files_in(data)
    by_name = {path.stem: path for path in files}
    missing = [name for name in names if name not in by_name]
    if missing or not files:
        raise InputError(
            "minimal pairs must be .jsonl or .txt files",
            got=f"no {missing[0]} in {data}" if missing else data,
            remedy=f"There are: {', '.join(by_name)}." if by_name else "Check the path.",
        )
    return [by_name[name] for name in names] if names else files


def _files_in(folder: Path) -> list[Path]:
    files = [*folder.glob("*.jsonl"), *folder.glob("*.txt")]
    return sorted(files, key=lambda path: path.stem)


def read_paradigm(path: Path) -> Paradigm:
    """The pairs of a file that differ, with their places and the count of those that do not.

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
    """Every pair in a JSON Lines file (`sentence_good`, `sentence_bad`) or in a Zorro text file.

    Raises:
        InputError: A line is not a pair; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text", got=error) from None
    read = _from_json_lines if path.suffix == ".jsonl" else _from_alternating_lines
    return list(read([line for line in lines if line.strip()], path))


def _from_json_lines(lines: Sequence[str], path: Path) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            yield Pair(str(record["sentence_good"]), str(record["sentence_bad"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(
                f"line {number} of {path} must be an object with sentence_good and sentence_bad",
                got=f"{type(error).__name__}: {error}",
            ) from None


def _from_alternating_lines(lines: Sequence[str], path: Path) -> Iterator[Pair]:
    """Zorro's form: odd lines hold the unacceptable sentence, even lines the acceptable one."""
    if len(lines) % 2:
        raise InputError(
            f"{path} must hold pairs of lines, the unacceptable sentence first",
            got=f"{len(lines)} lines",
        )
    for bad, good in zip(lines[::2], lines[1::2], strict=True):
        yield Pair(good.strip(), bad.strip())
