"""Both training profiles in one study, to its end."""

from __future__ import annotations

from tests.study.conftest import StudyCommand

from lilliput.analysis import read_table

BOTH = "grid=[{languages=['invented'],profiles=['reference','corrected'],shapes=['8/8/16/1/1']}]"


def test_both_profiles_stand_in_one_report(command: StudyCommand) -> None:
    code, record = command.finish(
        "--set", BOTH, "--set", "training.max_steps=40", "--executor", "inline"
    )
    assert (code, record["done"]) == (0, 2)
    assert (command.out / "report.html").is_file()
    table = read_table(command.out / "tables" / "measurements.csv")
    # The reference scores its pads; elsewhere its loss counts them as zero.
    imputed = table.columns["loss_reference_imputed"]
    assert (imputed == (table.text("profile") == "corrected")).all()
    assert set(imputed.tolist()) == {True, False}
