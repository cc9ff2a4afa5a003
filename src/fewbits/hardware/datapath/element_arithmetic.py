"""The arithmetic of a processing element without its circuit: what it multiplies by, its cycles and widths."""

from __future__ import annotations

from dataclasses import replace

from fewbits.errors import HardwareError
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.integer_sums import IntegerSums


def element_design(design: Datapath) -> IntegerSums:
    """The arithmetic of an element: a neuron's, but that wide products are one row, added in a cycle of their own.

    Raises HardwareError for floats, and for a multiplier that only neurons have.
    """
    if not isinstance(design, IntegerSums):
        raise HardwareError(
            f"no processing element of {design.precision.name}: a column of a systolic array adds a product a cycle, "
            "and a float adder takes several: choose integers (fixedN, pow2-N, ternary, binary), or a dataflow whose "
            "neurons add in a tree"
        )
    if design.element_refusal is not None:
        raise HardwareError(design.element_refusal)
    if design.carry_save_products:
        return replace(design, kept_product_bits=design.full_product_bits)
    return design


def product_stages(design: Datapath) -> int:
    """Cycles from an input at an element to its product."""
    return element_design(design).multiply_stages


def column_bits(design: Datapath, rows: int) -> int:
    """Width of the partial sum that a column of so many elements hands down: no sum overflows it."""
    return design.product_bits + (rows - 1).bit_length()
