"""Data orders: which sequences each step reads, as a function of seed and step; one module each."""

from lilliput.training.data.orders.base import (
    DataOrder,
    OrderContext,
    OrderSettings,
    register_order,
)

__all__ = ["DataOrder", "OrderContext", "OrderSettings", "register_order"]
