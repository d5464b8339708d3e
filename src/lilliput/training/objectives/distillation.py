"""Distillation: a student learns from the probabilities of a finished teacher beside the text itself.

The loss at a predicted position is (1 - λ) CE + λ τ² KL(teacher ‖ student), both at temperature τ in the second
term, and its mean is taken over all predicted positions of the global batch: how the batch is cut into
micro-batches and how its rows are padded leave it alone. (Public implementations divide by sequences instead of
positions, average over micro-batches or count pads: BabyLlama's "alpha 0.5" is 0.99 by gradient.)

The teacher reads what the student reads, mask included, and multiplies its vocabulary at the predicted positions
alone. Its forward passes are counted in the student's FLOPs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from lilliput.architecture import ModelConfig, Workload, flops_of_workload
from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import ArtefactError, ConfigurationError, InputError
from lilliput.core.files import require_file
from lilliput.core.hashing import file_hash
from lilliput.core.reader import RunFile, read_record
from lilliput.core.settings import OUTSIDE_IDENTITY, parse_settings
from lilliput.tokenization import open_store
from lilliput.tokenization.same_ids import require_same_ids
from lilliput.training.objectives.base import (
    DrawKey,
    ModelLoader,
    Objective,
    ObjectiveSettings,
    StudyRun,
    Targets,
    TokenFacts,
    register_objective,
)
from lilliput.training.objectives.causal_lm import CausalLM
from lilliput.training.objectives.masked_lm import MaskedLM

if TYPE_CHECKING:
    from torch import Tensor

    from lilliput.models import LanguageModel
    from lilliput.training.config import TrainingConfig
    from lilliput.training.data.batches import MicroBatch
    from lilliput.training.execution.vocabulary_head import VocabularyHead
    from lilliput.training.soft_targets import (
        TeacherLikeliest,
        TeacherLogits,
        Tempered,
        TemperedHead,
    )

NAME = "distillation"
SELF, RUN_PREFIX = "self", "run:"
# Endings of FLOPs columns that add the training of the teachers: all of it, or one part in k for k students.
WITH_TEACHER, WITH_SHARED_TEACHER = "_and_teacher", "_and_shared_teacher"
# λ and τ under each name: as BabyLlama meant them, and near the best of arXiv 2502.08606.
_MIXES = {"balanced": (0.5, 2.0), "teacher only": (1.0, 1.0)}
_RUN_FILE, _WEIGHTS, _MODEL_FILE = "run.json", "model.safetensors", "config.json"


class DistillationSettings(ObjectiveSettings):
    """Who teaches, and how much the student listens."""

    teacher: tuple[str, ...] = Field(
        min_length=1,
        description='The folder of a finished run or of a model in Hugging Face layout; in a study also "run:NAME", '
        'one of its runs, where NAME is a run\'s name or "VARIANT SHAPE", and "self", the student\'s own settings '
        "trained without a teacher. Several are an ensemble, whose probabilities are averaged.",
    )
    mix: Literal["balanced", "teacher only"] = Field(
        "balanced",
        description="weight and temperature where they are left out: balanced 0.5 and 2, teacher only 1 and 1.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )
    weight: float = Field(
        0.5, ge=0, le=1, description="λ: share of the loss that the teacher gives; the text gives the rest."
    )  # fmt: skip
    temperature: PositiveFloat = Field(
        2.0, description="τ: both models' logits are divided by it where they are compared."
    )
    teacher_weights: Literal["trained", "untrained"] = Field(
        "trained",
        description="untrained lets the teacher's initial weights teach, as a control: what they add is no knowledge.",
    )
    top_k: PositiveInt | None = Field(
        None,
        description="Keep only the teacher's so many likeliest words, and take all others as one; absent, all are kept.",
    )
    teacher_folders: tuple[str, ...] = Field(
        (), description="Filled in when the teachers are found.", json_schema_extra=OUTSIDE_IDENTITY
    )
    teacher_models: tuple[ModelConfig, ...] = Field(
        (), description="Filled in when the teachers are found.", json_schema_extra=OUTSIDE_IDENTITY
    )
    is_rehearsal: bool = Field(
        False,
        description="Whether speed alone is measured: the teachers have drawn weights and need not be there.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )

    @model_validator(mode="before")
    @classmethod
    def _let_the_mix_fill_in(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("mix", "balanced") in _MIXES:
            weight, temperature = _MIXES[values.get("mix", "balanced")]
            return {"weight": weight, "temperature": temperature, **values}
        return values

    @field_validator("teacher", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @property
    def study_runs(self) -> tuple[str, ...]:
        """Return the teachers that are runs of the same study, as they are written."""
        return tuple(text for text in self.teacher if is_study_run(text))

    def located(self, folder: Path) -> Self:
        """Return the settings with the id, the place and the shape of each teacher.

        Raises:
            ConfigurationError: A teacher is a run of a study, and there is no study here.
            InputError: Nothing lies there, or a run that is not finished.
        """
        if self.teacher_folders:
            return self
        if self.study_runs:
            raise ConfigurationError(
                "a teacher that is a run of a study can be named in a recipe of a study alone",
                got=repr(self.study_runs[0]),
                remedy="Give the folder of the run: STUDY/runs/ID.",
            )
        return self._with_teachers([find_teacher(folder / text) for text in self.teacher])

    def located_in_study(self, folder: Path, runs: Mapping[str, StudyRun]) -> Self:
        """Return the same where a teacher may be a run of the study, trained or not."""
        return self._with_teachers(
            [runs[text] if text in runs else find_teacher(folder / text) for text in self.teacher]
        )

    def _with_teachers(self, teachers: Sequence[StudyRun]) -> Self:
        """Return the settings with what was found of the teachers; the id of each stands in place of its name."""
        return self.model_copy(
            update={
                "teacher": tuple(one.identity for one in teachers),
                "teacher_folders": tuple(one.folder for one in teachers),
                "teacher_models": tuple(one.model for one in teachers),
            }
        )

    def rehearsed(self) -> Self:
        """Return the settings for a measurement of speed: teachers of the same shapes, which need not be there."""
        return self.model_copy(update={"is_rehearsal": True})


def plain_convention(name: str) -> str:
    """Return the FLOPs convention of a column without what it adds for the training of teachers."""
    return name.removesuffix(WITH_TEACHER).removesuffix(WITH_SHARED_TEACHER)


def is_study_run(text: str) -> bool:
    """Return whether a teacher so written is a run of the student's study."""
    return text == SELF or text.startswith(RUN_PREFIX)


def find_teacher(folder: Path) -> StudyRun:
    """Return what there is to know of the teacher in `folder`; its weights are not loaded.

    Raises:
        InputError: Nothing lies there, or a run that is not finished.
    """
    folder = folder.resolve()
    if (folder / _RUN_FILE).is_file():
        _require_finished(folder)
        record = read_record(folder / _RUN_FILE, RunFile)
        model = parse_settings(ModelConfig, record["config"]["model"], str(folder / _RUN_FILE))
        return StudyRun(read_manifest(folder).id, str(folder), model)
    if not (folder / _MODEL_FILE).is_file():
        raise InputError(
            f"a teacher must be the folder of a finished run or of a model in Hugging Face layout: {folder}",
            got=f"neither {_RUN_FILE} nor {_MODEL_FILE} there" if folder.is_dir() else "no such folder",
        )  # fmt: skip
    from lilliput.models.hugging_face.layouts import read_foreign_config

    weights = require_file(folder / _WEIGHTS, "the weights of the teacher")
    return StudyRun(file_hash(weights), str(folder), read_foreign_config(folder / _MODEL_FILE)[1])


def _require_finished(folder: Path) -> None:
    if not is_artefact(folder):
        raise InputError(
            f"a teacher must be a finished run: {folder}",
            got="one that is not finished" if folder.is_dir() else "no such folder",
            remedy="Train it to its end first.",
        )


@register_objective
class Distillation(Objective):
    """Predict what the plain objective of the model predicts, and compare the prediction with a teacher's too."""

    name = NAME
    description = "Each prediction is compared with the text and with the probabilities of a finished teacher."
    settings_type = DistillationSettings

    def __init__(self, model: ModelConfig, training: TrainingConfig) -> None:
        super().__init__(model, training)
        assert isinstance(training.objective, DistillationSettings)
        self.settings: DistillationSettings = training.objective
        self._plain = (CausalLM if model.is_causal else MaskedLM)(model, training)
        self._teachers: list[LanguageModel] = []
        self._heads: dict[Any, Sequence[TemperedHead]] = {}
        for text, teacher in zip(self.settings.teacher, self.settings.teacher_models, strict=False):
            self._refuse_unsuitable_teacher(text, teacher)

    # ---- What is predicted: as without a teacher -------------------------------------------------------

    def targets(self, ids_GL: Any, rows_G: Any, key: DrawKey, facts: TokenFacts) -> Targets:
        """Return the targets of the plain objective."""
        return self._plain.targets(ids_GL, rows_G, key, facts)

    @property
    def predicted_share(self) -> float:
        """Return the share of the plain objective."""
        return self._plain.predicted_share

    def expected_predictions(self, tokens: int, sequences: int) -> int:
        """Return the number of the plain objective."""
        return self._plain.expected_predictions(tokens, sequences)

    def most_predictions(self, rows: int, width: int) -> int:
        """Return the number of the plain objective."""
        return self._plain.most_predictions(rows, width)

    # ---- The loss ----------------------------------------------------------------------------------------

    def require_store(self, store: Path) -> None:
        """Refuse a teacher that read other ids than those of the token store.

        Raises:
            ConfigurationError: A run learnt another token store, or a model has another tokenizer.
        """
        if self.settings.is_rehearsal:
            return
        settings = self.settings
        for name, model in zip(settings.teacher_folders, settings.teacher_models, strict=True):
            folder = Path(name)
            if (folder / _MODEL_FILE).is_file():
                require_same_ids(folder, model.vocab_size, open_store(store))
            else:
                _require_finished(folder)
                _require_same_tokens(folder, store)

    def prepare(self, load_model: ModelLoader) -> None:
        """Load the teachers; at λ = 0 there is nothing to ask them.

        Raises:
            InputError: A teacher is a run that is not finished.
        """
        settings = self.settings
        if settings.weight == 0.0 or self._teachers:
            return
        if settings.is_rehearsal:
            from lilliput.models import build_model

            self._teachers = [build_model(model, 0) for model in settings.teacher_models]
        else:
            if not settings.teacher_folders:
                raise ConfigurationError(
                    "the teachers of a distilled run must be located before it is trained",
                    got=", ".join(settings.teacher),
                    remedy="Call located(FOLDER) of its training settings.",
                )
            self._teachers = [self._load(load_model, Path(f)) for f in settings.teacher_folders]
        for teacher in self._teachers:
            teacher.eval().requires_grad_(False)

    def _load(self, load_model: ModelLoader, folder: Path) -> LanguageModel:
        is_trained = self.settings.teacher_weights == "trained"
        if not (folder / _MODEL_FILE).is_file():
            _require_finished(folder)
            return load_model(folder, "final" if is_trained else "initial")
        from lilliput.models import build_model, load_hugging_face
        from lilliput.models.hugging_face.layouts import read_foreign_config

        if is_trained:
            return load_hugging_face(folder)
        return build_model(read_foreign_config(folder / _MODEL_FILE)[1], 0)

    def head_loss(
        self,
        head: VocabularyHead,
        z_ND: Tensor,
        micro: MicroBatch,
        grad_weight_VD: Tensor,
        grad_bias_V: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return (1 - λ) CE + λ τ² KL, weighted as the micro-batch says, and its gradient by `z_ND`."""
        settings = self.settings
        if settings.weight == 0.0:
            return super().head_loss(head, z_ND, micro, grad_weight_VD, grad_bias_V)
        from lilliput.training.soft_targets import add_distillation_gradients

        logits = self._teacher_logits(micro, z_ND)
        kept = None if settings.top_k is None else self._likeliest(logits, settings.top_k)
        return add_distillation_gradients(
            head,
            z_ND,
            micro.targets_N,
            micro.weights_N,
            grad_weight_VD,
            grad_bias_V,
            weight=settings.weight,
            temperature=settings.temperature,
            logits=logits if kept is None else None,
            likeliest=kept,
        )

    def _teacher_logits(self, micro: MicroBatch, z_ND: Tensor) -> TeacherLogits:
        """Return the function that gives the teachers' logits at some of the predicted positions, over τ."""
        import torch

        from lilliput.training.soft_targets import mean_logits

        dtype, device = z_ND.dtype, z_ND.device
        inputs: list[Tensor] = []
        is_cast = dtype != torch.float32
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_cast):
            for teacher in self._teachers:
                if next(teacher.parameters()).device.type != device.type:
                    teacher.to(device)
                hidden_NH = teacher.encode_some(
                    micro.input_ids_BL,
                    micro.positions_N,
                    micro.attention_mask,
                    micro.position_ids_BL,
                    micro.queries_BQ,
                    micro.slots_N,
                )
                inputs.append(teacher.head_hidden(hidden_NH).to(dtype))
        heads = self._tempered_heads(dtype)
        if len(heads) == 1:
            return lambda rows: heads[0].logits(inputs[0][rows])

        def mean(rows: slice) -> Tempered:
            parts = [head.logits(z_ND[rows]) for head, z_ND in zip(heads, inputs, strict=True)]
            return mean_logits([part.logits_CV for part in parts], self.settings.temperature)

        return mean

    def _tempered_heads(self, dtype: Any) -> Sequence[TemperedHead]:
        """Return the teachers' decoders, cast once; those of an ensemble are tempered after their mean."""
        from lilliput.training.soft_targets import TemperedHead

        if dtype not in self._heads:
            temperature = self.settings.temperature if len(self._teachers) == 1 else 1.0
            self._heads[dtype] = [
                TemperedHead.of(
                    teacher.decoder_weight.detach().to(dtype),
                    None
                    if teacher.decoder_bias is None
                    else teacher.decoder_bias.detach().to(dtype),
                    temperature,
                )
                for teacher in self._teachers
            ]
        return self._heads[dtype]

    @staticmethod
    def _likeliest(logits: TeacherLogits, count: int) -> TeacherLikeliest:
        from lilliput.training.soft_targets import likeliest_of

        return lambda rows: likeliest_of(logits(rows).logits_CV, count)

    # ---- What it costs -----------------------------------------------------------------------------------

    def extra_flops(self, work: Workload) -> Mapping[str, float]:
        """Return the teachers' forward passes: a third of what training them on the same work would take."""
        if self.settings.weight == 0.0:
            return {}
        each = [flops_of_workload(model, work) for model in self.settings.teacher_models]
        return {name: sum(one[name] for one in each) / 3.0 for name in (each[0] if each else {})}

    def _refuse_unsuitable_teacher(self, text: str, teacher: ModelConfig) -> None:
        """Raise ConfigurationError where a teacher's predictions are not about the student's words and positions."""
        model, length = self.model, self.training.max_seq_length
        if teacher.vocab_size != model.vocab_size:
            raise ConfigurationError(
                f"a teacher must have the student's vocabulary of {model.vocab_size} words",
                got=f"{teacher.vocab_size} words in the teacher {text}",
                remedy="Train the teacher with the student's tokenizer.",
            )
        if teacher.is_causal != model.is_causal:
            sees = {True: "only the past", False: "both sides"}
            raise ConfigurationError(
                f"a teacher must see what the student sees, {sees[model.is_causal]} of a token",
                got=f"layout {teacher.layout}, which sees {sees[teacher.is_causal]}",
                remedy="Train the teacher in a layout of the same kind as the student's.",
            )
        top_k = self.settings.top_k or 0
        if top_k > model.vocab_size:
            raise ConfigurationError(
                f"training.objective.top_k must be at most the vocabulary of {model.vocab_size} words",
                got=top_k,
                remedy="Leave it out to keep all of them.",
            )
        if teacher.max_seq_length < length:
            raise ConfigurationError(
                f"a teacher must read sequences of training.max_seq_length = {length}",
                got=f"at most {teacher.max_seq_length} in the teacher {text}",
            )


def _require_same_tokens(run: Path, store: Path) -> None:
    learnt, wanted = read_manifest(run).inputs.get("tokens"), read_manifest(store, "tokens").id
    if learnt is None:
        raise ArtefactError(f"{run} must say which token store it learnt", got="no input tokens")
    if learnt != wanted:
        raise ConfigurationError(
            f"a teacher that is a run must have learnt the student's token store {wanted}",
            got=f"{learnt} in {run}",
            remedy="Its ids may stand for other words: export the teacher with its tokenizer and give that folder.",
        )
