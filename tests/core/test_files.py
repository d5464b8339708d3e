from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lilliput.core.errors import ArtefactError, DiskFullError, InputError
from lilliput.core.files import (
    atomic_path,
    names_below,
    path_within,
    read_json,
    read_json_lines,
    remove_folder,
    remove_partial,
    require_file,
    write_json,
    write_json_lines,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "permission was denied")],
)
def test_a_refusal_of_the_system_is_one_sentence_with_the_path(
    tmp_path: Path, number: int, word: str
) -> None:
    with pytest.raises(DiskFullError, match=word) as caught, atomic_path(tmp_path / "a.bin"):
        raise OSError(number, "refused")
    assert "a.bin" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_remains_of_killed_writes_and_removals_go_and_are_no_progress(tmp_path: Path) -> None:
    write_text(tmp_path / "run" / "whole.txt", "kept")
    for remains in ("run/whole.txt.partial-1-ab", "run/resume-4.partial-2-cd/state.json"):
        (tmp_path / remains).parent.mkdir(exist_ok=True)
        (tmp_path / remains).touch()
    assert names_below(tmp_path) == {tmp_path / "run" / "whole.txt"}
    remove_partial(tmp_path)
    assert set(tmp_path.rglob("*")) == {tmp_path / "run", tmp_path / "run" / "whole.txt"}
    remove_folder(tmp_path / "run")
    remove_folder(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_line_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_json_lines(path, [{"step": 1}, {"step": 2}])
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_json_lines(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_paths_from_archives_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtefactError, match="must stay inside"):
        path_within(tmp_path, name)
    assert path_within(tmp_path, "a/b") == tmp_path.resolve() / "a" / "b"


def test_missing_and_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere.json"):
        read_json(tmp_path / "nowhere.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ArtefactError, match="must hold JSON"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(InputError, match="must be a file: got the folder"):
        require_file(tmp_path)
