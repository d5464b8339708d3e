"""The command line as a contract: JSON, exit codes, and a help that loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numba", "plotly", "scipy", "pyarrow", "tokenizers", "ray")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lilliput", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "sys.argv = ['lilliput', '--help']\n"
        "from lilliput.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert "quickstart" in done.stdout


def test_every_verb_has_help_with_an_example() -> None:
    import typer.main

    from lilliput.cli._frame import build_app

    group = typer.main.get_command(build_app())
    pending = [("lilliput", group)]
    leaves = 0
    while pending:
        name, command = pending.pop()
        children = getattr(command, "commands", {})
        pending += [(f"{name} {child}", inner) for child, inner in children.items()]
        if not children:
            leaves += 1
            shown = f"{command.help} {command.epilog}"
            assert "Example:" in shown, f"{name} has no example in its help"
    assert leaves >= 20


def test_an_error_is_one_object_on_standard_output_and_one_sentence_for_people(
    tmp_path: Path,
) -> None:
    done = run("verify", str(tmp_path / "nowhere"), "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"code", "rule", "got", "try"}
    assert "nowhere" in error["got"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "--bogus", "x"], ["nosuchverb"]])
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    done = run(*arguments, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "usage"


def test_verify_finds_the_changed_file(tmp_path: Path) -> None:
    from lilliput.core.artefacts import building

    with building(tmp_path / "a", "corpus", 1, {}) as build:
        build.path("x.txt").write_text("text")
    assert json.loads(run("verify", str(tmp_path), "--json").stdout) == {
        "checked": 1,
        "mismatches": [],
        "unfinished": [],
    }
    (tmp_path / "a" / "x.txt").write_text("tampered")
    done = run("verify", str(tmp_path), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["mismatches"][0].startswith("a/x.txt")


def test_version() -> None:
    from lilliput import __version__

    assert run("--version").stdout.strip() == __version__


def test_doctor_has_the_keys_of_the_contract() -> None:
    record = json.loads(run("doctor", "--json").stdout)
    assert {"torch", "device", "bf16", "compile", "cpu_count", "extras"} <= set(record)
    assert record["extras"]["train"] is True
    plan = record["training"]
    widest = min(plan["threads"], 16) if plan["device"] == "cpu" else 1
    assert plan["replicas"] == widest
    line = next(line for line in run("doctor").stdout.splitlines() if line.startswith("training"))
    assert plan["dtype"] in line


def test_what_a_library_prints_does_not_mix_with_the_json() -> None:
    program = (
        "import sys\n"
        "sys.argv = ['lilliput', 'doctor', '--json']\n"
        "import lilliput.study as study\n"
        "real = study.examine_machine\n"
        "def chatty():\n    print('a worker died')\n    return real()\n"
        "study.examine_machine = chatty\n"
        "from lilliput.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "torch" in json.loads(done.stdout)
    assert "a worker died" in done.stderr


def test_an_interrupted_verb_says_so_and_how_to_go_on() -> None:
    program = (
        "import sys\n"
        "sys.argv = ['lilliput', 'doctor', '--json']\n"
        "import lilliput.study as study\n"
        "def interrupted():\n    raise KeyboardInterrupt\n"
        "study.examine_machine = interrupted\n"
        "from lilliput.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert json.loads(done.stdout)["error"]["code"] == "interrupted"
    assert "Run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
