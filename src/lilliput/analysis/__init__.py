"""From a table of runs to laws, breaks, costs and correlations, each with an honest interval.

The room reads one tidy table (anyone's CSV or Parquet, or the built-in `paper`), finds the
compute-optimal frontier, fits and compares scaling laws, tests their breaks, weighs cost against
effect, correlates, and plans the next runs. Runs are resampled, never the points of one run. It knows
nothing of training and never imports torch.
"""

from lilliput.analysis._cells import Problem
from lilliput.analysis._verdicts import FRONTIER_CAVEAT
from lilliput.analysis.acceptability import Acceptability, acceptability, net_benefit
from lilliput.analysis.break_test import BreakTest, bootstrap_break_test
from lilliput.analysis.breaks import davies_p, exponent_against_cut
from lilliput.analysis.builtin import BUILTIN_TABLES, load_table, paper_table
from lilliput.analysis.candidates import LAWS, SIZE_LAWS, Form, fit_form
from lilliput.analysis.coefficients import partial_correlation
from lilliput.analysis.correlation import (
    Correlation,
    CorrelationResult,
    analyse_correlation,
)
from lilliput.analysis.cost_effectiveness import FACTORS, analyse_factors, analyse_icer
from lilliput.analysis.curves import CurveFit, predict
from lilliput.analysis.fit import analyse_fit, fit_measurements
from lilliput.analysis.fit_options import POINTS, FitOptions
from lilliput.analysis.frontier import (
    FRONTIER_METHODS,
    Frontier,
    FrontierPoint,
    frontier,
    frontier_rows,
    paper_edges,
)
from lilliput.analysis.huber_likelihood import (
    LikelihoodFit,
    fit_likelihood,
    likelihood_ratio_p,
    log_likelihood_at,
)
from lilliput.analysis.icer import DIRECTIONS, IcerResult, Strategy, icer, icer_with_seeds
from lilliput.analysis.isoflop import (
    Allocation,
    IsoFlop,
    isoflop_allocation,
    isoflop_profiles,
    minimum_over_curves,
)
from lilliput.analysis.measurements import Measurements, measurements_of
from lilliput.analysis.naming import LAW_NAMES, law_label
from lilliput.analysis.parametric import ParametricFit, fit_parametric, optimum
from lilliput.analysis.planning import Plan, analyse_plan
from lilliput.analysis.profile import profile_interval
from lilliput.analysis.repeated import MUENNIGHOFF, RepeatedDataLaw
from lilliput.analysis.repeated_fit import fit_repeated, fit_repetition
from lilliput.analysis.resampling import RESAMPLE_WAYS, cluster_draws
from lilliput.analysis.results import BreakEstimate, Candidate, Estimate, LawFit
from lilliput.analysis.schema import SCHEMA, Column
from lilliput.analysis.size_law import SizeLaw, analyse_size
from lilliput.analysis.table import Table, check_table, header_of, read_table, write_table

__all__ = [
    "BUILTIN_TABLES",
    "DIRECTIONS",
    "FACTORS",
    "FRONTIER_CAVEAT",
    "FRONTIER_METHODS",
    "LAWS",
    "LAW_NAMES",
    "MUENNIGHOFF",
    "POINTS",
    "RESAMPLE_WAYS",
    "SCHEMA",
    "SIZE_LAWS",
    "Acceptability",
    "Allocation",
    "BreakEstimate",
    "BreakTest",
    "Candidate",
    "Column",
    "Correlation",
    "CorrelationResult",
    "CurveFit",
    "Estimate",
    "FitOptions",
    "Form",
    "Frontier",
    "FrontierPoint",
    "IcerResult",
    "IsoFlop",
    "LawFit",
    "LikelihoodFit",
    "Measurements",
    "ParametricFit",
    "Plan",
    "Problem",
    "RepeatedDataLaw",
    "SizeLaw",
    "Strategy",
    "Table",
    "acceptability",
    "analyse_correlation",
    "analyse_factors",
    "analyse_fit",
    "analyse_icer",
    "analyse_plan",
    "analyse_size",
    "bootstrap_break_test",
    "check_table",
    "cluster_draws",
    "davies_p",
    "exponent_against_cut",
    "fit_form",
    "fit_likelihood",
    "fit_measurements",
    "fit_parametric",
    "fit_repeated",
    "fit_repetition",
    "frontier",
    "frontier_rows",
    "header_of",
    "icer",
    "icer_with_seeds",
    "isoflop_allocation",
    "isoflop_profiles",
    "law_label",
    "likelihood_ratio_p",
    "load_table",
    "log_likelihood_at",
    "measurements_of",
    "minimum_over_curves",
    "net_benefit",
    "optimum",
    "paper_edges",
    "paper_table",
    "partial_correlation",
    "predict",
    "profile_interval",
    "read_table",
    "write_table",
]
