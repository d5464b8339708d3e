"""`lilliput train` trains one run from one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import suggest
from lilliput.cli._options import JsonOption, SetOption

if TYPE_CHECKING:
    from lilliput.training import RunResult

_EPILOG = """Example: lilliput train recipe.toml --set training.learning_rate=2e-3

A recipe is a TOML file with the keys tokens (folder of the token store), out (folder of the run) and
seed, and the tables model and training. Paths are relative to the recipe."""


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("train", epilog=_EPILOG)(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file of the run.")],
    start_from: Annotated[
        Path | None,
        typer.Option("--from", help="Hugging Face folder of a model to go on training."),
    ] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one model, go on with a half-done run, or show the result of a finished one."""
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.training import read_recipe
    from lilliput.training import train as train_run

    run = read_recipe(recipe, overrides or (), start_from)
    result = train_run(
        run.config,
        run.tokens,
        run.out,
        reporter=reporter_for_terminal(),
        weights_from=run.weights_from,
    )
    record: dict[str, Any] = {"out": str(run.out), **result.as_record()}
    deliver(record, as_json, lambda: _show(result))


def _show(result: RunResult) -> None:
    gain = result.unigram_entropy - result.loss
    echo(f"run {result.run_id} in {result.folder}")
    echo(f"loss {result.loss:.4f} nats a predicted token, perplexity {result.perplexity:.2f}")
    side = "below" if gain >= 0 else "above"
    echo(f"     {abs(gain):.3f} {side} what token frequencies alone give")
    echo(f"loss_reference {result.loss_reference:.4f}, bits_per_byte {result.bits_per_byte:.4f}")
    echo(
        f"{result.steps:,} steps, {result.tokens_seen:,} tokens, {result.tokens_per_s:,.0f} a second"
    )
    suggest("runs", "show", result.folder)
