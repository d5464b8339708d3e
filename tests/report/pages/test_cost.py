"""The words of the page Cost: units, shares of draws, and what is not claimed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.report.conftest import SHAPES, StudyMaker
from tests.report.pages.test_learning import answer, on_the_plateau, write_losses

from lilliput.report.document import build_pages
from lilliput.report.page import BuiltPage
from lilliput.report.pages.cost.sentences import FEWEST_SEEDS, ICER
from lilliput.report.parts import TableView
from lilliput.report.reading.evidence import read_evidence


def cost_page(pages: list[BuiltPage]) -> BuiltPage:
    return next(page for page in pages if page.name == "cost")


def table_of(page: BuiltPage, effect: str) -> TableView:
    return next(table for where, table in page.content["tables"] if where["effect"] == effect)


def labels(table: TableView) -> list[str]:
    return [column.label for column in table.columns]


@pytest.mark.parametrize(("seeds", "has_shares"), [(2, False), (FEWEST_SEEDS, True)])
def test_a_share_of_draws_needs_seeds(tmp_path: Path, seeds: int, has_shares: bool):
    maker = StudyMaker(tmp_path / "study", seeds=seeds, shapes=SHAPES[:3])
    maker.recipe()
    maker.runs()
    page = cost_page(build_pages(read_evidence(maker.folder)))
    said = " ".join(page.content["sentences"])
    figure = page.figure("acceptability")
    assert figure is not None
    assert ("% of draws" in said) == has_shares
    assert (f"From {seeds} seeds a shape a share of draws says little" in said) != has_shares
    assert ("says little" in figure.text) != has_shares
    assert ("Efficient in" in labels(table_of(page, "loss"))) == has_shares
    assert ("share_efficient" in page.tables["strategies"]) == has_shares


def test_effects_name_unit_and_direction(pages: list[BuiltPage]):
    page = cost_page(pages)
    loss = labels(table_of(page, "loss"))
    assert "Effect (nat, lower is better)" in loss
    assert "Cost (FLOPs)" in loss
    assert "ICER (FLOPs for an effect lower by 1 nat)" in loss
    assert "Effect (perplexity, lower is better)" in labels(table_of(page, "perplexity"))
    effect = next(control for control in page.controls if control.name == "effect")
    assert all(option.label.endswith(", lower is better") for option in effect.options)
    assert page.content["icer"] == ICER
    assert ICER.startswith("ICER, the incremental cost-effectiveness ratio, is")


def test_nothing_is_worth_its_cost_where_nothing_was_learned(
    tmp_path: Path, pages: list[BuiltPage]
):
    assert "neared that" not in " ".join(cost_page(pages).content["sentences"])
    folder = StudyMaker(tmp_path / "study").whole()
    write_losses(folder, on_the_plateau)
    built = build_pages(read_evidence(folder))
    said = cost_page(built).content["sentences"]
    assert said[0].startswith("None of these models learned more than how frequent each token is")
    assert "not what is worth its cost" in said[0]
    assert answer(built, "Which size").verdict == "unclear"
