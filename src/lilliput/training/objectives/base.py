"""A training objective: what is predicted, from what the model sees, and the loss of a prediction.

An objective is one module in this room, or in another package. It is a class with a name and a description;
everything else has a default. `register_objective` lists it, and `training.objective = "NAME"` in a recipe
then trains with it, alone, in a study and, where its loss is plain cross-entropy, in a fleet.

Shapes: G sequences of a global batch, L their width, N predicted positions, V vocabulary, D width of the head.
Modules of this room do not import torch when they are loaded: a study is planned without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lilliput.architecture import ModelConfig, Workload, flops_of_workload
from lilliput.core.errors import ConfigurationError
from lilliput.core.registry import Registry
from lilliput.core.seeding import stream_key
from lilliput.core.settings import Settings
from lilliput.tokenization import SpecialIds

if TYPE_CHECKING:
    from torch import Tensor

    from lilliput.models import LanguageModel
    from lilliput.training.config import TrainingConfig
    from lilliput.training.data.batches import MicroBatch
    from lilliput.training.execution.vocabulary_head import VocabularyHead

AUTO = "auto"


@dataclass(frozen=True)
class StudyRun:
    """Hold what is known of another run before it is trained.

    Attributes:
        identity: Its id.
        folder: Where it lies, or will once it is trained.
        model: Its shape.
    """

    identity: str
    folder: str
    model: ModelConfig


class ObjectiveSettings(Settings):
    """The name of an objective; a subclass adds the settings that it alone needs.

    A setting that leaves the result alone, such as the place of a file, is marked `OUTSIDE_IDENTITY`
    (see `lilliput.core.settings`).
    """

    name: str = Field(
        AUTO,
        description="masked_lm, causal_lm, or one that another package registers; auto takes causal_lm for a "
        "model in which each token sees only the past, masked_lm for the others.",
    )

    def located(self, folder: Path) -> Self:
        """Return these settings with relative paths resolved against the recipe's `folder`.

        Override it where the objective reads a file or a run, and put the identity of what is read (a hash,
        a run id) into a field: it then enters the id of the run.
        """
        del folder
        return self

    @property
    def study_runs(self) -> tuple[str, ...]:
        """Return the runs of the same study that must be finished before this one, as a recipe writes them; none by default."""
        return ()

    def located_in_study(self, folder: Path, runs: Mapping[str, StudyRun]) -> Self:
        """Return these settings with relative paths resolved, and with what is known of each of `study_runs`.

        Override it together with `study_runs`, and put the identity of each run into a field.
        """
        del runs
        return self.located(folder)

    def rehearsed(self) -> Self:
        """Return these settings for a measurement of speed, on invented tokens.

        Override it where `prepare` reads files: they may not be there yet when a study is planned.
        """
        return self


class ModelLoader(Protocol):
    """Loads the model of a run: `load_model` of `lilliput.training`."""

    def __call__(self, run: Path, which: str = "final") -> LanguageModel:
        """Return the model as it was at the checkpoint `which`, in float32 on the processor."""
        ...


@dataclass(frozen=True)
class TokenFacts:
    """Hold what an objective may need to know of the ids.

    Attributes:
        vocab_size: Ids.
        special: Ids of the special tokens.
        word_start: Whether an id begins a word, bool of shape (vocab_size,); on the device for device batches.
    """

    vocab_size: int
    special: SpecialIds
    word_start: Any

    def with_word_start(self, word_start: Any) -> Self:
        """Return the same facts with `word_start` where a device batch can index it."""
        return replace(self, word_start=word_start)


@dataclass(frozen=True)
class DrawKey:
    """Two 32-bit halves of the key of one batch's random draws: integers, or columns (G, 1) with a key for each row."""

    select: Any
    replace: Any

    @classmethod
    def of(cls, seed: int, *names: str | int) -> DrawKey:
        """Return the key of the stream called `names` under `seed`."""
        key = stream_key(seed, "masks", *names)
        return cls(key & 0xFFFFFFFF, key >> 32)


class Targets(NamedTuple):
    """Hold what a model sees of some sequences, and what it is asked.

    The sequence `<s> the cat </s>` with "cat" masked: it sees `<s> the <mask> </s>`, the targets are
    `<s> the cat </s>`, and `is_predicted` is true at "cat" alone. A causal model sees the sequence as it is;
    the targets are `the cat </s>`, one place earlier, predicted at all three places.

    Attributes:
        seen_GL: Ids that the model reads.
        targets_GL: The id to predict at each position; NO_TARGET where there never is one.
        is_predicted_GL: Which positions are predicted.
    """

    seen_GL: Any
    targets_GL: Any
    is_predicted_GL: Any


NO_TARGET = -1


class Objective:
    """One training objective, for one model and one recipe. Subclass it and override what differs.

    Args:
        model: Shape and layout.
        training: The recipe; `training.objective` holds the objective's own settings.

    Raises:
        ConfigurationError: The model or the recipe does not suit it.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    settings_type: ClassVar[type[ObjectiveSettings]] = ObjectiveSettings
    # True: only for models in which a token sees the past alone; False: only for the others; None: for all.
    needs_causal_model: ClassVar[bool | None] = None
    # Keys of `training` that it never reads: a recipe that sets one is refused.
    ignores: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: ModelConfig, training: TrainingConfig) -> None:
        self.model, self.training = model, training
        self._refuse_unsuitable_model()

    # ---- What is predicted ---------------------------------------------------------------------------

    def targets(self, ids_GL: Any, rows_G: Any, key: DrawKey, facts: TokenFacts) -> Targets:
        """Return what the model sees and predicts of padded sequences.

        It is called with NumPy arrays for host batches and with torch tensors for device batches, and must
        give the same numbers for both: use operators that both have, and `where` and `full_like` below.

        Args:
            ids_GL: Uncorrupted ids with `<s>`, `</s>` and pads, int64.
            rows_G: Place of each sequence in its global batch: with `key` and a column it names a draw.
            key: Of the random draws of this step or evaluation.
            facts: Special ids and beginnings of words.
        """
        raise NotImplementedError

    @property
    def predicted_share(self) -> float:
        """Return the approximate share of input tokens that is predicted; FLOPs and plans are computed from it."""
        raise NotImplementedError

    def expected_predictions(self, tokens: int, sequences: int) -> int:
        """Return the expected number of predicted tokens of so many input tokens in so many sequences.

        On an accelerator this expectation stands for the count, since counting would make the host wait. Override
        it where some tokens, such as the first of a sequence, are never predicted.
        """
        del sequences
        return round(self.predicted_share * tokens)

    def most_predictions(self, rows: int, width: int) -> int:
        """Return how many positions of `rows` rows with `width` tokens on average can be predicted at most; all by default.

        Buffers of device batches have this size. A smaller number saves time on a GPU.
        """
        return rows * width

    # ---- The loss of a prediction ---------------------------------------------------------------------

    def require_store(self, store: Path) -> None:
        """Refuse a token store that the objective cannot be trained on; by default none is refused.

        Args:
            store: Folder of the run's token store.
        """

    def prepare(self, load_model: ModelLoader) -> None:
        """Load what the loss needs beside the model, once, before the first step; by default nothing.

        Args:
            load_model: Returns the model of the run in a folder, in float32 on the processor.
        """

    def head_loss(
        self,
        head: VocabularyHead,
        z_ND: Tensor,
        micro: MicroBatch,
        grad_weight_VD: Tensor,
        grad_bias_V: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the training loss of a micro-batch in nats, and its gradient by `z_ND`.

        The default is the weighted cross-entropy of the targets. Losses on held-out text are plain
        cross-entropy whatever this returns, so that runs of all objectives can be compared.

        Args:
            head: The decoder, cast once for all micro-batches of the step.
            z_ND: What the decoder multiplies at the predicted positions, of the head's dtype, without history.
            micro: What was read, on the same device: ids, mask, predicted positions, targets and weights.
            grad_weight_VD: The gradient by the decoder is added here, float32.
            grad_bias_V: The gradient by the decoder's bias is added here, float32; None where it has no bias.
        """
        return head.add_gradients(
            z_ND, micro.targets_N, micro.weights_N, grad_weight_VD, grad_bias_V
        )

    @property
    def may_stack(self) -> bool:
        """Return whether a fleet may train it: by default where its loss is plain cross-entropy."""
        return type(self).head_loss is Objective.head_loss

    # ---- What it costs --------------------------------------------------------------------------------

    def extra_flops(self, work: Workload) -> Mapping[str, float]:
        """Return the FLOPs that the objective adds to those of the model, under each convention; none by default."""
        del work
        return {}

    def training_flops(
        self,
        *,
        sequences: float,
        tokens: float,
        squared_lengths: float | None = None,
        predicted_tokens: float | None = None,
    ) -> dict[str, float]:
        """Return the training FLOPs of a run under each convention; counts as in `Workload.of`."""
        work = Workload.of(
            seq_length=self.training.max_seq_length,
            predicted_share=self.predicted_share,
            sequences=sequences,
            tokens=tokens,
            squared_lengths=squared_lengths,
            predicted_tokens=predicted_tokens,
        )
        extra = self.extra_flops(work)
        return {
            name: value + extra.get(name, 0.0)
            for name, value in flops_of_workload(self.model, work).items()
        }

    def _refuse_unsuitable_model(self) -> None:
        if self.needs_causal_model not in (None, self.model.is_causal):
            sees = "only the past" if self.needs_causal_model else "both sides"
            raise ConfigurationError(
                f"the objective {self.name} needs a model in which each token sees {sees}",
                got=f"layout {self.model.layout}",
                remedy="Leave training.objective out: it follows the layout.",
            )


ObjectiveClass = TypeVar("ObjectiveClass", bound=type[Objective])
REGISTRY: Registry[type[Objective]] = Registry("training objective", "lilliput.training.objectives")


def register_objective(objective: ObjectiveClass) -> ObjectiveClass:
    """List an objective under its name, so that recipes can ask for it; usable as a decorator.

    For example::

        @register_objective
        class EverySecond(MaskedLM):
            name = "every_second"
            description = "Masked LM that predicts only at even positions."

            def targets(self, ids_GL, rows_G, key, facts):
                ...

            @property
            def predicted_share(self):
                return super().predicted_share / 2

    Raises:
        ConfigurationError: Another objective has that name.
    """
    REGISTRY.add(objective.name, objective)
    return objective


def full_like(ids: Any, value: int) -> Any:
    """Return an array or tensor of the shape and kind of `ids` that holds `value` everywhere."""
    if isinstance(ids, np.ndarray):
        return np.full_like(ids, value)
    import torch

    return torch.full_like(ids, value)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Return `yes` where `condition` holds and `no` elsewhere, for arrays and tensors."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    import torch

    return torch.where(condition, yes, no)


def columns(ids_GL: Any) -> Any:
    """Return 0, 1, … L-1 as an array or tensor like `ids_GL`."""
    if isinstance(ids_GL, np.ndarray):
        return np.arange(ids_GL.shape[1], dtype=np.int64)
    return ids_GL.new_ones(ids_GL.shape[1]).cumsum(0) - 1


Ids = NDArray[np.int64]
