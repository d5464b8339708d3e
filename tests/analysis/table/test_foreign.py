"""Tables as people keep them: what is read in another way than it is written is right, and is said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lilliput.analysis import (
    FitOptions,
    analyse_fit,
    found_columns,
    likely_columns,
    load_table,
    measurements_of,
    read_table,
)
from lilliput.core.errors import InputError


def table_of(folder: Path, text: str, name: str = "mine.csv", **columns: str):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_table(path, columns=columns)


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("params", "num_parameters"), ("N", "num_parameters"), ("model_size", "num_parameters"),
        ("train/loss", "loss"), ("val_loss", "loss"), ("Eval Loss", "loss"), ("tokens", "tokens_seen"),
        ("D", "tokens_seen"), ("compute", "flops"), ("FLOPs", "flops"), ("C", "flops"), ("_step", "step"),
        ("trainer/global_step", "step"), ("run_name", "run"), ("bpb", "bits_per_byte"), ("lr", "learning_rate"),
    ],
)  # fmt: skip
def test_common_headers_are_found(header: str, column: str) -> None:
    assert likely_columns(["note", header]) == {column: header}


def test_the_better_of_two_headers_is_taken_and_the_schema_comes_first() -> None:
    assert likely_columns(["train/loss", "val/loss"]) == {"loss": "val/loss"}
    assert likely_columns(["loss_c4", "train_loss"]) == {}
    assert likely_columns(["flops_hoffmann", "C"]) == {}
    assert likely_columns(["n", "d", "c", "l"]) == {}  # Only capital letters stand for these.
    assert likely_columns(["name", "cost", "effect"]) == {}
    assert likely_columns(["val_loss"], {"loss": "other"}) == {}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("log10_flops", {"flops": "log10:log10_flops"}),
        ("log10(tokens)", {"tokens_seen": "log10:log10(tokens)"}),
        ("ln_C", {"flops": "ln:ln_C"}),
        ("params_log10", {"num_parameters": "log10:params_log10"}),
        ("log_likelihood", {}),
        ("logger", {}),
    ],
)
def test_headers_that_say_logarithm(header: str, found: dict[str, str]) -> None:
    assert likely_columns([header]) == found


def test_a_column_that_was_found_stands_under_both_names_and_is_said(tmp_path: Path) -> None:
    table = table_of(tmp_path, "run,val_loss,C\na,3,1e15\nb,2,4e15\n")
    assert table.number("loss").tolist() == table.number("val_loss").tolist() == [3, 2]
    assert table.warnings == (
        "Column val_loss was read as loss.",
        "Column C was read as flops.",
    )


def test_the_strict_reader_finds_nothing_by_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("val_loss,C\n3,1e15\n")
    assert list(read_table(tmp_path / "mine.csv").columns) == ["val_loss", "C"]


def test_sizes_as_text_logarithms_and_perplexity(tmp_path: Path) -> None:
    text = "model_size;steps;flops;ppl\n125m;2000;17,875;67,5\n1.3 B;2000;18,892;45,1\n13B params;4000;19,5;30\n"
    table = table_of(tmp_path, text)
    assert table.number("num_parameters").tolist() == [125e6, 1.3e9, 13e9]
    np.testing.assert_allclose(table.number("flops"), 10.0 ** np.array([17.875, 18.892, 19.5]))
    np.testing.assert_allclose(table.number("loss"), np.log([67.5, 45.1, 30]))
    said = " ".join(table.warnings)
    for words in ("125m is 125000000", "log10", "67,5 is 67.5", "logarithm of perplexity"):
        assert words in said


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1,234,567", 1234567), ("1 234 567", 1234567), ("1_234_567", 1234567), ("1.234.567", 1234567),
     ("1,234,567.5", 1234567.5), ("1.234.567,5", 1234567.5), ("1e9", 1e9), ("10k", 10000), ("-", math.nan)],
)  # fmt: skip
def test_marks_between_thousands(tmp_path: Path, cell: str, value: float) -> None:
    table = table_of(tmp_path, f"loss\ttokens_seen\n3\t{cell}\n2\t5000\n")
    np.testing.assert_array_equal(table.number("tokens_seen")[0], value)


def test_a_comma_that_may_mean_two_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no commas: got '1,234'"):
        table_of(tmp_path, "loss;flops\n1,234;1e15\n1,233;2e15\n")
    # Another number of the table settles it.
    table = table_of(tmp_path, "loss;flops;wall_time_s\n1,234;1e15;2,5\n1,233;2e15;2,6\n")
    assert table.number("loss").tolist() == [1.234, 1.233]


def test_json_lines_keep_every_digit(tmp_path: Path) -> None:
    rows = [
        {"run": "a", "val_loss": 3.4469954302, "C": 9.771731144e18, "ok": True},
        {"run": "b", "val_loss": 3, "C": 1e19},
    ]
    table = table_of(tmp_path, "\n".join(map(json.dumps, rows)) + "\n\n", "mine.jsonl")
    assert table.number("loss").tolist() == [3.4469954302, 3]
    assert table.text("ok").tolist() == ["true", ""]
    assert table.lines.tolist() == [1, 2]
    with pytest.raises(InputError, match=r"line 2 must be one JSON object"):
        table_of(tmp_path, '{"loss": 1}\n[1]\n', "bad.jsonl")
    with pytest.raises(InputError, match=r"line 1 must be one JSON object"):
        table_of(tmp_path, "{loss\n", "bad.jsonl")


def test_a_column_may_be_named_as_logarithms_by_hand(tmp_path: Path) -> None:
    table = table_of(tmp_path, "loss,cost\n3,40\n2,42\n", flops="ln:cost")
    np.testing.assert_allclose(table.number("flops"), np.exp([40, 42]))
    with pytest.raises(InputError, match="log10:HEADER"):
        table_of(tmp_path, "loss,cost\n3,40\n2,42\n", flops="root:cost")


def test_rows_before_the_first_step_are_set_aside(tmp_path: Path) -> None:
    table = table_of(tmp_path, "run,step,flops,loss\na,0,0,9\na,10,1e15,5\na,20,2e15,4\n")
    assert table.number("step").tolist() == [10, 20]
    assert table.warnings == ("Rows from before the first step that were left out: 1.",)
    with pytest.raises(
        InputError, match="above zero"
    ):  # A later step that cost nothing is a fault.
        table_of(tmp_path, "run,step,flops,loss\na,5,0,9\na,10,1e15,5\n")


def test_a_resumed_run_keeps_the_later_measurement(tmp_path: Path) -> None:
    steps = [*range(1, 16), *range(13, 19)]
    lines = [f"a,{s},{s}e15,{9 - i / 10}" for i, s in enumerate(steps)]
    data = measurements_of(table_of(tmp_path, "run,step,flops,loss\n" + "\n".join(lines) + "\n"))
    assert data.step.tolist() == list(range(1, 19))
    assert data.loss[12] == pytest.approx(9 - 15 / 10)
    assert data.refused == {"from before a resume": 3}
    assert any("resumed before them" in warning for warning in data.warnings)
    backwards = "\n".join(reversed(lines))
    data = measurements_of(table_of(tmp_path, f"run,step,flops,loss\n{backwards}\n"))
    assert len(data) == len(steps)


def test_six_nd_makes_the_column(tmp_path: Path) -> None:
    rows = [(n, d, 2 + 50 / n**0.3) for n in (1e6, 1e7, 1e8) for d in (1e8, 1e9, 4e9)]
    text = "N,D,loss\n" + "\n".join(",".join(map(repr, row)) for row in rows)
    table = table_of(tmp_path, text)
    data = measurements_of(table, flops="6ND")
    np.testing.assert_allclose(data.flops, [6 * n * d for n, d, _ in rows])
    assert data.flops_column == "flops_6nd"
    with pytest.raises(InputError, match="--flops 6ND"):
        measurements_of(table)
    found = analyse_fit(table, options=FitOptions(law="parametric", resamples=0))
    assert any("6 x parameters x tokens" in warning for warning in found.warnings)


def test_the_mapping_that_was_found_gives_the_same_table(tmp_path: Path) -> None:
    text = "model_size,steps,flops,ppl\n125m,2000,17.875,67.5\n1.3b,2000,18.892,45.1\n"
    path = tmp_path / "mine.csv"
    path.write_text(text)
    found = found_columns(path)
    by_hand = load_table(path, columns=dict(found.mapping))
    itself = load_table(path)
    for name in ("num_parameters", "step", "flops", "loss"):
        np.testing.assert_array_equal(by_hand.number(name), itself.number(name))


@pytest.mark.parametrize(
    ("name", "rows", "first"),
    [
        # OPT trajectories (IBM/ColPret @ 16f23bbe, MIT): the end of training is at log10 tokens 11.447.
        ("opt/opt_trajectories.csv", 142, {"num_parameters": 125e6, "tokens_seen": 1e9}),
        # Alabdulmohsin et al. (Apache-2.0): 687 of 1,399 rows are exact duplicates.
        ("revisiting/benchmark.lang.csv", 1399 - 687, {"loss": 0.9311752923076924}),
        # Gemstones (MIT), JSON Lines.
        ("gemstones/wandb_df_for_fitting_hot.jsonl", 220, {}),
    ],
)
def test_public_tables_are_read_as_they_come(
    suites: Path, name: str, rows: int, first: dict[str, float]
) -> None:
    table = load_table(suites / name)
    assert len(table) == rows
    for column, value in first.items():
        assert table.number(column)[0] == pytest.approx(value)
    if name.startswith("revisiting"):
        assert any("in every cell: 687" in warning for warning in table.warnings)
    if name.startswith("opt"):
        assert math.log10(table.number("tokens_seen").max()) == pytest.approx(11.447, abs=1e-3)


def test_the_check_ends_with_the_mapping_as_a_command(
    tmp_path: Path, run_text: Callable[..., str]
) -> None:
    path = tmp_path / "my runs.csv"
    lines = [f"r{i},{1e14 * 2**i},{50 * (1e14 * 2**i) ** -0.1}" for i in range(6)]
    path.write_text("run name,C,val/loss\n" + "\n".join(lines) + "\n")
    said = run_text("check", str(path))
    assert "Column val/loss was read as loss." in said
    assert "--column loss=val/loss" in said.splitlines()[-1]
    assert "--column 'run=run name'" in said.splitlines()[-1]
    out = tmp_path / "tidy.csv"
    run_text("convert", str(path), "--out", str(out))
    assert out.read_text().splitlines()[0].replace('"', "") == "run,loss,flops"
