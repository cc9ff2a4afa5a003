"""Number formats: what values exist, how a tensor is rounded to them, and their codes."""

from fewbits.formats.encoded import Encoded
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.floating import FloatFormat
from fewbits.formats.format import Description, Format, FormatFamily, FusedPass
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
from fewbits.formats.scale import Block, BlockCodes, Multipliers, PowersOfTwo, Scale
from fewbits.formats.units import Binary, Ternary

__all__ = [
    "STUDY_PRECISIONS",
    "Binary",
    "Block",
    "BlockCodes",
    "Description",
    "Encoded",
    "FixedPoint",
    "FloatFormat",
    "Format",
    "FormatFamily",
    "FusedPass",
    "Multipliers",
    "PowerOfTwo",
    "PowersOfTwo",
    "Precision",
    "Scale",
    "Ternary",
    "all_format_names",
    "broken_families",
    "format_families",
    "parse_format",
    "parse_precision",
]
