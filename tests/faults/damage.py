"""Ways to damage a file of a study, and the commands that then meet it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.cli._frame import run_command

ALLOWED = {0, 2, 3, 130}
# What our own words never are: Python's, NumPy's and Arrow's errors inside a sentence of ours.
_DISGUISED = ("must not raise", "Traceback (most recent call last)")


@dataclass(frozen=True)
class Outcome:
    """What a command line left: exit code, both streams, and the traceback where there was one."""

    code: int
    stdout: str
    stderr: str
    trace: str = ""

    @property
    def is_traceback(self) -> bool:
        """Whether a fault of ours showed, as itself or inside a sentence."""
        text = self.stdout + self.stderr
        return bool(self.trace) or any(mark in text for mark in _DISGUISED)

    @property
    def sentence(self) -> str:
        """The last line for people."""
        return (self.stderr.strip().splitlines() or [""])[-1]


def call(*arguments: str) -> Outcome:
    """Run one command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code, trace = run_command(list(arguments)), ""
        except SystemExit as left:
            code, trace = int(left.code or 0), ""
        except Exception:
            code, trace = 1, traceback.format_exc()
    return Outcome(code, out.getvalue(), err.getvalue(), trace)


def link_tree(source: Path, target: Path) -> None:
    """Copy a study in no time: `spoil` puts a new file in the place of a link, as all of our writers do."""
    shutil.copytree(source, target, copy_function=os.link)


def spoil(path: Path, content: bytes | None) -> None:
    """Give `path` other content, or none at all, and leave what it was linked to alone."""
    path.unlink()
    if content is not None:
        path.write_bytes(content)


Damage = Callable[[bytes, random.Random], "bytes | None"]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed))
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed) if bytes(changed) != data else data + b"x"


def _reversed_middle(data: bytes, rng: random.Random) -> bytes:
    third = max(len(data) // 3, 1)
    return data[:third] + data[third : 2 * third][::-1] + data[2 * third :]


def _documents(data: bytes) -> list[Any] | None:
    """The JSON values of a file, one, or one a line; None where it holds no JSON."""
    try:
        text = data.decode()
        try:
            return [json.loads(text)]
        except ValueError:
            return [json.loads(line) for line in text.splitlines()] or None
    except (ValueError, UnicodeDecodeError):
        return None


def _as_bytes(values: list[Any]) -> bytes:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()


def _tables(value: Any) -> Iterator[Any]:
    """All dictionaries and lists inside, the value itself first."""
    if isinstance(value, (dict, list)) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _tables(inner)


def _edited(edit: Callable[[Any, Any, random.Random], None]) -> Damage:
    def damage(data: bytes, rng: random.Random) -> bytes | None:
        values = _documents(data)
        tables = [table for value in values or () for table in _tables(value)]
        if values is None or not tables:
            return _reversed_middle(data, rng)
        # The outermost table half of the time: most readers look there first.
        table = tables[0] if rng.random() < 0.5 else rng.choice(tables)
        key = rng.choice(list(table)) if isinstance(table, dict) else rng.randrange(len(table))
        edit(table, key, rng)
        return _as_bytes(values)

    return damage


def _drop(table: Any, key: Any, rng: random.Random) -> None:
    del rng, table[key]


_OTHERS = (None, True, -1, 1.5, "x", [], {}, [1, "a"], {"a": {}}, 10**400, "\ud800")


def _retype(table: Any, key: Any, rng: random.Random) -> None:
    others = [other for other in _OTHERS[:-1] if type(other) is not type(table[key])]
    table[key] = rng.choice(others)


def _negate(table: Any, key: Any, rng: random.Random) -> None:
    value = table[key]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    table[key] = -abs(value) - 1 if is_number else rng.choice(["", "../../x", "a" * 5000])


KINDS: dict[str, Damage] = {
    "flipped": _flipped,
    "cut": lambda data, rng: data[: rng.randrange(max(len(data), 1))],
    "emptied": lambda data, rng: b"",
    "gone": lambda data, rng: None,
    "replaced": lambda data, rng: rng.randbytes(rng.choice([1, 40, max(len(data), 1)])),
    "other JSON": lambda data, rng: rng.choice([b"null", b"[]", b"{}", b"3", b'"x"', b"[[1]]"]),
    "key dropped": _edited(_drop),
    "other type": _edited(_retype),
    "other value": _edited(_negate),
    "too deep": lambda data, rng: rng.choice([b"[", b'{"a":']) * 100_000,
    "half a character": lambda data, rng: data.replace(b'": "', b'": "\\ud800', 1) or b'"\\ud800"',
    "reordered": _reversed_middle,
}
