"""Twenty-four made-up CHAT files against the words that the CHAT manual says were spoken.

The right words in `chat/words.json` were written by hand. pylangacq 0.23.0 reads 88 of the 91
utterances the same; it differs in `(.5)`, in a pause written inside a word, and in quotation marks
(here kept beside the word, where word profiles take them off). Rules that differ on purpose and are
not in these files: a compound (`choo+choo`) is two words here, and words and utterances in another
language (`@s`, `[- spa]`) do not count for a word list; pylangacq keeps both as they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lilliput.language.reading.chat import parse_chat

FOLDER = Path(__file__).parent / "chat"
RIGHT = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RIGHT)
def test_the_words_of_a_transcript(name: str) -> None:
    with (FOLDER / f"{name}.cha").open(encoding="utf-8", newline="") as file:
        found = parse_chat(file.read())
    words = [
        [u.speaker.code, [w for part in u.text.split() if (w := part.rstrip(".?!,"))]]
        for u in found.utterances
    ]
    assert words == RIGHT[name]


def test_there_are_enough_files() -> None:
    assert len(RIGHT) >= 20
    assert sum(map(len, RIGHT.values())) >= 90
    assert {path.stem for path in FOLDER.glob("*.cha")} == set(RIGHT)


def test_the_documentation_shows_what_the_build_prints(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "howto" / "own-vocabulary.md"
    shown = [
        line
        for line in page.read_text("utf-8").splitlines()
        if "transcripts of children" in line or " utterances count;" in line
    ]
    files = sorted(map(str, FOLDER.glob("*.cha")))
    command = [
        sys.executable,
        "-m",
        "lilliput",
        "vocabulary",
        "build",
        *files,
        "--out",
        str(tmp_path / "v.csv"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = done.stdout.splitlines()
    assert len(shown) == 2
    assert set(shown) <= set(printed)
