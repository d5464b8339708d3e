"""The sentence on breaks names the runs that carry one, and says where a law is curved."""

from __future__ import annotations

from benchmarks.analysis_studies import simulate_curved, simulate_diverged

from lilliput.analysis import FitOptions, fit_measurements
from lilliput.analysis.findings.laws import GroupLaw, carriers_of_breaks
from lilliput.report.pages.scaling.page import break_sentence
from lilliput.report.pages.summary.answers_from_losses import answer_break

ALL = FitOptions(points="all", resamples=0)


def test_a_curved_law_has_no_place_of_a_break():
    fit = fit_measurements(simulate_curved(0, -0.02), ALL)
    assert break_sentence(fit).startswith("It is curved")
    answer = answer_break((GroupLaw("all runs", "flops", None, fit),))
    assert (answer.verdict, answer.verdict_text) == ("no", "Curved, no place of a break")


def test_a_break_that_one_run_carries_names_it():
    fits = [fit_measurements(simulate_diverged(index, (-1,)), ALL) for index in range(3)]
    carried = [(fit, carriers_of_breaks(fit)) for fit in fits if carriers_of_breaks(fit)]
    assert carried
    for fit, carriers in carried:
        assert not carriers.survives
        assert "run 19" in carriers.units
        assert "rests on run 19" in break_sentence(fit)
