"""The accelerator's opcodes: what each value of a descriptor's `operation` asks of circuit, schedule and compiler.

One table: a new opcode is an entry here, and whatever new circuit its flags do not describe yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fewbits.hardware.datapath.neuron_design import NeuronDesign


@dataclass(frozen=True)
class Opcode:
    """One opcode, on one kind of datapath."""

    code: int
    """The value of the field."""

    takes_weights: bool
    """Whether the neurons compute: a row of SB beside each row of Bin, and biases."""

    leaves_neurons: bool
    """Whether its results are the neurons' sums, rounded by their output stage: an output's inputs are the lanes of its
    chunks. Else they are rows of the pooling stage: a lane is a channel, slices of channels come one after another."""

    divides: bool = False
    """Whether the pooling stage gives quotients (one divider, a lane a cycle), not maxima."""

    @property
    def waits_for_sums(self) -> bool:
        """Whether an output's next place waits until the neurons can add to its sum, and a row for the divider."""
        return self.takes_weights and not self.leaves_neurons


@dataclass(frozen=True)
class Opcodes:
    """All opcodes of a datapath."""

    weighted: Opcode = Opcode(0, takes_weights=True, leaves_neurons=True)
    """Convolutions, linear layers, and additions by weights of powers of two."""

    maximum: Opcode = Opcode(1, takes_weights=False, leaves_neurons=False)
    average: Opcode = Opcode(2, takes_weights=False, leaves_neurons=False, divides=True)
    """The pooling stage sums a window and divides."""

    @property
    def all(self) -> tuple[Opcode, ...]:
        """Each of them."""
        return self.weighted, self.maximum, self.average


LANE_SUMS = Opcodes()
"""Of datapaths whose windows the pooling stage sums: integers."""

NEURON_SUMS = replace(LANE_SUMS, average=replace(LANE_SUMS.average, takes_weights=True))
"""Of datapaths whose neurons sum the windows of an average, by weights of one, in the order of the window: floats."""


def opcodes(design: NeuronDesign) -> Opcodes:
    """Those of an accelerator with such neurons."""
    return NEURON_SUMS if design.neurons_sum_windows else LANE_SUMS
