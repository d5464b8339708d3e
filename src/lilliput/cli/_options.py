"""The options that several verbs share, each written once; a verb lists those it takes."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lilliput.core.errors import ConfigurationError

if TYPE_CHECKING:
    from lilliput.analysis import FitOptions

# ---- All verbs ----------------------------------------------------------------------------------------
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on standard output and nothing else."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key; may be repeated."),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        help="What runs the work: inline (this process), process (several) or ray (a cluster).",
    ),
]
HubOption = Annotated[bool, typer.Option("--hub", help="Allow the network, for hub:NAME and URLs.")]

# ---- Texts: vocabulary and corpus ---------------------------------------------------------------------
WordListOption = Annotated[
    Path,
    typer.Option(
        "--vocabulary",
        help="The words to admit: a vocabulary's folder, or a CSV with a column `word`.",
    ),
]
WordProfileOption = Annotated[
    str,
    typer.Option(
        "--word-profile",
        help="The rule of what a word is: paper, cpp or modern (see docs/language.md).",
    ),
]
OnErrorOption = Annotated[
    str,
    typer.Option(
        "--on-error", help="What to do with damaged documents: stop, or skip (and count them)."
    ),
]
TextColumnOption = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        help="Column of tables to read as the text; outer.inner for a field of a struct. Found by its name if absent.",
    ),
]

# ---- Tokenizers ---------------------------------------------------------------------------------------
CorpusArgument = Annotated[
    Path,
    typer.Argument(
        help="Folder of a corpus, or of a pair of corpora, of which the constrained one is used."
    ),
]
OutFolderOption = Annotated[Path, typer.Option("--out", help="Folder of the result.")]
TokenizerKindOption = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="Kind to train: byte-bpe, bpe, wordpiece, unigram or sentencepiece-bpe. Repeat the option for several.",
    ),
]
VocabSizeOption = Annotated[
    list[int] | None,
    typer.Option(
        "--vocab-size",
        help="Number of ids, the five special ones included. Repeat the option for several sizes.",
    ),
]

# ---- Studies and runs ---------------------------------------------------------------------------------
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")
]
StudyOutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder of the study; lilliput-NAME when left out.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Runs at once; one per processor when left out."),
]
StudyArgument = Annotated[Path, typer.Argument(help="Folder of a study, or of runs.")]
RunNameArgument = Annotated[
    str, typer.Argument(help="The run: its name, or the beginning of its id.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY OP VALUE",
        help="Only runs for which this holds, as in 'loss<3' or shape=32/32/128/2/2; may be repeated.",
    ),
]

# ---- Evaluations --------------------------------------------------------------------------------------
RunArgument = Annotated[
    Path,
    typer.Argument(help="Folder of a finished run, as in STUDY/runs/3f2a: a beginning is enough."),
]
TasksOption = Annotated[
    str,
    typer.Option("--tasks", metavar="A,B", help="Names, separated by commas; all when empty."),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder with the data.")]
RunTokenizerOption = Annotated[
    Path | None,
    typer.Option("--tokenizer", help="Folder of the run's tokenizer; found inside a study."),
]
ScoresOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the scores; beside the runs of a study."),
]
CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", help="Trained weights: final, or step-N.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="Where to compute: cpu or cuda.")]
ExampleWordsOption = Annotated[
    Path | None, typer.Option("--vocabulary", help="Keep only examples within this word list.")
]
WordRuleOption = Annotated[
    str, typer.Option("--word-rule", help="What must be in the word list: corrected or paper.")
]

# ---- Analyses of a table ------------------------------------------------------------------------------
TableArgument = Annotated[
    str,
    typer.Argument(
        help="A CSV or Parquet file of measurements, a study's folder, or 'paper' (built in)."
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="NAME=HEADER", help="Which header holds a schema column."),
]
FlopsOption = Annotated[
    str | None, typer.Option("--flops", help="FLOPs convention or cost column, e.g. reference.")
]
LossOption = Annotated[str | None, typer.Option("--loss", help="Loss column.")]
LawOption = Annotated[
    str,
    typer.Option(
        "--law",
        help="The law to fit; auto compares the laws of loss against cost.",
    ),
]
BreaksOption = Annotated[int | None, typer.Option("--breaks", help="Fixed number of breaks.")]
PointsOption = Annotated[
    str,
    typer.Option("--points", help="Measurements that enter the fit: frontier, final or all."),
]
MethodOption = Annotated[
    str,
    typer.Option("--method", help="Frontier: paper (percentile bins), log or envelope."),
]
FinishedOption = Annotated[
    bool, typer.Option("--finished-only", help="Leave out measurements of unfinished training.")
]
AfterStepOption = Annotated[
    int | None,
    typer.Option(
        "--after-step",
        help="Leave out measurements up to this step; 0 keeps all. Default: the warm-up, where the table "
        "has one (learning_rate or warmup_steps).",
    ),
]
ResamplesOption = Annotated[
    int, typer.Option("--resamples", min=0, help="Number of bootstrap draws; 0 for no intervals.")
]
ResampleOption = Annotated[
    str,
    typer.Option(
        "--resample",
        help="What is drawn: unit (shapes where seeds share one, else runs), run, seed or both.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="COLUMN",
        help="Column that names independent units; default shapes where seeds share one, else runs.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the draws.")]
DeltaOption = Annotated[
    float | None,
    typer.Option("--delta", help="Residual from which the Huber loss of L(N, D) is linear; 0.001."),
]
OffsetOption = Annotated[
    float | None, typer.Option("--offset", help="Hold the irreducible loss of L(N, D) here.")
]


def fit_options(
    *,
    law: str,
    breaks: int | None,
    points: str,
    method: str,
    finished_only: bool,
    after_step: int | None,
    resamples: int,
    resample: str,
    cluster: str | None,
    seed: int,
    delta: float | None = None,
    offset: float | None = None,
) -> FitOptions:
    """Return how a law is fitted, as the options of the command line say.

    Raises:
        ConfigurationError: An option is not one of its choices.
    """
    from lilliput.analysis import FRONTIER_METHODS, POINTS, RESAMPLE_WAYS, FitOptions
    from lilliput.analysis.laws.registry import law_names

    return FitOptions(
        law=one_of("--law", law, law_names()),
        breaks=breaks,
        points=one_of("--points", points, POINTS),
        frontier_method=one_of("--method", method, FRONTIER_METHODS),
        finished_only=finished_only,
        after_step=after_step,
        resamples=resamples,
        resample=one_of("--resample", resample, RESAMPLE_WAYS),
        cluster=cluster,
        seed=seed,
        delta=delta,
        offset=offset,
    )


def column_mapping(column: list[str] | None) -> dict[str, str]:
    """Return schema name to header, from NAME=HEADER options.

    Raises:
        ConfigurationError: An option does not have this form, its name is not one of the schema's, or a name
            stands twice.
    """
    pairs = [text.partition("=") for text in column or []]
    for name, equals, header in pairs:
        if not (name and equals and header):
            raise ConfigurationError(
                "--column must read NAME=HEADER",
                got=repr(name + equals + header),
                remedy="For example: --column loss=val_loss",
            )
    names = [name.strip() for name, _, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            "--column must name each column of the schema once", got=f"{', '.join(repeated)} twice"
        )
    for name in names:
        _require_schema_column(name)
    return {name.strip(): header.strip() for name, _, header in pairs}


def _require_schema_column(name: str) -> None:
    """Raise ConfigurationError where the schema has no column `name`: renaming a header to it would do nothing."""
    from lilliput.analysis.table.schema import SCHEMA, describe

    if describe(name):
        return
    known = [column.name for column in SCHEMA]
    near = difflib.get_close_matches(name, known, n=1)
    raise ConfigurationError(
        "--column must name a column of the schema",
        got=repr(name),
        remedy=f"Did you mean {near[0]!r}?" if near else f"The schema has: {', '.join(known)}.",
    )


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    """Return the value, if it is allowed.

    Raises:
        ConfigurationError: It is not.
    """
    if value not in allowed:
        raise ConfigurationError(f"{option} must be one of {', '.join(allowed)}", got=repr(value))
    return value
