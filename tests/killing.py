"""Work that is killed before each of its changes to the file system, and goes on every time."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

# What Python tells an audit hook before it does it; torch, numpy and pyarrow write through files opened here, or
# to temporary names.
_CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# A fresh part of a temporary name is no other place.
_FRESH = re.compile(r"\.partial-[0-9a-f-]+")


def kill_at_every_change(
    work: Callable[[Path], object], folder: Path, preload: Sequence[str] = ()
) -> int:
    """Do `work` in `folder` until it ends, killed before each change that no attempt before was killed at; the kills.

    Args:
        work: A function of a module, or a partial of one.
        folder: Where it works; kills fall on changes there and below.
        preload: What the work imports late, and an attempt need not import again.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_attempts, args=(work, folder, preload, sender))
    process.start()
    sender.close()
    try:
        kills, status = receiver.recv()
    finally:
        process.join()
    assert status == 0, f"not to be gone on with after {kills} kills"
    return kills


def _attempts(
    work: Callable[[Path], object], folder: Path, preload: Sequence[str], tell: Connection
) -> None:
    """Fork once an attempt, so that nothing is imported twice."""
    for module in preload:
        import_module(module)
    survived: set[str] = set()
    while True:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            _attempt(work, folder, survived, writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            change = pipe.read()
        _, status = os.waitpid(pid, 0)
        if not change:
            tell.send((len(survived), status))
            return
        survived.add(change)


def _attempt(
    work: Callable[[Path], object], folder: Path, survived: set[str], writer: int
) -> NoReturn:
    def watch(event: str, arguments: tuple[object, ...]) -> None:
        change = _change(event, arguments, folder) if event in _CHANGES else None
        if change is not None and change not in survived:
            os.write(writer, change.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    try:
        work(folder)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _change(event: str, arguments: tuple[object, ...], folder: Path) -> str | None:
    """Name of a change at or below `folder`; None for one elsewhere, and for what only reads."""
    path = arguments[0]
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    if event == "open" and not int(str(arguments[2])) & _WRITES:
        return None
    name = os.fsdecode(path)
    above = arguments[1] if event in {"os.remove", "os.rmdir"} else None
    if isinstance(above, int) and above >= 0:  # shutil removes a tree from within.
        name = str(Path(f"/proc/self/fd/{above}").readlink() / name)
    if name != str(folder) and not name.startswith(f"{folder}/"):
        return None
    return f"{event} {_FRESH.sub('.partial', name)}"
