"""Options that several verbs share."""

from __future__ import annotations

import pytest

from lilliput.cli._options import column_mapping
from lilliput.core.errors import ConfigurationError


def test_a_column_that_the_schema_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="got 'los'. Did you mean 'loss'"):
        column_mapping(["los=val/loss"])
    with pytest.raises(ConfigurationError, match="The schema has: run, family"):
        column_mapping(["money_usd=price"])


def test_columns_of_the_schema_are_mapped_endings_included() -> None:
    given = ["loss=val/loss", "flops_mine=C", "score_mine = s"]
    assert column_mapping(given) == {"loss": "val/loss", "flops_mine": "C", "score_mine": "s"}
