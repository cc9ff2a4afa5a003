"""Where an integer neuron has registers: options from the fewest to the most, for clocks from low to high."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fewbits.errors import HardwareError


@dataclass(frozen=True)
class Pipelining:
    """One option; the defaults are those of the shipped datapaths, which meet 250 MHz on a 130 nm process."""

    name: str

    adds_products_below: int = 24
    """Products of fewer bits are one row, added in the multiplier; wider ones are two rows, which the tree adds.

    With 24 bits, Booth recoding, compression and a carry-propagating addition do not fit 4 ns on a 130 nm process."""

    multiply_cycles: int = 1
    """Of a multiplier's compression of partial products; registers lie between its levels of adders."""

    compress_cycles: int = 1
    """Of the tree's compression to two rows; 0 leaves it and the addition of the rows in one cycle."""

    segment_bits: int = 64
    """Widest sum that is added in a cycle; a wider one is added in skewed segments.

    One of 62 bits takes 3.0 ns on a 130 nm process, the choice of the bias before it included."""

    shift_cycles: int = 2
    """Of the output's shifter."""


DEFAULT = "standard"

_OPTIONS = (
    Pipelining("short", adds_products_below=64, compress_cycles=0, shift_cycles=1),
    Pipelining(DEFAULT),
    Pipelining("long", adds_products_below=0, compress_cycles=2, segment_bits=16, shift_cycles=3),
    Pipelining("longest", adds_products_below=0, multiply_cycles=2, compress_cycles=4, segment_bits=12, shift_cycles=5),
)

PIPELININGS: Mapping[str, Pipelining] = {option.name: option for option in _OPTIONS}
"""By name, from the fewest registers to the most."""


def pipelining(name: str) -> Pipelining:
    """An option by its name; raises HardwareError that lists them."""
    if name not in PIPELININGS:
        raise HardwareError(f"no pipelining {name!r}: use {', '.join(PIPELININGS)}")
    return PIPELININGS[name]
