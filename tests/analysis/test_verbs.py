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
