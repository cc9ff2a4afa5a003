"""How a layer with weights falls onto the tile: groups of neurons, positions, chunks; and into pieces of its chunks.

One place for what the schedule counts and the compiler writes into descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fewbits.hardware.dataflow.accelerator import Accelerator
    from fewbits.hardware.dataflow.plan import Widths


@dataclass(frozen=True)
class Tiling:
    """A layer with weights, or a piece of its chunks, as loops."""

    groups: int
    """Groups of the convolution."""

    neuron_groups: int
    """Groups of up to `neurons` output channels, in one group of the convolution."""

    positions: int
    chunks: int
    """Chunks of up to `synapses` inputs in one output, or those of a piece."""

    interleaved: int
    """Independent outputs in a block: the cycles until a sum can be added to."""

    buffer_rows: int
    first_chunk: int = 0
    """The first of a piece's chunks in the layer."""

    @property
    def block_groups(self) -> int:
        """Groups of neurons in a block: several where a layer has few positions."""
        return min(self.neuron_groups, max(1, self.interleaved // self.positions))

    @property
    def passes(self) -> int:
        """Passes over the positions, in one group of the convolution."""
        return ceil_div(self.neuron_groups, self.block_groups)

    @property
    def position_blocks(self) -> int:
        """Blocks that the positions of one pass fall into."""
        return ceil_div(self.positions, self.interleaved)

    @property
    def keeps_inputs(self) -> bool:
        """Whether the rows of Bin of a pass serve all groups of neurons."""
        return self.positions * self.chunks <= self.buffer_rows

    @property
    def keeps_weights(self) -> bool:
        """Whether a group's rows of SB serve all positions."""
        return self.chunks <= self.buffer_rows

    @property
    def input_passes(self) -> int:
        """How often each input of a chunk is loaded."""
        return 1 if self.keeps_inputs else self.passes

    @property
    def weight_passes(self) -> int:
        """How often each weight is loaded."""
        return 1 if self.keeps_weights else self.position_blocks

    @property
    def output_rows(self) -> int:
        """Positions of all groups of neurons."""
        return self.groups * self.neuron_groups * self.positions

    @property
    def busy_cycles(self) -> int:
        """Cycles that start products."""
        return self.output_rows * self.chunks

    @property
    def stall_cycles(self) -> int:
        """Cycles that wait for the accumulators of a block that is not full."""
        slots = self.passes * self.position_blocks * self.interleaved
        return self.groups * (slots - self.neuron_groups * self.positions) * (self.chunks - 1)

    @property
    def input_rows(self) -> int:
        """Rows written to Bin."""
        return self.groups * self.positions * self.chunks * self.input_passes

    @property
    def weight_rows(self) -> int:
        """Rows written to SB."""
        return self.groups * self.neuron_groups * self.chunks * self.weight_passes

    def pieces(self, accelerator: Accelerator, widths: Widths) -> tuple[Tiling, ...]:
        """The layer as pieces of its chunks, one computed after another over all positions; itself if it stays whole.

        A layer whose weights do not fit SB is cut to pieces whose rows do, or fit Bin for all positions, where that
        moves fewer bits: sums that are not complete go to memory and come back at full width.
        """
        if self.keeps_weights:
            return (self,)
        sizes = [self.chunks, self.buffer_rows, max(1, self.buffer_rows // self.positions)]
        cuts = [self._cut(size) for size in sizes]
        return min(cuts, key=lambda cut: _moved_bits(cut, accelerator, widths))

    def _cut(self, size: int) -> tuple[Tiling, ...]:
        starts = range(0, self.chunks, size)
        return tuple(
            replace(self, chunks=min(size, self.chunks - start), first_chunk=self.first_chunk + start)
            for start in starts
        )


def _moved_bits(pieces: tuple[Tiling, ...], accelerator: Accelerator, widths: Widths) -> int:
    """Between chip and memory: rows of weights and inputs, and of partial sums there and back."""
    weights = sum(piece.weight_rows for piece in pieces) * accelerator.neurons * accelerator.synapses * widths.weights
    inputs = sum(piece.input_rows for piece in pieces) * accelerator.synapses * widths.inputs
    sums = 2 * (len(pieces) - 1) * pieces[0].output_rows * accelerator.neurons * widths.accumulator
    return weights + inputs + sums


def ceil_div(amount: int, size: int) -> int:
    """Pieces of `size` that hold `amount`."""
    return -(-amount // size)
