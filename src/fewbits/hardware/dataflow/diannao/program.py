"""The accelerator's program: one descriptor a layer, a record of bit fields that its controller reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.datapath.neuron_design import NeuronDesign

WORD_BITS = 128
"""Width of the program's words, one of which is read a cycle."""

ADDRESS_BITS = 24
"""Of values, weight rows and biases in memory: 16 million."""

SIZE_BITS = 12
"""Of an image's height and width."""

EXTENT_BITS = 8
"""Of a kernel's height and width, dilation included."""

COUNT_BITS = 9
"""Of the number of values in a pooling window."""

GROUP_BITS = 12
"""Of neuron groups and convolution groups, less one."""


@dataclass(frozen=True)
class Field:
    """A field of a descriptor."""

    name: str
    bits: int
    signed: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest value."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)


@dataclass(frozen=True)
class Layout:
    """Where the fields of a descriptor lie, the first one lowest."""

    fields: tuple[Field, ...]

    @cached_property
    def places(self) -> dict[str, tuple[int, Field]]:
        """Lowest bit of each field, by name."""
        places: dict[str, tuple[int, Field]] = {}
        bit = 0
        for field in self.fields:
            places[field.name] = (bit, field)
            bit += field.bits
        return places

    @property
    def bits(self) -> int:
        """Width of a descriptor."""
        return sum(field.bits for field in self.fields)

    @property
    def words(self) -> int:
        """Words of a descriptor."""
        return -(-self.bits // WORD_BITS)

    def pack(self, values: Mapping[str, int], layer: str) -> list[int]:
        """A descriptor's words. Raises HardwareError, naming the layer, for a value that its field cannot hold."""
        assert values.keys() == self.places.keys(), values.keys() ^ self.places.keys()
        record = 0
        for name, (bit, field) in self.places.items():
            low, high = field.limits
            if not low <= values[name] <= high:
                raise HardwareError(
                    f"layer {layer!r} does not fit the accelerator: its {name.replace('_', ' ')} would be "
                    f"{values[name]}, the controller takes {low} to {high}; make the layer smaller"
                )
            record |= (values[name] & ((1 << field.bits) - 1)) << bit
        return [(record >> (WORD_BITS * word)) & ((1 << WORD_BITS) - 1) for word in range(self.words)]


POSITION_FIELDS = (
    Field("input_address", ADDRESS_BITS + 1, signed=True),  # of the first position, padding included
    Field("input_step", ADDRESS_BITS),  # to the next convolution group, or slice
    Field("column_step", EXTENT_BITS),
    Field("row_step", ADDRESS_BITS + 1, signed=True),  # from a row's last position to the next row's first
    Field("row_stride", EXTENT_BITS),
    Field("first_column", SIZE_BITS, signed=True),
    Field("last_column", SIZE_BITS, signed=True),
    Field("first_row", SIZE_BITS, signed=True),
    Field("last_row", SIZE_BITS, signed=True),
    Field("width", SIZE_BITS),
    Field("height", SIZE_BITS),
)
"""The walk over output positions."""

ADVANCE_FIELDS = (
    Field("advance", ADDRESS_BITS + 1, signed=True),
    Field("advance_column", ADDRESS_BITS + 1, signed=True),  # where the column starts anew
    Field("advance_row", ADDRESS_BITS + 1, signed=True),  # where the row does
    Field("advance_both", ADDRESS_BITS + 1, signed=True),
    Field("column_advance", EXTENT_BITS),
    Field("column_back", EXTENT_BITS),  # instead, from this column on
    Field("row_advance", EXTENT_BITS),
    Field("row_back", EXTENT_BITS),
    Field("row_dilation_advance", EXTENT_BITS),  # where the column starts anew
    Field("row_dilation_back", EXTENT_BITS),
)
"""How a lane of the address generation moves on, from one chunk of synapses to the next."""

AVERAGE_FIELDS = (
    Field("counts_padding", 1),
    Field("counted_width", SIZE_BITS),
    Field("counted_height", SIZE_BITS),
    Field("divisor", COUNT_BITS),  # 0: the values counted
)
"""What an average is divided by."""


def layout(design: NeuronDesign, accelerator: Accelerator) -> Layout:
    """The descriptor of an accelerator.

    A slot is one cycle of work: a chunk of one output position for one group of neurons. Counts are stored less one.
    """
    lanes = design.address_lanes(accelerator.synapses)
    lane_bits = lanes.bit_length()
    return Layout(
        (
            Field("operation", 2),  # see `opcodes`
            Field("relu", 1),
            Field("is_last", 1),  # its accumulators are the network's result
            Field("spills", 1),  # its accumulators are partial sums: they go to memory at full width
            Field("resumes", 1),  # its sums begin with those of the piece before, one of them for each position
            Field("shift", design.shift_bits, signed=design.shift_is_signed),
            *(Field(name, 1) for name in design.settings),  # pins of the neurons
            # Loops.
            Field("chunks", 16),
            Field("neuron_groups", GROUP_BITS),  # of one convolution group; in pooling, slices of channels
            Field("convolution_groups", GROUP_BITS),
            Field("block_groups", 3),
            Field("block_positions", 3),
            Field("interval", 4),  # slots between two chunks of an output, at least
            Field("gap", lane_bits),  # idle slots after an output's last chunk
            Field("bin_resident", 1),  # the rows of Bin serve all neuron groups
            Field("sb_resident", 1),  # the rows of SB serve all positions
            # Positions.
            *POSITION_FIELDS,
            # Synapses of the lanes, from one chunk to the next.
            Field("tail", lane_bits),  # lanes of the last chunk
            *ADVANCE_FIELDS,
            # Averages.
            *AVERAGE_FIELDS,
            # Weights and outputs.
            Field("weight_row", ADDRESS_BITS),
            Field("bias_row", ADDRESS_BITS),
            Field("output_address", ADDRESS_BITS),  # or the row of the first partial sums
            Field("plane", ADDRESS_BITS),  # positions of one channel
            Field("group_step", ADDRESS_BITS),  # from a neuron group's last position to the next group's first
            Field("tail_step", ADDRESS_BITS),  # the same after the last group
            Field("tail_neurons", accelerator.neurons.bit_length()),  # of the last group
            *lane_places(lanes),
        )
    )


def lane_places(lanes: int) -> Sequence[Field]:
    """Each lane's synapse in the first chunk: address and kernel column and row relative to the position."""
    names = (("offset", ADDRESS_BITS), ("column", EXTENT_BITS), ("row", EXTENT_BITS))
    return [Field(f"{name}_{lane}", bits) for lane in range(lanes) for name, bits in names]
