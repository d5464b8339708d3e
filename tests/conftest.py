"""Fixtures and options of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

# What continuous integration installs: a test that skips for want of it fails there.
_MUST_RUN = {"browser", "ray", "root"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons: dict[str, str] = {}
    if not config.getoption("--slow"):
        reasons["slow"] = "takes minutes: run with --slow"
    if not find_spec("ray"):
        reasons["ray"] = "needs Ray: pip install 'lilliput[cluster]'"
    for item in items:
        for mark, reason in reasons.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = _MUST_RUN & {mark.name for mark in item.iter_markers()}
    if report.skipped and required and os.environ.get("LILLIPUT_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"skipped where {', '.join(required)} must run: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The research data (corpora, GLUE, BLiMP, word lists), which the project does not ship."""
    given = os.environ.get("LILLIPUT_DATA")
    if not given or not Path(given).is_dir():
        pytest.skip("needs the research data: set LILLIPUT_DATA to its folder")
    return Path(given)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Published figures, each with its source in tests/golden/README.md."""
    return Path(__file__).parent / "golden"
