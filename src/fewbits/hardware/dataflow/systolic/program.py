"""The array's program: one descriptor for each block of a layer, a record of bit fields that the controller reads."""

from __future__ import annotations

from fewbits.hardware.dataflow.diannao.program import (
    ADDRESS_BITS,
    ADVANCE_FIELDS,
    AVERAGE_FIELDS,
    GROUP_BITS,
    POSITION_FIELDS,
    Field,
    Layout,
    lane_places,
)
from fewbits.hardware.dataflow.systolic.folds import ACCUMULATE_CYCLES
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.neuron_design import NeuronDesign


def layout(design: NeuronDesign, array: Systolic) -> Layout:
    """The descriptor of an array.

    A slot is one cycle of work: a row of inputs of one output position. Counts are stored less one.
    """
    gap = max(array.rows + array.columns, ACCUMULATE_CYCLES)
    return Layout(
        (
            Field("operation", 2),  # see `opcodes`
            Field("relu", 1),
            Field("is_last", 1),  # nothing comes after it
            Field("leaves", 1),  # its accumulators leave at full width: they are the network's result
            Field("shift", design.shift_bits, signed=design.shift_is_signed),
            # Loops.
            Field("row_folds", 16),  # in pooling, places of a window
            Field("column_folds", GROUP_BITS),  # of one convolution group; in pooling, slices of channels
            Field("convolution_groups", GROUP_BITS),
            Field("gap", gap.bit_length()),  # idle cycles behind a fold's last slot; in pooling, behind a window's
            Field("keeps_inputs", 1),  # the rows of the input buffer serve all column folds
            # Positions.
            *POSITION_FIELDS,
            # Synapses of the rows, and averages.
            Field("tail", array.rows.bit_length()),  # rows that the last row fold uses
            *ADVANCE_FIELDS,
            *AVERAGE_FIELDS,
            # Weights and outputs.
            Field("weight_row", ADDRESS_BITS),
            Field("bias_row", ADDRESS_BITS),
            Field("output_address", ADDRESS_BITS),
            Field("positions", ADDRESS_BITS),  # of the block
            Field("plane", ADDRESS_BITS),  # positions of one channel
            Field("group_step", ADDRESS_BITS),  # from a column fold's last position to the next one's first
            Field("tail_step", ADDRESS_BITS),  # the same after the last column fold
            Field("tail_columns", array.columns.bit_length()),  # of the last column fold
            *lane_places(array.rows),
        )
    )
