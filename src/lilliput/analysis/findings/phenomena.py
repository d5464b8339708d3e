"""Gather the 67 paradigms of BLiMP under the 12 phenomena of its authors.

Source: Warstadt et al., BLiMP, arXiv 1912.00582, table 4. A phenomenon's score is the mean over its paradigms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lilliput.analysis.findings.scores import TaskScore

PHENOMENA: dict[str, tuple[str, ...]] = {
    "anaphor agreement": ("anaphor_gender_agreement", "anaphor_number_agreement"),
    "argument structure": (
        "animate_subject_passive", "animate_subject_trans", "causative", "drop_argument", "inchoative",
        "intransitive", "passive_1", "passive_2", "transitive",
    ),
    "binding": (
        "principle_A_c_command", "principle_A_case_1", "principle_A_case_2", "principle_A_domain_1",
        "principle_A_domain_2", "principle_A_domain_3", "principle_A_reconstruction",
    ),
    "control and raising": (
        "existential_there_object_raising", "existential_there_subject_raising",
        "expletive_it_object_raising", "tough_vs_raising_1", "tough_vs_raising_2",
    ),
    "determiner-noun agreement": (
        "determiner_noun_agreement_1", "determiner_noun_agreement_2", "determiner_noun_agreement_irregular_1",
        "determiner_noun_agreement_irregular_2", "determiner_noun_agreement_with_adjective_1",
        "determiner_noun_agreement_with_adj_2", "determiner_noun_agreement_with_adj_irregular_1",
        "determiner_noun_agreement_with_adj_irregular_2",
    ),
    "ellipsis": ("ellipsis_n_bar_1", "ellipsis_n_bar_2"),
    "filler-gap": (
        "wh_questions_object_gap", "wh_questions_subject_gap", "wh_questions_subject_gap_long_distance",
        "wh_vs_that_no_gap", "wh_vs_that_no_gap_long_distance", "wh_vs_that_with_gap",
        "wh_vs_that_with_gap_long_distance",
    ),
    "irregular forms": ("irregular_past_participle_adjectives", "irregular_past_participle_verbs"),
    "island effects": (
        "adjunct_island", "complex_NP_island", "coordinate_structure_constraint_complex_left_branch",
        "coordinate_structure_constraint_object_extraction", "left_branch_island_echo_question",
        "left_branch_island_simple_question", "sentential_subject_island", "wh_island",
    ),
    "NPI licensing": (
        "matrix_question_npi_licensor_present", "npi_present_1", "npi_present_2", "only_npi_licensor_present",
        "only_npi_scope", "sentential_negation_npi_licensor_present", "sentential_negation_npi_scope",
    ),
    "quantifiers": (
        "existential_there_quantifiers_1", "existential_there_quantifiers_2", "superlative_quantifiers_1",
        "superlative_quantifiers_2",
    ),
    "subject-verb agreement": (
        "distractor_agreement_relational_noun", "distractor_agreement_relative_clause",
        "irregular_plural_subject_verb_agreement_1", "irregular_plural_subject_verb_agreement_2",
        "regular_plural_subject_verb_agreement_1", "regular_plural_subject_verb_agreement_2",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class PhenomenonScore:
    """Hold the mean score of one run on one phenomenon.

    Attributes:
        run: Name of the run.
        weights: "trained" or "untrained".
        phenomenon: Name in words.
        value: Mean over the paradigms that were scored.
        paradigms: How many those are.
    """

    run: str
    weights: str
    phenomenon: str
    value: float
    paradigms: int


def scores_by_phenomenon(scores: Sequence[TaskScore]) -> list[PhenomenonScore]:
    """Return the means over the paradigms of each phenomenon; nothing where no paradigm of BLiMP was scored."""
    named = {paradigm: name for name, paradigms in PHENOMENA.items() for paradigm in paradigms}
    values: dict[tuple[str, str, str], list[float]] = {}
    for score in scores:
        if score.task in named and score.value.value is not None:
            key = (score.run, score.weights, named[score.task])
            values.setdefault(key, []).append(score.value.value)
    return [
        PhenomenonScore(run, weights, name, fmean(found), len(found))
        for (run, weights, name), found in values.items()
    ]
