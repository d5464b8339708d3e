"""Layouts of Hugging Face: one module says a layout's tensors, how its `config.json` is read and written."""

from lilliput.models.hugging_face.layouts.base import (
    ForeignLayout,
    foreign_layout,
    layout_of_type,
    read_foreign_config,
    register_layout,
)

__all__ = [
    "ForeignLayout",
    "foreign_layout",
    "layout_of_type",
    "read_foreign_config",
    "register_layout",
]
