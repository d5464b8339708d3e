"""This stage lets one seed of every causal shape go on with the prompts of the recipe, for reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lilliput.core.artefacts import artefact_id, building, folder_holds, is_artefact, read_manifest
from lilliput.core.errors import LilliputError
from lilliput.core.files import remove_folder, write_json
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.store.runs import RunRecord, read_run

SAMPLES_KIND, SAMPLES_SCHEMA = "samples", 1
SAMPLES_FILE = "samples.json"


def write_samples(context: StudyContext, runs: Sequence[Path]) -> None:
    """Write the texts of the causal runs, where the recipe has prompts; a run that cannot use one is passed over with a word."""
    asked, layout = context.recipe.samples, context.layout
    chosen = list(_one_seed_each(runs)) if asked is not None else []
    if asked is None or not chosen:
        return
    settings = asked.model_dump(mode="json")
    inputs = {run.run_id: read_manifest(run.folder, "run").id for run in chosen}
    identity = artefact_id(SAMPLES_KIND, SAMPLES_SCHEMA, settings, inputs)
    if folder_holds(layout.samples) not in (
        None,
        identity,
    ):  # There are more runs, or other prompts.
        remove_folder(layout.samples)
    if is_artefact(layout.samples):
        return
    from lilliput.evaluation import generate_texts

    with building(layout.samples, SAMPLES_KIND, SAMPLES_SCHEMA, settings, inputs) as build:
        records: list[dict[str, object]] = []
        for run in chosen:
            language = str(run.info["language"])
            tokenizer = layout.tokenizer(
                context.recipe.tokenized_as(language), context.recipe.tokenizers.train_with
            )
            try:
                found = generate_texts(
                    run.folder, asked.prompts, settings=asked.generation, tokenizer=tokenizer
                )
            except LilliputError as error:
                context.reporter.say(f"no samples of {run.name}: {error}")
                continue
            records.append(
                {
                    "run": run.name,
                    "shape": run.info["shape"],
                    "language": language,
                    "variant": run.info.get("variant", ""),
                    "num_parameters": run.result["num_parameters"],
                    "samples": [one.as_record() for one in found.samples],
                }
            )
        write_json(build.path(SAMPLES_FILE), records)


def _one_seed_each(runs: Sequence[Path]) -> Iterator[RunRecord]:
    """Yield the causal run with the lowest seed of each language, variant and shape, the smallest first."""
    seen: set[tuple[str, ...]] = set()
    records = [run for run in map(read_run, runs) if run.model["is_causal"]]
    by_size = sorted(
        records, key=lambda run: (run.result["num_parameters"], run.config["seed"], run.name)
    )
    for run in by_size:
        key = tuple(
            str(run.info.get(name, "")) for name in ("language", "family", "variant", "shape")
        )
        if key not in seen:
            seen.add(key)
            yield run
