"""Models from Hugging Face folders, to go on training them here."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from lilliput.core.errors import InputError
from lilliput.core.files import require_file
from lilliput.models.attention import AttentionKernel
from lilliput.models.build import LanguageModel
from lilliput.models.hugging_face.layouts import read_foreign_config
from lilliput.models.hugging_face.names import from_foreign

# Tensors that carry no weights of a language model, by the end of their names.
_NOT_WEIGHTS = ("position_ids", "token_type_ids", "rotary_emb.inv_freq", "inv_freq")


def load_hugging_face(
    folder: Path, *, attention_kernel: AttentionKernel = "plain"
) -> LanguageModel:
    """Return the language model in `folder`; every weight of the file is used and every one of ours is filled.

    Args:
        folder: Holds `config.json` and `model.safetensors`, saved from a masked or causal language
            model of a layout of `lilliput.architecture.LAYOUTS`.
        attention_kernel: See `Transformer`.

    Raises:
        InputError: A file is missing, the layout is foreign, a weight is missing, left over or of
            another shape.
    """
    layout, config = read_foreign_config(folder / "config.json")
    file = require_file(folder / "model.safetensors", "the model's weights")
    try:
        tensors = safetensors.torch.load_file(file)
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise InputError(
            f"{file} must be whole safetensors",
            got=str(error).splitlines()[0],
            remedy="Download or save it again.",
        ) from None
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith(_NOT_WEIGHTS)}
    model = LanguageModel(config, attention_kernel)
    wanted = model.state_dict()
    state, missing, unused = from_foreign(wanted, found, layout)
    if config.tie_word_embeddings:
        # A tied decoder may be saved a second time.
        copies = layout.foreign_names("decoder")
        unused = [name for name in unused if name not in copies]
    _refuse_differences(folder, missing, unused)
    _check_shapes(folder, wanted, state)
    model.load_state_dict(state)
    return model


def _refuse_differences(folder: Path, missing: list[str], unused: list[str]) -> None:
    for what, names in (("missing", missing), ("left over", unused)):
        if names:
            raise InputError(
                f"the weights in {folder} must be exactly those of the model in its config.json",
                got=f"{len(names)} {what}, {names[0]} first",
                remedy="Save it as a masked or causal language model, with its vocabulary head.",
            )


def _check_shapes(folder: Path, wanted: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(
                f"{name} in {folder} must have the shape {tuple(wanted[name].shape)}",
                got=tuple(tensor.shape),
            )
