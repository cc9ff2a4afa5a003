"""Images of the accelerator's memories: rows of weights and of biases in the order in which they are loaded, codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fewbits.bitexact import InputRounding, Layer
from fewbits.formats import Format
from fewbits.hardware.dataflow.diannao.tiling import Tiling
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.simulation import pack

Words = NDArray[np.uint32]
"""Rows of a memory: 32 bits a word, lowest first."""


class MemoryImages:
    """Weights and biases of the layers that were added so far."""

    def __init__(self, design: NeuronDesign, neurons: int, synapses: int) -> None:
        self._design = design
        self._neurons, self._synapses = neurons, synapses
        self._weights: list[Words] = []
        self._biases: list[Words] = []
        self.weight_rows = self.bias_rows = 0
        """Rows so far: where the next layer's begin."""

    @property
    def weights(self) -> Words:
        """Rows of SB."""
        return np.concatenate(self._weights)

    @property
    def biases(self) -> Words:
        """Rows of a bias for each neuron."""
        return np.concatenate(self._biases)

    def add_weights(self, layer: Layer, piece: Tiling, design: NeuronDesign | None = None) -> None:
        """Rows of a piece of a layer's chunks, in the order convolution group, block of neuron groups, chunk, neuron
        group. design: in the layer's mode, where the datapath has several.
        """
        made = design or self._design
        codes = layer.weight.codes.reshape(len(layer.weight), -1).astype(np.int64)
        neurons, lanes = self._neurons, self._synapses * made.products_per_lane
        groups, neuron_groups, chunks = piece.groups, piece.neuron_groups, piece.chunks
        start = piece.first_chunk * lanes
        codes = codes[:, start : start + chunks * lanes]
        of_group, synapses = len(codes) // groups, codes.shape[1]
        padded = np.zeros((groups, neuron_groups * neurons, chunks * lanes), np.int64)
        padded[:, :of_group, :synapses] = codes.reshape(groups, of_group, synapses)
        tiles = padded.reshape(groups, neuron_groups, neurons, chunks, lanes).transpose(0, 1, 3, 2, 4)
        for group in range(groups):
            for first in range(0, neuron_groups, piece.block_groups):
                block = tiles[group, first : first + piece.block_groups].swapaxes(0, 1)
                rows = block.reshape(-1, neurons * lanes)
                self._append_weights(rows, made)

    def add_biases(self, layer: Layer, groups: int) -> None:
        """Rows in the order convolution group, neuron group, less what the last chunk's lane padding adds."""
        bias: Sequence[Any] = layer.bias or (0,) * len(layer.weight)
        padding = self._design.lane_padding(layer.synapses)
        numbers = [self._design.accumulator_code(value) - padding for value in bias]
        of_group, neurons = len(numbers) // groups, self._neurons
        padded: list[int] = []
        for group in range(groups):
            part = numbers[group * of_group : (group + 1) * of_group]
            padded += part + [0] * (-len(part) % neurons)
        self._append_biases(padded)

    def add_partial_sums(self, rows: int) -> None:
        """Rows behind the biases for sums that are not complete: written and read while a layer is computed."""
        self._append_biases([0] * (rows * self._neurons))

    def add_diagonals(self, factors: Sequence[int], slices: int) -> None:
        """For each slice of channels and each chunk a factor at the synapse of a neuron's own number; no bias.

        So each neuron adds, times the factors, what the chunks hold of one channel, in their order.
        """
        neurons = self._neurons
        rows = np.zeros((len(factors), neurons, self._synapses), np.int64)
        for row, code in zip(rows, codes_of(factors, self._design.precision.weights), strict=True):
            np.fill_diagonal(row, code)
        self._append_weights(np.tile(rows.reshape(len(factors), -1), (slices, 1)))
        self._append_biases([0] * (slices * neurons))

    def _append_weights(self, rows: NDArray[np.int64], design: NeuronDesign | None = None) -> None:
        """design: in the mode that the rows are for, where the datapath has several."""
        design = design or self._design
        self._weights.append(pack_codes(rows, design.precision.weights.bits, design.weight_code_bits))
        self.weight_rows += len(rows)

    def _append_biases(self, numbers: list[int]) -> None:
        """A row for each group of neurons."""
        neurons, bits = self._neurons, self._design.accumulator_bits
        mask = (1 << bits) - 1
        rows = [
            sum((number & mask) << (bits * place) for place, number in enumerate(numbers[start : start + neurons]))
            for start in range(0, len(numbers), neurons)
        ]
        self._biases.append(pack(rows, bits * neurons))
        self.bias_rows += len(rows)


def encode_images(rounding: InputRounding, images: torch.Tensor) -> Words:
    """Images as the codes that are put into the memory of values: (images, values)."""
    codes = rounding.number_format.encode(images.to(torch.float64), rounding.fraction_bits)
    return np.ascontiguousarray(codes.reshape(len(images), -1).numpy().astype(np.uint32))


def pack_codes(codes: NDArray[np.int64], bits: int, room: int | None = None) -> Words:
    """Rows of codes side by side, the first one lowest, as words.

    codes: rows, codes; only the lowest `bits` of each count. room: bits that each takes; as many as it has by default.
    """
    if room is not None and room != bits:
        codes, bits = codes & ((1 << bits) - 1), room
    rows, count = codes.shape
    words = -(-count * bits // 32)
    result = np.zeros((rows, words * 4), np.uint8)
    for start in range(0, rows, 1024):  # eight bytes a bit would else be taken for all rows at once
        part = codes[start : start + 1024, :, None] >> np.arange(bits) & 1
        packed = np.packbits(part.reshape(len(part), -1).astype(np.uint8), axis=1, bitorder="little")
        result[start : start + 1024, : packed.shape[1]] = packed
    return result.view("<u4").astype(np.uint32)


def codes_of(factors: Sequence[int], number_format: Format) -> list[int]:
    """Integers that a format has, as codes."""
    return number_format.encode(torch.tensor(list(factors), dtype=torch.float64)).tolist()
