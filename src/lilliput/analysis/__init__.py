"""From a table of runs to laws, breaks, costs and correlations, each with an honest interval.

The room reads one tidy table (anyone's CSV or Parquet, or the built-in `paper`), finds the
compute-optimal frontier, fits and compares scaling laws, tests their breaks, weighs cost against
effect, correlates, and plans the next runs. Runs are resampled, never the points of one run. It knows
nothing of training and never imports torch.
"""

from lilliput.analysis.acceptance import RULES, Acceptance, against_target, compare_means
from lilliput.analysis.best_size import SizeLaw, analyse_size
from lilliput.analysis.coefficients import partial_correlation
from lilliput.analysis.compare import AtCost, Comparison, Side, analyse_comparison, split_table
from lilliput.analysis.correlation import (
    Correlation,
    CorrelationResult,
    analyse_correlation,
)
from lilliput.analysis.economics.acceptability import Acceptability, acceptability, net_benefit
from lilliput.analysis.economics.cost_effectiveness import FACTORS, analyse_factors, analyse_icer
from lilliput.analysis.economics.direction import DIRECTIONS, Direction, direction_of
from lilliput.analysis.economics.icer import IcerResult, Strategy, icer, icer_with_seeds
from lilliput.analysis.emergence.detect import (
    Emergence,
    ScoredPoints,
    detect_emergence,
    judge_metric,
)
from lilliput.analysis.emergence.equivalence import SizeEquivalence, size_equivalence
from lilliput.analysis.extrapolate import (
    SPLITS,
    Extrapolation,
    LawScore,
    analyse_extrapolation,
)
from lilliput.analysis.fit import analyse_fit, fit_measurements
from lilliput.analysis.frontier import (
    FRONTIER_METHODS,
    Frontier,
    FrontierPoint,
    frontier,
    frontier_rows,
    paper_edges,
)
from lilliput.analysis.inference.break_test import BreakTest, bootstrap_break_test
from lilliput.analysis.inference.options import POINTS, FitOptions
from lilliput.analysis.inference.resampling import RESAMPLE_WAYS, cluster_draws
from lilliput.analysis.inference.results import BreakEstimate, Estimate, LawCandidate, LawFit
from lilliput.analysis.inference.slope_change import (
    davies_p,
    exponent_against_cut,
    profile_interval,
)
from lilliput.analysis.inference.warnings import FRONTIER_CAVEAT
from lilliput.analysis.laws.base import BestSizeLaw, CostLaw, Law, SizedLaw
from lilliput.analysis.laws.curve import CurveFit, predict
from lilliput.analysis.laws.equation import Equation
from lilliput.analysis.laws.forms import LawForm, fit_form
from lilliput.analysis.laws.isoflop import (
    Allocation,
    IsoFlop,
    isoflop_allocation,
    isoflop_profiles,
    minimum_over_curves,
)
from lilliput.analysis.laws.likelihood import (
    LikelihoodFit,
    fit_likelihood,
    likelihood_ratio_p,
    log_likelihood_at,
)
from lilliput.analysis.laws.parametric import ParametricFit, fit_parametric, optimum
from lilliput.analysis.laws.registry import (
    law_label,
    law_named,
    law_names,
    laws_of,
    register_law,
    unregister_law,
)
from lilliput.analysis.laws.repeated import MUENNIGHOFF, RepeatedDataLaw
from lilliput.analysis.laws.repeated_fit import fit_repeated, fit_repetition
from lilliput.analysis.planning import TrainingPlan, analyse_plan
from lilliput.analysis.predict import Prediction, Predictions, analyse_prediction, place_of
from lilliput.analysis.sensitivity import Sensitivity, SensitivityRow, analyse_sensitivity
from lilliput.analysis.table.cells import CellProblem
from lilliput.analysis.table.foreign import Understood, likely_columns, understand
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.paper import BUILTIN_TABLES, load_table, paper_table
from lilliput.analysis.table.schema import SCHEMA, SchemaColumn
from lilliput.analysis.table.tidy import (
    Table,
    check_table,
    found_columns,
    read_table,
    write_table,
)

__all__ = [
    "BUILTIN_TABLES",
    "DIRECTIONS",
    "FACTORS",
    "FRONTIER_CAVEAT",
    "FRONTIER_METHODS",
    "MUENNIGHOFF",
    "POINTS",
    "RESAMPLE_WAYS",
    "RULES",
    "SCHEMA",
    "SPLITS",
    "Acceptability",
    "Acceptance",
    "Allocation",
    "AtCost",
    "BestSizeLaw",
    "BreakEstimate",
    "BreakTest",
    "CellProblem",
    "Comparison",
    "Correlation",
    "CorrelationResult",
    "CostLaw",
    "CurveFit",
    "Direction",
    "Emergence",
    "Equation",
    "Estimate",
    "Extrapolation",
    "FitOptions",
    "Frontier",
    "FrontierPoint",
    "IcerResult",
    "IsoFlop",
    "Law",
    "LawCandidate",
    "LawFit",
    "LawForm",
    "LawScore",
    "LikelihoodFit",
    "Measurements",
    "ParametricFit",
    "Prediction",
    "Predictions",
    "RepeatedDataLaw",
    "SchemaColumn",
    "ScoredPoints",
    "Sensitivity",
    "SensitivityRow",
    "Side",
    "SizeEquivalence",
    "SizeLaw",
    "SizedLaw",
    "Strategy",
    "Table",
    "TrainingPlan",
    "Understood",
    "acceptability",
    "against_target",
    "analyse_comparison",
    "analyse_correlation",
    "analyse_extrapolation",
    "analyse_factors",
    "analyse_fit",
    "analyse_icer",
    "analyse_plan",
    "analyse_prediction",
    "analyse_sensitivity",
    "analyse_size",
    "bootstrap_break_test",
    "check_table",
    "cluster_draws",
    "compare_means",
    "davies_p",
    "detect_emergence",
    "direction_of",
    "exponent_against_cut",
    "fit_form",
    "fit_likelihood",
    "fit_measurements",
    "fit_parametric",
    "fit_repeated",
    "fit_repetition",
    "found_columns",
    "frontier",
    "frontier_rows",
    "icer",
    "icer_with_seeds",
    "isoflop_allocation",
    "isoflop_profiles",
    "judge_metric",
    "law_label",
    "law_named",
    "law_names",
    "laws_of",
    "likelihood_ratio_p",
    "likely_columns",
    "load_table",
    "log_likelihood_at",
    "measurements_of",
    "minimum_over_curves",
    "net_benefit",
    "optimum",
    "paper_edges",
    "paper_table",
    "partial_correlation",
    "place_of",
    "predict",
    "profile_interval",
    "read_table",
    "register_law",
    "size_equivalence",
    "split_table",
    "understand",
    "unregister_law",
    "write_table",
]
