"""`lilliput generate` and `lilliput fill`: text from a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import suggest
from lilliput.cli._options import CheckpointOption, JsonOption, RunArgument, RunTokenizerOption


def register(app: typer.Typer) -> None:
    """Add the verbs to the application."""
    app.command()(generate)
    app.command()(fill)


def generate(
    run: RunArgument,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="TEXT", help="A text to go on with; may be repeated."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help="A text file with one prompt a line."),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, help="Most tokens to add to each prompt.")
    ] = 64,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            min=0.0,
            help="0 takes the likeliest token each time; 1 draws from the model's probabilities.",
        ),
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p",
            help="Draw only among the likeliest tokens that together have this probability.",
        ),
    ] = 1.0,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Texts for each prompt.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")] = 0,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", min=1, help="Texts made at once; results do not change."),
    ] = 32,
    tokenizer: RunTokenizerOption = None,
    checkpoint: CheckpointOption = "final",
    as_json: JsonOption = False,
) -> None:
    """Let a causal run go on with a prompt: greedy, or drawn with a temperature.

    Example: lilliput generate STUDY/runs/3f2a --prompt "once upon a time" --temperature 0.8 --top-p 0.9
    """
    from lilliput.core.files import numbered_lines
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.core.settings import parse_settings
    from lilliput.evaluation import GenerationSettings, generate_texts
    from lilliput.study import run_folder

    asked = [*(prompt or []), *(line for _, line in (numbered_lines(prompts) if prompts else ()))]
    values = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "samples": samples,
        "seed": seed,
        "batch_size": batch_size,
    }
    folder = run_folder(run)
    found = generate_texts(
        folder,
        asked,
        settings=parse_settings(GenerationSettings, values, where="the options"),
        tokenizer=tokenizer,
        checkpoint=checkpoint,
        reporter=reporter_for_terminal(),
    )
    record = {
        "samples": [one.as_record() for one in found.samples],
        "tokens_per_s": round(found.tokens_per_s, 1),
    }

    def show() -> None:
        for one in found.samples:
            echo(f"{one.prompt}{one.text}")
        ends = sum(one.stopped == "end" for one in found.samples)
        echo(
            f"{len(found.samples)} texts, {ends} ended by the model; {found.tokens_per_s:,.0f} tokens/s"
        )
        suggest("runs", "show", folder)

    deliver(record, as_json, show)


def fill(
    run: RunArgument,
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT…", help='Texts with gaps, as in "the <mask> sat".')
    ],
    top: Annotated[
        int, typer.Option("--top", metavar="K", help="Candidates to show for each gap.")
    ] = 5,
    tokenizer: RunTokenizerOption = None,
    checkpoint: CheckpointOption = "final",
    as_json: JsonOption = False,
) -> None:
    """Fill the gaps of a text by a masked run: the likeliest tokens with their probabilities.

    Example: lilliput fill STUDY/runs/3f2a "the <mask> sat on the mat" --top 3
    """
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.evaluation import fill_masks
    from lilliput.study import run_folder

    folder = run_folder(run)
    found = fill_masks(
        folder,
        texts,
        top=top,
        tokenizer=tokenizer,
        checkpoint=checkpoint,
        reporter=reporter_for_terminal(),
    )

    def show() -> None:
        for one in found:
            echo(one.text)
            for number, gap in enumerate(one.gaps, 1):
                for candidate in gap:
                    echo(f"    gap {number}: {candidate.probability:.4f} {candidate.text.strip()}")
        suggest("runs", "show", folder)

    deliver({"texts": [one.as_record() for one in found]}, as_json, show)
