from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import LilliputError

CONTRACT = {
    "fit": {"law", "parameters", "r2", "bic", "n", "breaks", "candidates", "warnings"},
    "frontier": {"points"},
    "icer": {"strategies"},
    "correlate": {"pearson", "spearman", "kendall"},
    "plan": {
        "law",
        "parameters",
        "breaks",
        "warnings",
        "predicted_loss",
        "num_parameters",
        "tokens",
    },
}


def run_json(*arguments: str) -> dict:
    result = CliRunner().invoke(build_app(), ["analyse", *arguments, "--json"])
    if isinstance(result.exception, LilliputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def run_text(*arguments: str) -> str:
    result = CliRunner().invoke(build_app(), ["analyse", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("verb", ["fit", "frontier", "icer", "correlate", "plan"])
def test_the_contract_keys_are_there(verb):
    quick = ["--law", "segmented", "--breaks", "1", "--resamples", "5"]
    extra = {"fit": quick, "plan": [*quick, "--budget", "1e17"]}
    record = run_json(verb, "paper", *extra.get(verb, []))
    assert CONTRACT[verb] <= record.keys()


def test_estimates_and_strategies_have_their_keys():
    fit = run_json("fit", "paper", "--law", "segmented", "--resamples", "5")
    for estimate in [*fit["parameters"].values(), *fit["breaks"]]:
        assert {"value", "low", "high", "se"} <= estimate.keys()
    strategy = run_json("icer", "paper")["strategies"][0]
    keys = {"name", "cost", "effect", "incremental_cost", "incremental_effect", "icer", "status"}
    assert keys <= strategy.keys()
    assert {"value", "low", "high", "n"} <= run_json("correlate", "paper")["kendall"].keys()


def test_columns_are_mapped_on_the_command_line(csv_file, tmp_path):
    path = csv_file({"C": [1e14, 2e14, 4e14, 8e14], "val": [5, 4, 3.5, 3]})
    record = run_json(
        "fit",
        str(path),
        "--column",
        "flops_hoffmann=C",
        "--column",
        "loss=val",
        "--points",
        "all",
        "--resamples",
        "20",
    )
    assert record["flops_column"] == "flops_hoffmann"
    assert any("no column run" in warning for warning in record["warnings"])
    out = tmp_path / "tidy.parquet"
    converted = run_json("convert", str(path), "--column", "loss=val", "--out", str(out))
    assert converted["rows"] == 4
    assert "loss" in converted["columns"]
    assert out.exists()


def test_one_factor_at_a_time_is_a_switch():
    effect = ["--effect", "test_perplexity_reference", "--cost", "sequence_flops_reference"]
    record = run_json("icer", "paper", "--one-factor", *effect)
    assert set(record["factors"]) == {
        "embedding_size",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_hidden_layers",
    }
    assert record["factors"]["hidden_size"]["strategies"][0]["status"] == "ND"


def test_check_lists_faults_by_line_and_leaves_with_two(csv_file):
    path = csv_file({"run": ["a", "b"], "loss": [1, -1]})
    result = CliRunner().invoke(build_app(), ["analyse", "check", str(path), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["problems"] == [
        {"line": 3, "column": "loss", "rule": "must be above zero", "got": "-1"}
    ]


TRACKER = {
    "_step": [0, 10, 0, 10],
    "Name": ["a", "a", "b", "b"],
    "val-loss": ["", 4.0, "", "NaN"],
    "train/loss": [9.0, 4.1, 9.0, 4.0],
    "params": ["125m", "125m", "1.5B", "1.5B"],
    "tokens": [0, 1000, 0, 1000],
}


def test_check_suggests_the_columns_of_a_trackers_export(csv_file):
    said = run_text("check", str(csv_file(TRACKER | {"val-loss": ["", 4.0, "", 3.5]})))
    (line,) = [line for line in said.splitlines() if line.startswith("Next: ")]
    assert line.split(" --column ")[1:] == [
        "run=Name",
        "step=_step",
        "loss=val-loss",
        "num_parameters=params",
        "tokens_seen=tokens",
    ]
    assert said.splitlines()[:7] == [
        "Column Name was read as run.",
        "Column _step was read as step.",
        "Column val-loss was read as loss.",
        "Column params was read as num_parameters.",
        "Column tokens was read as tokens_seen.",
        "Sizes in words of column num_parameters were read as numbers: 125m is 125000000.",
        "Rows from before the first step that were left out: 2.",
    ]


def test_check_says_each_kind_of_fault_once_and_what_would_work(csv_file):
    path = str(csv_file(TRACKER | {"params": ["big", "big", "big", "big"]}))
    result = CliRunner().invoke(build_app(), ["analyse", "check", path, "--json"])
    assert result.exit_code == 2
    result = CliRunner().invoke(build_app(), ["analyse", "check", path])
    assert result.stdout.splitlines()[6:9] == [
        "lines 3, 5, num_parameters: must be a number: got 'big'. Correct the cell, or leave it empty where "
        "nothing was measured.",
        "line 5, loss: must be finite: got 'NaN'. "
        "Leave out the rows of a run that diverged, or leave the cell empty.",
        "3 faults.",
    ]


def test_check_of_sizes_and_tokens_without_flops_leads_to_the_law_of_both(csv_file):
    path = csv_file(
        {
            "run": ["a", "b"],
            "loss": [4.0, 3.0],
            "num_parameters": [10, 20],
            "tokens_seen": [500, 1000],
        }
    )
    said = run_text("check", str(path))
    assert "or take --flops 6ND (6 x parameters x tokens)" in said
    assert said.splitlines()[-1] == f"Next: lilliput analyse fit {path} --law parametric"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "paper", "--law", "cubic"], "cubic"),
        (["fit", "paper", "--points", "some"], "some"),
        (["fit", "paper", "--flops", "nonsense"], "nonsense"),
        (["icer", "paper", "--better", "sideways"], "sideways"),
        (["plan", "paper"], "neither"),
        (["fit", "nowhere.csv"], "nowhere.csv"),
        (["fit", "paper", "--column", "loss"], "loss"),
        (["fit", "x.csv", "--column", "loss=a", "--column", "loss=b"], "loss twice"),
        (["fit", "paper", "--law", "parametric", "--breaks", "1"], "parametric has no breaks"),
    ],
)
def test_errors_hold_the_offending_value(arguments, said):
    with pytest.raises(LilliputError, match=said):
        run_json(*arguments)


def test_help_and_analysis_leave_torch_alone():
    code = (
        "import sys\n"
        "from lilliput.analysis import analyse_fit, paper_table, FitOptions\n"
        "analyse_fit(paper_table(), options=FitOptions(resamples=2))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_next_command_keeps_the_choice_of_columns(csv_file):
    path = str(csv_file({"C": [1e14, 2e14, 4e14, 8e14], "val loss": [5, 4, 3.5, 3]}))
    mapping = ["--column", "flops=C", "--column", "loss=val loss"]
    result = CliRunner().invoke(build_app(), ["analyse", "frontier", path, *mapping])
    assert result.exit_code == 0
    assert result.stdout.endswith(
        f"Next: lilliput analyse fit {path} --column flops=C --column 'loss=val loss'\n"
    )


def test_undefined_correlations_are_shown(csv_file):
    """Size and FLOPs of runs of one length are one thing: nothing is left given the other."""
    columns = {"run": "abcd", "flops_x": [1e9, 2e9, 4e9, 8e9], "num_parameters": [1, 2, 4, 8]}
    path = str(csv_file(columns | {"loss": [5, 4, 3.5, 3]}))
    words = ["analyse", "correlate", path, "--y", "flops_x", "--given", "num_parameters"]
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 0, result.exception
    assert "pearson given num_parameters: undefined" in result.stdout
