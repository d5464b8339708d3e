from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from lilliput.analysis import (
    SCHEMA,
    analyse_fit,
    check_table,
    found_columns,
    load_table,
    measurements_of,
    read_table,
    write_table,
)
from lilliput.core.errors import InputError

GOOD = {
    "run": ["a", "a", "b", "b", "c", "c"],
    "step": [1, 2, 1, 2, 1, 2],
    "flops_reference": [1e15, 2e15, 3e15, 6e15, 9e15, 18e15],
    "loss": [4.0, 3.6, 3.3, 3.0, 2.8, 2.5],
}


def test_the_builtin_table_is_the_published_one(paper, golden):
    # text-machine-lab/mini_bert, parent of bbe7076: 42 runs, 36 evaluations each.
    with (golden / "paper_evaluations.csv").open() as file:
        rows = {(r["run"], int(r["updates"])): r for r in csv.DictReader(file)}
    assert len(paper) == len(rows) == 1512
    for name, step, cost, loss in zip(
        paper.text("run").tolist(),
        paper.number("step").tolist(),
        paper.number("flops_reference").tolist(),
        paper.number("loss_reference").tolist(),
        strict=True,
    ):
        row = rows[name, int(step)]
        assert cost == float(row["flops_reference"])
        assert loss == float(row["eval_loss"])


def test_the_builtin_runs_carry_their_published_facts(paper, golden):
    with (golden / "paper_runs.csv").open() as file:
        runs = {r["run"]: r for r in csv.DictReader(file)}
    final = paper.select(paper.columns["is_final"])
    assert len(final) == len(runs) == 42
    for i, name in enumerate(final.text("run").tolist()):
        row = runs[name]
        assert final.number("num_parameters")[i] == float(row["num_parameters"])
        assert final.number("test_loss_reference")[i] == float(row["test_loss"])
        expected = float(row["flops_reference_per_sequence"])
        assert final.number("sequence_flops_reference")[i] == expected
    assert np.isnan(paper.number("test_loss_reference")).sum() == 1512 - 42


def test_mapping_gives_other_headers_the_names_of_the_schema(csv_file):
    path = csv_file({"C": GOOD["flops_reference"], "val": GOOD["loss"], "id": GOOD["run"]})
    table = read_table(path, columns={"flops_hoffmann": "C", "loss": "val", "run": "id"})
    assert list(table.columns) == ["flops_hoffmann", "loss", "run"]
    assert table.number("loss").tolist() == GOOD["loss"]


def test_a_mapping_to_a_missing_header_is_refused_by_name(csv_file):
    with pytest.raises(InputError, match="nonsense"):
        read_table(csv_file(GOOD), columns={"loss": "nonsense"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_writing_and_reading_again_changes_nothing(csv_file, tmp_path: Path, suffix):
    columns = GOOD | {
        "is_final": ["false", "true"] * 3,
        "score_cola": [0.1, "", 0.3, 0.4, 0.5, 0.6],
    }
    table = read_table(csv_file(columns))
    write_table(table, tmp_path / f"again{suffix}")
    again = load_table(tmp_path / f"again{suffix}")
    assert list(again.columns) == list(table.columns)
    for name in table.columns:
        np.testing.assert_array_equal(again.columns[name], table.columns[name])


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("loss", "nan", "'nan'"),
        ("loss", "-0.5", "'-0.5'"),
        ("loss", "three", "'three'"),
        ("flops_reference", "0", "'0'"),
        ("flops_reference", "inf", "'inf'"),
        ("step", "-1", "'-1'"),
        ("run", "", "must name the run"),
    ],
)
def test_a_bad_cell_is_refused_with_its_line_and_value(csv_file, column, cell, said):
    columns = {name: list(cells) for name, cells in GOOD.items()}
    columns[column][3] = cell
    path = csv_file(columns)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert "line 5" in str(caught.value)  # The header is line 1.
    assert column in str(caught.value)
    assert said in str(caught.value)
    assert [(p.line, p.column) for p in check_table(path)] == [(5, column)]


def test_line_numbers_count_quoted_line_breaks(tmp_path: Path):
    path = tmp_path / "quoted.csv"
    path.write_text('run,loss,flops_x\n"a\nb",1,1e9\nc,-2,2e9\n')
    assert [problem.line for problem in check_table(path)] == [4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no header"),
        ("run,loss\n", "none"),
        ("run,run\na,b\n", "run"),
        ("run,loss\na,1,2\n", "line 2"),
        ('run,loss\n"a,1\n', "unexpected end of data"),
    ],
)
def test_a_malformed_file_is_one_sentence(tmp_path: Path, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert said in str(caught.value)


def test_binary_and_unknown_files_are_refused_by_name(tmp_path: Path):
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"run,loss\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_table(binary)
    parquet = tmp_path / "x.parquet"
    parquet.write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"x\.parquet"):
        read_table(parquet)
    with pytest.raises(InputError, match=r"table\.xlsx"):
        (tmp_path / "table.xlsx").touch()
        read_table(tmp_path / "table.xlsx")
    with pytest.raises(InputError, match="papre"):
        load_table("papre")


def test_repeated_rows_are_left_out_with_a_warning(csv_file):
    columns = {name: [*cells, cells[1]] for name, cells in GOOD.items()}
    table = read_table(csv_file(columns))
    assert len(table) == 6
    assert any("in every cell: 1, at line 8." in w for w in table.warnings)


def test_conflicting_rows_of_one_step_are_told(csv_file):
    columns = {name: [*cells, cells[1]] for name, cells in GOOD.items()}
    columns["loss"][-1] = 9.0
    warnings = measurements_of(read_table(csv_file(columns))).warnings
    assert any("with other values: 1." in w for w in warnings)


def test_swapped_columns_are_refused(csv_file):
    swapped = GOOD | {"flops_reference": GOOD["loss"], "loss": GOOD["flops_reference"]}
    with pytest.raises(InputError, match="swapped"):
        measurements_of(read_table(csv_file(swapped)))


def test_a_rising_loss_is_told(csv_file):
    rising = GOOD | {"loss": GOOD["loss"][::-1]}
    assert any(
        "loss rises with" in w for w in measurements_of(read_table(csv_file(rising))).warnings
    )


def test_one_cost_only_is_refused_with_its_value(csv_file):
    flat = GOOD | {"flops_reference": [2e15] * 6}
    with pytest.raises(InputError, match=r"2e\+15"):
        analyse_fit(read_table(csv_file(flat)))


def test_rows_without_a_loss_are_counted_as_refused(csv_file):
    holes = GOOD | {"loss": [4.0, "", 3.3, 3.0, "", 2.5]}
    data = measurements_of(read_table(csv_file(holes)))
    assert len(data) == 4
    assert data.refused == {"no loss": 2}


def test_flops_conventions_are_chosen_by_name(csv_file):
    columns = GOOD | {"flops_executed_masked": [x / 10 for x in GOOD["flops_reference"]]}
    table = read_table(csv_file(columns))
    default = measurements_of(table)
    assert default.flops_column == "flops_reference"
    assert any("flops_executed_masked" in w for w in default.warnings)
    chosen = measurements_of(table, flops="executed_masked")
    np.testing.assert_allclose(chosen.flops * 10, default.flops)
    with pytest.raises(InputError, match="kaplan"):
        measurements_of(table, flops="kaplan")


def test_loss_reference_alone_is_used_with_a_warning(paper):
    data = measurements_of(paper)
    assert data.loss_column == "loss_reference"
    assert any("diluted" in w for w in data.warnings)


def test_seeds_of_one_shape_form_a_group(csv_file):
    columns = GOOD | {"shape": ["s"] * 4 + ["t"] * 2, "seed": [0, 0, 1, 1, 0, 0]}
    data = measurements_of(read_table(csv_file(columns)))
    assert data.group.tolist() == [0, 0, 0, 0, 1, 1]


def test_every_column_of_the_schema_is_described():
    assert all(column.meaning.endswith(".") for column in SCHEMA)
    assert len({column.name for column in SCHEMA}) == len(SCHEMA)


@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_a_table_may_be_cut_by_semicolons_or_tabs(tmp_path: Path, mark):
    rows = [["run", "flops_x", "loss"], ["a, b", "1e9", "3"], ["c", "2e9", "2.5"]]
    quoted = [[f'"{cell}"' if "," in cell else cell for cell in row] for row in rows]
    for name in ("table.csv", "TABLE.CSV", "table.tsv"):
        (tmp_path / name).write_text("\n".join(mark.join(row) for row in quoted), "utf-8-sig")
        table = read_table(tmp_path / name)
        assert table.number("loss").tolist() == [3, 2.5]
        assert table.text("run").tolist() == ["a, b", "c"]


@pytest.mark.parametrize("cell", ["3,91", "1,234.5"])
def test_commas_in_numbers_are_refused_in_words(tmp_path: Path, cell):
    path = tmp_path / "excel.csv"
    path.write_text(f"run;flops_x;loss\na;1e9;{cell}\n")
    with pytest.raises(InputError, match=f"no commas: got '{cell}'"):
        read_table(path)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Run": "ab", "FLOPs": [1e9, 2e9], "loss": [3, 2]}, "--column flops=FLOPs"),
        ({"run": "ab", "flops_x": [1e9, 2e9], "eval/loss": [3, 2]}, "--column loss=eval/loss"),
        ({"run": "ab", "flops_x": [1e9, 2e9], "my loss": [3, 2]}, "--column loss='my loss'"),
        ({"run": "ab", "flops_x": [1e9, 2e9]}, "--column loss=HEADER"),
    ],
)
def test_a_missing_column_is_guessed_from_the_headers(csv_file, headers, said):
    with pytest.raises(InputError, match=said):
        measurements_of(read_table(csv_file(headers)))


def test_a_misspelt_name_of_the_schema_is_told(csv_file):
    path = csv_file({"run": "ab", "flops_x": [1e9, 2e9], "val": [3, 2]})
    assert any("schema has loss" in w for w in read_table(path, columns={"los": "val"}).warnings)
    assert read_table(path, columns={"money_usd": "val"}).warnings == ()


def test_a_builtin_table_takes_no_mapping():
    with pytest.raises(InputError, match="loss=val"):
        load_table("paper", columns={"loss": "val"})


def test_known_and_carried_columns_are_told_apart(csv_file):
    path = csv_file({"run": "ab", "flops_x": [1e9, 2e9], "val": [3, 2], "note": "xy"})
    found = found_columns(path, columns={"loss": "val"})
    assert list(found.raw.columns) == ["loss", "run", "flops_x", "note"]
    assert not found.mapping


def test_the_page_lists_every_column_of_the_schema():
    page = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    listed = {name.split("<")[0] for row in rows for name in re.findall(r"`([^`]+)`", row)}
    missing = [c.name for c in SCHEMA if c.name.rstrip("*") not in listed]
    assert missing == []


def test_a_rate_is_no_cost(csv_file):
    """`flops_per_s` begins like a convention and is none: it is neither the cost nor a reason for a choice."""
    columns = {"run": "abc", "flops_per_s": [3e9, 2e9, 1e9], "flops_mine": [1e9, 2e9, 3e9]}
    table = read_table(csv_file({**columns, "loss": [4, 3, 2]}))
    data = measurements_of(table)
    assert data.flops_column == "flops_mine"
    assert not any("--flops" in warning for warning in data.warnings)
    alone = read_table(csv_file({"run": "ab", "flops_per_s": [3e9, 2e9], "loss": [4, 3]}))
    with pytest.raises(InputError, match="flops_<convention>"):
        measurements_of(alone)
