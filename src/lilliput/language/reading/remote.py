"""Files elsewhere: any fsspec URL, and datasets of the Hugging Face Hub by name.

Nothing is fetched unless the caller allows the network; URLs of local file systems always may.
"""

from __future__ import annotations

import os
import re
from typing import IO, Any, cast

from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import is_hidden
from lilliput.core.network import answering

_LOCAL_SCHEMES = ("file", "memory", "local")
_HUB_PREFIX = "hub:"

# Where a folder of the same layout as the Hub may stand in for it: {root}/{owner}/{name}/{path}.
MIRROR_VARIABLE = "LILLIPUT_HUB_MIRROR"

# Published corpora of the paper and its relatives: name to repository and files.
HUB_DATASETS = {
    "c4": ("allenai/c4", "en/c4-train.*.json.gz"),
    "wikipedia": ("wikimedia/wikipedia", "20231101.en/*.parquet"),
    "simple-wikipedia": ("wikimedia/wikipedia", "20231101.simple/*.parquet"),
    "bookcorpus": ("bookcorpus/bookcorpus", "**/*.parquet"),
    "cbt": ("cam-cst/cbt", "raw/*.parquet"),
    "tinystories": ("roneneldan/TinyStories", "data/*.parquet"),
    "fineweb": ("HuggingFaceFW/fineweb", "sample/10BT/*.parquet"),
}


def find_remote(path: str, *, hub: bool) -> list[tuple[str, str, int]]:
    """Return (URL, name, bytes) of each file that a URL or `hub:NAME` names.

    `hub:NAME` is a name of HUB_DATASETS or `owner/dataset`, with an optional `:glob` behind it.

    Raises:
        InputError: The network is needed and not allowed, or nothing is found.
    """
    url = _hub_url(path) if path.startswith(_HUB_PREFIX) else path
    scheme = url.split("://", maxsplit=1)[0]
    if not hub and scheme not in _LOCAL_SCHEMES:
        raise InputError(
            "the network is used only when it is allowed", got=path, remedy="Pass --hub."
        )
    with answering(path):
        fs, root = _file_system(url)
        pattern = f"{root.rstrip('/')}/**" if fs.isdir(root) else root
        found = fs.glob(pattern, detail=True) if _is_glob(pattern) else {root: fs.info(root)}
    files = [
        (fs.unstrip_protocol(name), name.rsplit("/", 1)[-1], int(info["size"] or 0))
        for name, info in sorted(found.items())
        if info["type"] == "file" and not (_is_glob(pattern) and is_hidden(_below(root, name)))
    ]
    if not files:
        raise InputError("the source must hold files", got=path, remedy="Check the name.")
    return files


def _below(root: str, name: str) -> str:
    """Return the part of a path that was found below the folder that the user named."""
    fixed = re.split(r"[*?\[]", root)[0].rsplit("/", 1)[0] if _is_glob(root) else root
    return name.removeprefix(fixed).lstrip("/")


def _hub_url(path: str) -> str:
    name, _, pattern = path.removeprefix(_HUB_PREFIX).partition(":")
    repository, files = HUB_DATASETS.get(name, (name, "**"))
    if "/" not in repository:
        raise InputError(
            "a dataset of the Hub must be known or be written owner/name",
            got=repr(name),
            remedy=f"Known: {', '.join(HUB_DATASETS)}.",
        )
    mirror = os.environ.get(MIRROR_VARIABLE)
    root = mirror.rstrip("/") if mirror else "hf://datasets"
    return f"{root}/{repository}/{pattern or files}"


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[")


def _file_system(url: str) -> tuple[Any, str]:
    if url.startswith("hf://"):
        require("huggingface_hub", "hf")
    fsspec = require("fsspec", "hf")
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(
            "the URL must be of a kind that fsspec can open", got=url, remedy=f"{error}"
        ) from None


def open_remote(url: str) -> IO[bytes]:
    """Return the bytes behind a URL as a stream."""
    with answering(url):
        fs, path = _file_system(url)
        return cast("IO[bytes]", fs.open(path, "rb"))
