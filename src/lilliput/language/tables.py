# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Keep the rows of any table whose texts stay within a vocabulary: GLUE, BLiMP, one's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, json, parquet

from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path
from lilliput.core.intervals import proportion_interval
from lilliput.language.words.profiles import word_profile
from lilliput.language.words.splitting import passes_unseen, split_words
from lilliput.language.words.vocabulary import Vocabulary

# The rule by which the paper filtered GLUE; it is for sentences, not a word profile for corpora.
GLUE_PAPER = "glue-paper"

# arXiv 2305.17266; text-machine-lab/mini_bert, utils.py, lines 17-71.
_GLUE_STRIPPED = str.maketrans("", "", "0123456789!:&“”—-_,@#$?;’.'()\"")
_GLUE_CLITICS = frozenset({"", "nt", "s", "re", "t", "d", "ll"})

UnknownWords = Callable[[str], list[str]]


@dataclass(frozen=True)
class _Counts:
    rows: int
    kept: int

    def as_record(self) -> dict[str, Any]:
        share = proportion_interval(self.kept, self.rows).as_record() if self.rows else None
        return {"rows": self.rows, "kept": self.kept, "share": share}


def glue_paper_words(text: str) -> list[str]:
    """The words that the paper's GLUE rule looks up in a row whose texts are joined by a space.

    Words with a capital letter are left out, the first word of the row excepted; digits and most
    punctuation are deleted, and so are the remains of contractions.

    Source: text-machine-lab/mini_bert, utils.py, lines 17-71.
    """
    pieces = text.split(" ")
    checked = [pieces[0], *(word for word in pieces[1:] if word == word.lower())]
    stripped = (word.lower().translate(_GLUE_STRIPPED) for word in checked)
    return [word for word in stripped if word not in _GLUE_CLITICS]


def unknown_words(vocabulary: Vocabulary, profile: str) -> UnknownWords:
    """A function from a text to its words that are not in `vocabulary`, repetitions included.

    Args:
        vocabulary: The words admitted.
        profile: A word profile, or GLUE_PAPER.
    """
    if profile == GLUE_PAPER:
        members = frozenset(vocabulary.words)
        return lambda text: [word for word in glue_paper_words(text) if word not in members]
    rule = word_profile(profile)
    admitted = vocabulary.looked_up(rule)
    return lambda text: [
        word
        for word in split_words(text, rule)
        if word not in admitted and not passes_unseen(word, rule)
    ]


def filter_table(
    table: Path,
    columns: Sequence[str],
    vocabulary: Vocabulary,
    profile: str,
    out: Path,
    *,
    max_unknown: int = 0,
) -> dict[str, Any]:
    """Write the rows whose texts hold at most `max_unknown` unknown words.

    Args:
        table: A Parquet, CSV or JSON Lines file, or a folder with one file a split.
        columns: The text columns, joined by a space in this order.
        vocabulary: The words admitted.
        profile: A word profile, or `glue-paper`.
        out: Where the kept rows go: a file, or a folder for a folder. The ending says the format.
        max_unknown: Unknown words allowed in a row.

    Returns:
        `rows`, `kept`, `share` (with Wilson's interval), the same by split, and the most frequent
        `unknown` words.

    Raises:
        InputError: A column is not there, or the table cannot be read.
    """
    unknown = unknown_words(vocabulary, profile)
    seen: Counter[str] = Counter()
    splits: dict[str, Any] = {}
    rows = kept = 0
    for path in _tables(table):
        target = out / f"{path.stem}.parquet" if table.is_dir() else out
        counts = _filter_one(path, columns, unknown, target, max_unknown, seen)
        splits[path.stem] = counts.as_record()
        rows, kept = rows + counts.rows, kept + counts.kept
    record = _Counts(rows, kept).as_record()
    most = sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:50]
    return record | {"splits": splits, "unknown": most, "profile": profile}


def _tables(table: Path) -> list[Path]:
    if not table.is_dir():
        return [table]
    found = [p for p in sorted(table.iterdir()) if p.suffix.lower() in _READERS]
    if not found:
        raise InputError(
            f"{table} must hold tables", got="none", remedy=f"Endings: {', '.join(_READERS)}."
        )
    return found


def _filter_one(
    path: Path,
    columns: Sequence[str],
    unknown: UnknownWords,
    out: Path,
    max_unknown: int,
    seen: Counter[str],
) -> _Counts:
    table = read_table(path)
    missing = [name for name in columns if name not in table.column_names]
    if missing or not columns:
        raise InputError(
            f"{path} must have the columns {', '.join(columns) or '(none named)'}",
            got=f"the columns {', '.join(table.column_names)}",
        )
    mask: list[bool] = []
    for texts in zip(*(table.column(name).to_pylist() for name in columns), strict=True):
        found = unknown(" ".join(str(text) for text in texts if text is not None))
        seen.update(found)
        mask.append(len(found) <= max_unknown)
    _write(table.filter(pa.array(mask, pa.bool_())), out)
    return _Counts(len(mask), sum(mask))


def _write_json_lines(table: pa.Table, path: Path) -> None:
    from json import dumps

    lines = (dumps(row, ensure_ascii=False, default=str) for row in table.to_pylist())
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _read_tabs(path: Path) -> pa.Table:
    return csv.read_csv(path, parse_options=csv.ParseOptions(delimiter="\t", quote_char=False))


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".parquet": parquet.read_table,
    ".csv": csv.read_csv,
    ".tsv": _read_tabs,
    ".jsonl": json.read_json,
    ".json": json.read_json,
}
_WRITERS: dict[str, Callable[[pa.Table, Path], object]] = {
    ".parquet": parquet.write_table,
    ".csv": csv.write_csv,
    ".jsonl": _write_json_lines,
}


def read_table(path: Path) -> pa.Table:
    """The table in a file whose ending says the format.

    Raises:
        InputError: The ending is not known, or the file cannot be read as such.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            "the table's ending must be known",
            got=path,
            remedy=f"Use one of: {', '.join(_READERS)}.",
        )
    try:
        return reader(path)
    except FileNotFoundError:
        raise InputError("the table must exist", got=path, remedy="Check the path.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} must be a readable table", got=error) from None


def _write(table: pa.Table, out: Path) -> None:
    writer = _WRITERS.get(out.suffix.lower())
    if writer is None:
        raise InputError(
            "the ending of the output must be known",
            got=out,
            remedy=f"Use one of: {', '.join(_WRITERS)}.",
        )
    with atomic_path(out) as temporary:
        writer(table, temporary)
