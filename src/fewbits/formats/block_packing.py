"""Blocks as bytes: codes of elements and of scales, packed as OCP's and ONNX's narrow types are.

Codes follow each other from the least bit of the first byte on: of two 4-bit codes the first is the low half of a byte;
four 6-bit codes fill three bytes. A block's codes fill whole bytes; the last block of a row is padded with zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.block_layout import from_blocks, to_blocks
from fewbits.formats.blocks import BlockFormat
from fewbits.formats.encoded import Encoded
from fewbits.formats.scale import Block, BlockCodes, Scale, SummedDimension


@dataclass(frozen=True)
class PackedBlocks:
    """A tensor of a block format in bytes."""

    number_format: BlockFormat
    shape: tuple[int, ...]
    dim: int
    """Along which the blocks lie."""

    elements: bytes
    """Of all blocks, block after block: the tensor with `dim` last."""

    scales: bytes
    """A code for each block, in the same order."""

    fraction_bits: int = 0
    factor: float = 1.0
    """The tensor's factor is factor * 2**-fraction_bits, that of the elements' radix point included."""

    @classmethod
    def of(cls, encoded: Encoded, number_format: BlockFormat) -> PackedBlocks:
        """The bytes of codes with a scale of the format's blocks. Raises FormatError for others."""
        block, factors = encoded.scale.block, encoded.scale.factors
        if (
            block is None
            or not isinstance(factors, BlockCodes)
            or encoded.number_format != number_format.element
            or (block.size, factors.format_name) != (number_format.size, number_format.scales.name)
        ):
            raise FormatError(f"these are no codes of {number_format.name}: give what its `encoded` returns")
        codes = torch.from_numpy(encoded.codes.astype(np.int64))
        blocks = to_blocks(codes, block.size, SummedDimension(block.dim)).reshape(-1)
        return cls(
            number_format,
            encoded.shape,
            block.dim,
            pack_codes(blocks.numpy(), number_format.bits),
            pack_codes(np.frombuffer(factors.codes, np.uint8), number_format.scales.bits),
            factors.fraction_bits,
            factors.factor,
        )

    def encoded(self) -> Encoded:
        """The codes with their scale. Raises FormatError where bytes are too few or too many for the shape."""
        number_format = self.number_format
        length = self.shape[self.dim]
        rows = math.prod(self.shape) // length if length else 0
        count = rows * -(-length // number_format.size)
        codes = unpack_codes(self.elements, number_format.bits, count * number_format.size)
        scales = unpack_codes(self.scales, number_format.scales.bits, count)
        moved = [size for place, size in enumerate(self.shape) if place != self.dim % len(self.shape)]
        blocks = torch.from_numpy(codes.astype(np.int64)).view(*moved, -1, number_format.size)
        joined = from_blocks(blocks, self.shape, SummedDimension(self.dim))
        factors = BlockCodes(
            scales.astype(np.uint8).tobytes(), number_format.scales.name, self.fraction_bits, self.factor
        )
        return Encoded(joined.numpy(), number_format.element, Scale(Block(number_format.size, self.dim), factors))

    def interleaved(self) -> bytes:
        """Each block's scale, in a byte, then its elements. Raises FormatError for scales of less than a byte."""
        scales = self.number_format.scales
        if scales.bits != 8:
            raise FormatError(f"a scale {scales.name} fills no byte: scales and elements are stored apart")
        size = self.number_format.size * self.number_format.bits // 8
        elements = np.frombuffer(self.elements, np.uint8).reshape(-1, size)
        codes = np.frombuffer(self.scales, np.uint8)
        return np.concatenate([codes[:, None], elements], axis=1).tobytes()


def pack_codes(codes: NDArray[np.integer], bits: int) -> bytes:
    """Codes of so many bits, one after another from the least bit of the first byte on; zeros fill the last byte."""
    places = (codes.astype(np.int64).reshape(-1, 1) >> np.arange(bits)) & 1
    return np.packbits(places.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def unpack_codes(packed: bytes, bits: int, count: int) -> NDArray[np.int64]:
    """So many codes that `pack_codes` packed. Raises FormatError where the bytes are too few or too many."""
    if len(packed) != -(-count * bits // 8):
        raise FormatError(f"{count} codes of {bits} bits fill {-(-count * bits // 8)} bytes, not {shown(len(packed))}")
    places = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * bits, bitorder="little")
    return places.reshape(count, bits).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
