"""The damage table: files of a finished tiny study, damaged in twelve ways, and the commands that then meet them.

    PYTHONPATH=src:. python benchmarks/damage.py --minutes 10

Each case is drawn with a fixed seed: a file, a kind of damage, a command. It counts what was refused in
words (exit 2 or 3), what went through with the output of the undamaged study, what went through with
another output, and tracebacks, as themselves or inside a sentence.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.faults.conftest import INLINE, RECIPE, Tiny, write_texts
from tests.faults.damage import KINDS, Outcome, call, spoil
from tests.faults.test_fuzz import COMMANDS

_OUTCOMES = ("tried", "refused", "same", "other", "traceback")
Table = dict[str, Counter[str]]


def make_study(home: Path) -> Tiny:
    """A finished study to damage copies of."""
    found = Tiny(home / "study", home / "tiny.toml")
    write_texts(home / "text.jsonl")
    found.recipe.write_text(RECIPE.replace("{folder}", str(home)))
    pair = '{"sentence_good": "to see tea", "sentence_bad": "tea see to"}\n'
    (home / "pairs.jsonl").write_text(pair * 4)
    done = call("study", "run", str(found.recipe), "--out", str(found.folder), *INLINE)
    assert done.code == 0, done.stderr + done.trace
    return found


def plain(found: Outcome, place: Path) -> str:
    """What a command printed, without its folder and without numbers of seconds."""
    text = found.stdout.replace(str(place), "PLACE")
    return re.sub(r"\d+(\.\d+)? (m?s|min)\b", "TIME", text)


def outcome(found: Outcome, whole: str, said: str) -> str:
    """Return the column of the table that a case is counted in."""
    if found.is_traceback or found.code == 1:
        return "traceback"
    if found.code:
        return "refused"
    return "same" if said == whole else "other"


def main() -> None:
    """Draw cases until the time is over, and print two tables."""
    from tests.faults.conftest import verbs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, until = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    by_kind: Table = {}
    by_command: Table = {}
    by_file: Table = {}
    undamaged: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as home:
        tiny = make_study(Path(home))
        files = sorted(
            path.relative_to(tiny.folder)
            for path in tiny.folder.rglob("*")
            if path.is_file() and path.name != ".driver"
        )

        def meet(command: str, file: Path | None, damaged: bytes | None) -> tuple[Outcome, str]:
            with tempfile.TemporaryDirectory() as place:
                study = tiny.copy(Path(place) / "study")
                if file is not None:
                    spoil(study / file, damaged)
                found = call(*verbs(tiny, study, Path(place) / "out")[command])
                return found, plain(found, Path(place))

        while time.monotonic() < until:
            file, kind, command = rng.choice(files), rng.choice(sorted(KINDS)), rng.choice(COMMANDS)
            content = (tiny.folder / file).read_bytes()
            damaged = KINDS[kind](content, random.Random(rng.random()))
            if damaged == content:
                continue
            if command not in undamaged:
                undamaged[command] = meet(command, None, None)[1]
            found, said = meet(command, file, damaged)
            counted = outcome(found, undamaged[command], said)
            for table, key in ((by_kind, kind), (by_command, command), (by_file, file.name)):
                table.setdefault(key, Counter()).update(["tried", counted])
            if counted in {"traceback", "other"}:
                print(f"{counted}: {command} on {file}, {kind}\n{found.trace[-1500:]}{found.sentence}", flush=True)  # fmt: skip
    for title, table in (("damage", by_kind), ("command", by_command), ("file", by_file)):
        show(title, table)


def show(title: str, table: Mapping[str, Counter[str]]) -> None:
    """Print one table as Markdown, with its sums."""
    print(f"\n| {title} | {' | '.join(_OUTCOMES)} |\n|---|{'--:|' * len(_OUTCOMES)}")
    for key in sorted(table):
        print(f"| {key} | {' | '.join(str(table[key][name]) for name in _OUTCOMES)} |")
    total = sum(table.values(), Counter[str]())
    print(f"| all | {' | '.join(str(total[name]) for name in _OUTCOMES)} |")


if __name__ == "__main__":
    main()
