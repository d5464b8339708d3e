"""A kill at any moment, and the same command again: the same content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lilliput.core.artefacts import read_manifest

_LINE = """
import sys
from pathlib import Path
from lilliput.tokenization import CompareSettings, compare_tokenizers, encode_corpus, train_tokenizers
corpus, out = map(Path, sys.argv[1:])
folders = train_tokenizers(corpus, out / "tokenizers", ["byte-bpe", "wordpiece"], [290, 330])
quick = CompareSettings(resamples=50)
found = compare_tokenizers(corpus, folders, out / "comparison", settings=quick)
encode_corpus(corpus, found.picked_folder, out / "tokens")
"""


def _run(corpus: Path, out: Path, seconds: float | None) -> None:
    """Run the whole line; after `seconds` it is killed without a chance to clean up."""
    command = [sys.executable, "-c", _LINE, str(corpus), str(out)]
    with subprocess.Popen(command) as process:
        try:
            assert process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()


def _contents(out: Path) -> dict[str, str]:
    return {
        path.parent.relative_to(out).as_posix(): read_manifest(path.parent).content
        for path in sorted(out.rglob("manifest.json"))
    }


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_content(corpus: Path, tmp_path: Path) -> None:
    _run(corpus, tmp_path / "whole", None)
    expected = _contents(tmp_path / "whole")
    assert set(expected) >= {"tokens", "comparison", "tokenizers/byte-bpe-290"}
    for tenths in range(4, 24, 2):
        _run(corpus, tmp_path / "killed", tenths / 10)
    _run(corpus, tmp_path / "killed", None)
    assert _contents(tmp_path / "killed") == expected
    assert not list((tmp_path / "killed").rglob("*.partial-*"))
