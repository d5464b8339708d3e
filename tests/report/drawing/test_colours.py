"""One colour for one thing: across figures, across columns, and in order of size."""

from __future__ import annotations

from typing import Any

import pytest

from lilliput.report.document import embedded_data
from lilliput.report.drawing.colours import Looks, looks_of
from lilliput.report.drawing.figures import (
    Axis,
    Control,
    DataTable,
    Figure,
    FigureLayer,
    Option,
)
from lilliput.report.page import BuiltPage


def figure(*layers: FigureLayer) -> Figure:
    return Figure("f", "t", "words", Axis("x"), Axis("y"), layers)


def points(table: str, colour: str) -> FigureLayer:
    return FigureLayer(table, "points", x="x", y="y", colour=colour)


@pytest.fixture
def looks() -> Looks:
    tables = {
        "runs": DataTable(
            {
                "run": ["a", "b", "c"],
                "language": ["basic", "free", "free"],
                "group": ["basic", "free", "free, hot"],
                "shape": ["8/8/8/1/1", "16/16/16/1/1", "16/16/16/1/1"],
                "num_hidden_layers": [12.0, 2.0, 2.0],
            }
        ),
        "scores": DataTable({"run": ["a", "b"], "weights": ["trained", "untrained"]}),
        "kinds": DataTable({"kind": [f"k{i}" for i in range(12)]}),
    }
    figures = [
        figure(points("scores", "weights"), points("runs", "$colour")),
        figure(points("scores", "group"), points("kinds", "kind")),
    ]
    options = ("language", "shape", "num_hidden_layers")
    controls = [Control("colour", "Colour by", tuple(Option(o, o) for o in options))]
    return looks_of(figures, controls, tables)


def test_a_thing_has_its_colour_whatever_column_names_it(looks: Looks):
    assert looks["group"]["basic"].tone == looks["language"]["basic"].tone == 1
    assert looks["group"]["free"].tone == looks["language"]["free"].tone == 2


def test_two_things_have_two_colours(looks: Looks):
    things = {
        name: look.tone
        for column in ("language", "group", "weights")
        for name, look in looks[column].items()
    }
    assert len(set(things.values())) == len(things) == 5


def test_sizes_stand_on_the_ramp_in_their_order(looks: Looks):
    assert [look.share for look in looks["shape"].values()] == [0.0, 1.0]
    # By size, not by the order of the rows: two layers before twelve.
    assert {value: look.share for value, look in looks["num_hidden_layers"].items()} == {
        "2": 0.0,
        "12": 1.0,
    }


def test_many_values_stand_on_the_ramp_too(looks: Looks):
    shares = [look.share for look in looks["kind"].values()]
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(set(shares)) == 12


def test_a_facet_that_is_not_in_the_table_comes_from_the_runs(looks: Looks):
    assert set(looks["group"]) == {"basic", "free", "free, hot"}


def test_every_colour_of_a_report_is_known_to_its_page(pages: list[BuiltPage]):
    data: dict[str, Any] = embedded_data(pages)
    controls = {c["name"]: c["options"] for page in data["controls"].values() for c in page}
    for drawn in data["figures"]:
        for layer in drawn["layers"]:
            colour = layer["colour"]
            if colour is None:
                continue
            columns = [o["value"] for o in controls[colour[1:]]] if colour[0] == "$" else [colour]
            table = data["tables"][layer["table"]]
            for column in columns:
                held = table if column in table else data["tables"]["runs"]
                assert {str(v) for v in held[column] if v is not None} <= set(data["looks"][column])
