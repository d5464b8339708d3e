"""What libraries raise where nobody answers, in one sentence."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from lilliput.core.errors import InputError, LilliputError


@contextmanager
def answering(what: str) -> Generator[None]:
    """Turn what libraries raise where nobody answers, or nothing is there, into one sentence.

    Each library that talks to the network has errors of its own, mostly below OSError and none that they
    share (requests, httpx, aiohttp, huggingface_hub): they are known by the package that they come from.
    """
    try:
        yield
    except LilliputError:
        raise
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if not isinstance(error, OSError) and package not in _NETWORK_PACKAGES:
            raise
        is_absent = isinstance(error, FileNotFoundError)
        raise InputError(
            f"{what} must exist" if is_absent else f"{what} must be reachable",
            got=(str(error).strip().splitlines() or [type(error).__name__])[0],
            remedy="Check the path."
            if is_absent
            else "Check the name, the network and your access, then run the same command again.",
        ) from None


_NETWORK_PACKAGES = {
    "aiohttp", "botocore", "fsspec", "gcsfs", "httpcore", "httpcore2", "httpx", "httpx2",
    "huggingface_hub", "requests", "s3fs", "socket", "ssl", "urllib3",
}  # fmt: skip
