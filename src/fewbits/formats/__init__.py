"""Number formats: what values exist, how a tensor is rounded to them, and their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats.block_rules import ScaleRule
from fewbits.formats.blocks import BlockFormat
from fewbits.formats.exact_floats import ExactFloat
from fewbits.formats.fixed import FixedPoint, UnsignedFixedPoint
from fewbits.formats.floating import FloatFormat
from fewbits.formats.format import Description, Format, FormatFamily, FusedPass, MagnitudeCodes
from fewbits.formats.power_of_two import PowerOfTwo
from fewbits.formats.registry import (
    STUDY_PRECISIONS,
    Precision,
    all_format_names,
    broken_families,
    format_families,
    parse_format,
    parse_precision,
)
from fewbits.formats.scale import Block, BlockCodes, Multipliers, PowersOfTwo, Scale, SummedDimension
from fewbits.formats.scale_formats import ScaleFormat
from fewbits.formats.units import Binary, Ternary
from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.formats.assignment import Assignment
    from fewbits.formats.block_packing import PackedBlocks
    from fewbits.formats.encoded import Encoded
    from fewbits.formats.product_table import LayerProducts, ProductTable
    from fewbits.formats.switched_units import SwitchedUnits

__all__ = [
    "STUDY_PRECISIONS",
    "Assignment",
    "Binary",
    "Block",
    "BlockCodes",
    "BlockFormat",
    "Description",
    "Encoded",
    "ExactFloat",
    "FixedPoint",
    "FloatFormat",
    "Format",
    "FormatFamily",
    "FusedPass",
    "LayerProducts",
    "MagnitudeCodes",
    "Multipliers",
    "PackedBlocks",
    "PowerOfTwo",
    "PowersOfTwo",
    "Precision",
    "ProductTable",
    "Scale",
    "ScaleFormat",
    "ScaleRule",
    "SummedDimension",
    "SwitchedUnits",
    "Ternary",
    "UnsignedFixedPoint",
    "all_format_names",
    "broken_families",
    "format_families",
    "parse_format",
    "parse_precision",
]

_HOLDERS = {
    "Assignment": "fewbits.formats.assignment",
    "Encoded": "fewbits.formats.encoded",
    "PackedBlocks": "fewbits.formats.block_packing",
    "LayerProducts": "fewbits.formats.product_table",
    "ProductTable": "fewbits.formats.product_table",
    "SwitchedUnits": "fewbits.formats.switched_units",
}

if not TYPE_CHECKING:  # codes are numpy's, which descriptions of formats have no use for
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)
