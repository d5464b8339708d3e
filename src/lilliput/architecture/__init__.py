"""The shape of a model, and what follows from it by arithmetic alone.

A `ModelConfig` says what a transformer is (layout, sizes, switches); `count_parameters` says how many
parameters it has and `training_flops` what training it costs, under every convention in use. Nothing
here imports torch, so a study can be planned and anyone's table analysed without it.
"""

from lilliput.architecture._layouts import layout_defaults
from lilliput.architecture.config import LAYOUTS, Layout, ModelConfig
from lilliput.architecture.flops import (
    FLOPS_CONVENTIONS,
    Convention,
    Workload,
    fine_tuning_flops,
    flops_of_workload,
    training_flops,
)
from lilliput.architecture.initialisation import Initialisation
from lilliput.architecture.parameters import (
    ParameterCount,
    activation_floats,
    count_parameters,
)
from lilliput.architecture.shapes import SIZES, format_shape, shape_name, sizes_of_shape

__all__ = [
    "FLOPS_CONVENTIONS",
    "LAYOUTS",
    "SIZES",
    "Convention",
    "Initialisation",
    "Layout",
    "ModelConfig",
    "ParameterCount",
    "Workload",
    "activation_floats",
    "count_parameters",
    "fine_tuning_flops",
    "flops_of_workload",
    "format_shape",
    "layout_defaults",
    "shape_name",
    "sizes_of_shape",
    "training_flops",
]
