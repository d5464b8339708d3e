from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.core.errors import MissingExtraError
from lilliput.core.extras import require
from lilliput.core.hashing import content_id, file_hash
from lilliput.core.seeding import generator

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain))
def test_the_order_of_keys_is_not_part_of_an_id(value: dict[str, object]) -> None:
    assert content_id(value) == content_id(dict(reversed(value.items())))


def test_file_hash_is_xxh3_128_of_the_bytes(tmp_path: Path) -> None:
    # XXH3-128 of the empty input, from the specification of the algorithm.
    (tmp_path / "empty").touch()
    assert file_hash(tmp_path / "empty") == "99aa06d3014798d86001c324468d497f"


def test_streams_depend_on_their_name_alone() -> None:
    first = generator(0, "masks", 17).random(5)
    generator(0, "masks", 16).random(1000)
    assert np.array_equal(first, generator(0, "masks", 17).random(5))
    others = [generator(1, "masks", 17), generator(0, "order", 17), generator(0, "masks", 1, 7)]
    assert all(not np.array_equal(first, other.random(5)) for other in others)


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lilliput\[dedup\]'"):
        require("rensa", "dedup")


def test_the_package_works_from_its_source_alone():
    """Where nothing is installed, as on a machine that was handed the source tree, there is no version to look up."""
    import subprocess
    import sys

    code = (
        "import importlib.metadata as metadata\n"
        "real = metadata.version\n"
        "def version(name):\n"
        "    if name == 'lilliput':\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "metadata.version = version\n"
        "import lilliput\n"
        "from lilliput.core.artefacts.building import environment\n"
        "import lilliput.report.pages.method, lilliput.report.document\n"
        "assert environment()['lilliput'] == lilliput.__version__ == '0+source'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
