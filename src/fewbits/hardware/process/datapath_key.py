"""What names a datapath: its key, from which the names in technology tables, files and figures are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fewbits.arguments import is_integer, shown
from fewbits.errors import HardwareError
from fewbits.formats import FixedPoint, Precision

DEFAULT_MULTIPLIER = "booth"
"""That names of datapaths leave out. All that there are: `multipliers/registry.py`."""

Accumulation = Literal["integer", "float32"]
"""What sums are held in: integers, wide enough for every sum; float32, where each addition rounds."""

Element = Literal["neuron", "processing-element"]
"""What is repeated on a chip: a neuron with its tree and output, or an element that adds one product to a sum."""

DEFAULT_SYNAPSES = 16
"""Of a neuron, where no other number is asked for: as many as in DianNao's tile (Chen et al., ASPLOS 2014, section 5).
"""

LARGEST_NEURON = 1 << 24
"""Synapses of one neuron at most: what the circuit's addresses reach."""


@dataclass(frozen=True)
class DatapathKey:
    """The datapath of a precision, and what differs from a neuron of 16 synapses, Booth multipliers and whole products.

    Names are printed from keys and never parsed back: who needs a part of a name holds the key.
    """

    precision: Precision
    multiplier: str = DEFAULT_MULTIPLIER
    """Name of a kind of multiplier; of a user's circuit with the start of its hash."""

    product_bits: int | None = None
    """Width that products are truncated to; None keeps them whole."""

    accumulation: Accumulation | None = None
    """What sums are held in; None for what the precision's datapath has by itself."""

    synapses: int = DEFAULT_SYNAPSES
    """Products that a neuron adds in a cycle; a processing element has 1, whatever is given."""

    element: Element = "neuron"

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", self.precision.plain)
        if self.element == "processing-element":
            object.__setattr__(self, "synapses", 1)
        if not is_integer(self.synapses, 1, LARGEST_NEURON):
            raise HardwareError(f"a neuron takes from 1 to {LARGEST_NEURON} synapses, not {shown(self.synapses)}")

    @property
    def _differs_in_synapses(self) -> bool:
        return self.element == "neuron" and self.synapses != DEFAULT_SYNAPSES

    @property
    def name(self) -> str:
        """Its entry in a technology table: `fixed16`, `fixed16 array`, `fixed16 product20`, `fixed16 32 synapses`."""
        return " ".join(
            [
                self.precision.name,
                *([self.multiplier] if self.multiplier != DEFAULT_MULTIPLIER else []),
                *([f"product{self.product_bits}"] if self.product_bits is not None else []),
                *([f"{self.accumulation} sums"] if self.accumulation is not None else []),
                *([f"{self.synapses} synapses"] if self._differs_in_synapses else []),
                *(["processing element"] if self.element == "processing-element" else []),
            ]
        )

    @property
    def arguments(self) -> str:
        """What asks a command for it, behind `rtl` or `characterize --precision`: `fixed16 --product-bits 20`."""
        return " ".join(
            [
                self.precision.name,
                *([f"--multiplier {self.multiplier}"] if self.multiplier != DEFAULT_MULTIPLIER else []),
                *([f"--product-bits {self.product_bits}"] if self.product_bits is not None else []),
                *([f"--synapses {self.synapses}"] if self._differs_in_synapses else []),
                *([f"--element {self.element}"] if self.element != "neuron" else []),
            ]
        )

    def __str__(self) -> str:
        return self.name


def equal_widths(bits: int) -> DatapathKey:
    """The key of fixedN."""
    fixed = FixedPoint(bits)
    return DatapathKey(Precision(fixed, fixed))


def datapath_element(name: str) -> Element:
    """What is repeated on a chip, by its name. Raises HardwareError for another."""
    if name != "neuron" and name != "processing-element":
        raise HardwareError(f"an element is 'neuron' or 'processing-element', not {name!r}")
    return name
