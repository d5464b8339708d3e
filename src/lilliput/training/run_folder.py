"""The folder of a run as readers need it: configuration, figures and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError
from lilliput.core.reader import RunFile, read_record
from lilliput.core.settings import parse_settings
from lilliput.models import LanguageModel
from lilliput.training.checkpoints import read_checkpoint
from lilliput.training.run_config import RUN_KIND, RUN_SCHEMA, RunConfig
from lilliput.training.weights import build_run_model, load_weights

CONFIG = "run.json"
RESULT = "result.json"


@dataclass(frozen=True)
class RunResult:
    """Hold the figures of a finished run; losses in nats on the validation split at the last step.

    Attributes:
        run_id: Identity of the run.
        folder: Where it lies.
        loss: Mean over predicted tokens.
        loss_reference: With pads counted (S:B1, B10).
        loss_reference_imputed: Whether the pads' loss was set to zero, not measured.
        perplexity: exp(loss).
        bits_per_byte: Over the bytes of the predicted tokens.
        unigram_entropy: Nats per held-out token of a model that knows only frequencies.
        tokens_seen: Input tokens without pads.
        tokens_per_s: Of the steps; evaluations are not counted.
        wall_time_s: Of everything.
        num_parameters: All of them.
        num_parameters_non_embedding: Without the embeddings.
        steps: Steps.
        flops: Total training FLOPs under each convention.
    """

    run_id: str
    folder: Path
    loss: float
    loss_reference: float
    loss_reference_imputed: bool
    perplexity: float
    bits_per_byte: float
    unigram_entropy: float
    tokens_seen: int
    tokens_per_s: float
    wall_time_s: float
    num_parameters: int
    num_parameters_non_embedding: int
    steps: int
    flops: Mapping[str, float] = field(default_factory=dict[str, float])

    def as_record(self) -> dict[str, Any]:
        """Return the keys of the command line's JSON contract; paths are left out."""
        record = asdict(self)
        del record["folder"], record["flops"]
        return record | dict(self.flops)

    @classmethod
    def read(cls, folder: Path) -> RunResult:
        """Return the result of the finished run in `folder`.

        Raises:
            InputError: No finished run is there.
        """
        read_manifest(folder, RUN_KIND, RUN_SCHEMA)
        record = read_record(folder / RESULT)
        flops = {key: record.pop(key) for key in list(record) if key.startswith("flops_")}
        return cls(folder=folder, flops=flops, **record)


def read_run_config(run: Path) -> RunConfig:
    """Return the resolved configuration of the run in `run`, finished or not.

    Raises:
        InputError: No run is there.
    """
    if not (run / CONFIG).is_file():
        raise InputError(f"{run} must be the folder of a run", got=f"no {CONFIG}")
    record = read_record(run / CONFIG, RunFile)
    return parse_settings(RunConfig, record["config"], where=str(run / CONFIG))


def load_model(run: Path, which: str = "final") -> LanguageModel:
    """Return the model of a run as it was at a checkpoint, in float32 on the processor, in `eval` mode.

    Args:
        run: Folder of the run.
        which: "final", "initial", or "step-N" for a step asked for by `save_steps`.

    Raises:
        InputError: The run or the checkpoint is not there; the message names those that are.
        ArtefactError: The checkpoint is damaged, or its tensors are not exactly the model's.
    """
    config = read_run_config(run)
    checkpoint = read_checkpoint(run / "checkpoints" / which)
    model = build_run_model(config)
    load_weights(model, checkpoint.weights, where=str(run / "checkpoints" / which))
    return model.eval()
