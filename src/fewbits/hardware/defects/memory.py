"""Wrong bits of memories: of the weights', of the inputs' (activations), each with the same chance, drawn with a seed.

A wrong bit is one cell that is read inverted, at the same place for all images of a draw: failures of a memory at a
low voltage stay where they are (Kim et al., "MATIC", IEEE TCAS-I 2018; Salami et al., MICRO 2018). Codes that no
encoder makes are read as a datapath reads them (`Format.read_as`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import HardwareError, ModelError
from fewbits.formats.encoded import Encoded

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Format
    from fewbits.graph.operations import Layer
    from fewbits.quantization.methods.known_defects import HeldBits

OVERFLOWN = -1
"""The class of an image of which a sum leaves float32: no image has it."""


def flip_weights(
    network: BitExactNetwork, rate: float, seed: int = 0, bits: Sequence[int] | None = None
) -> BitExactNetwork:
    """The network with bits of its stored weights wrong, each with a chance of `rate`.

    bits: positions in a code that can be wrong, 0 the lowest; None for all. Accumulators become as wide as the formats'
    worst case. With one seed, the wrong bits of a lower rate are among those of a higher one.
    Raises HardwareError for a rate outside 0 to 1, a position that a code does not have, and scales that the
    weights' numbers hold.
    """
    held = wrong_cells(network, rate, seed, bits)
    return with_held_bits(network, held) if held else network


def wrong_cells(
    network: BitExactNetwork, rate: float, seed: int = 0, bits: Sequence[int] | None = None
) -> dict[str, HeldBits]:
    """The cells of the weights' memory that are wrong, by layer, held at what they read now; as `flip_weights`.

    Layers without one are not in it.
    """
    from fewbits.quantization.methods.known_defects import HeldBits

    _check_draw(rate, seed)
    generator = np.random.default_rng(seed)
    found: dict[str, HeldBits] = {}
    for layer in network.layers:
        width = layer.weight_format.bits
        allowed = _allowed(layer, range(width) if bits is None else bits)
        mask = _mask(layer.weight.shape, width, allowed, rate, generator)
        if mask.any():
            found[layer.name] = HeldBits(mask, ~layer.weight.codes.astype(np.int64) & mask)
    return found


def with_held_bits(network: BitExactNetwork, held: Mapping[str, HeldBits]) -> BitExactNetwork:
    """The network with some bits of its weights as their cells hold them; accumulators as the worst case needs.

    held: by layer. Raises HardwareError for bits that are not of the shape of a layer's weights.
    """
    from fewbits.bitexact import BitExactNetwork

    for layer in network.layers:
        if layer.name in held and held[layer.name].mask.shape != layer.weight.shape:
            raise HardwareError(f"layer {layer.name!r}: held bits are not of the shape of its weights")
    layers = {layer.name: _holding(layer, held[layer.name]) for layer in network.layers if layer.name in held}
    operations = tuple(layers.get(operation.name, operation) for operation in network.operations)
    return BitExactNetwork(operations, network.precision, network.input_shape, network.product_bits, network.sum_order)


class FaultyInputs:
    """A bit-exact network whose memory of inputs has wrong bits: each layer reads its inputs through them.

    Every tensor that a layer reads lies in cells of its own, the images' codes too. Padding is stored nowhere.
    """

    def __init__(self, network: BitExactNetwork, rate: float, seed: int = 0) -> None:
        """rate: chance of each stored bit to be wrong. Raises HardwareError for a rate outside 0 to 1."""
        from fewbits.bitexact.mixed import MixedExecutor

        _check_draw(rate, seed)
        self._network = network
        self._executor = MixedExecutor(network.operations, network.sum_order)
        generator = np.random.default_rng(seed)
        shapes = {operation.name: operation.output_shape for operation in network.operations}
        self._read: dict[str, Callable[[Any], Any]] = {}
        for layer in network.layers:
            (stored,) = layer.inputs
            if stored in self._read:
                continue
            width = layer.input_format.bits
            mask = _mask(shapes[stored], width, range(width), rate, generator)
            if mask.any():
                self._read[stored] = _reader(layer.input_format, mask)

    def predict(self, images: Tensor) -> Tensor:
        """Class of each image, int64; images as for `BitExactNetwork.run`."""
        import torch

        size = self._executor.batch_size
        parts = [self._classes(images[start : start + size]) for start in range(0, max(1, len(images)), size)]
        return torch.cat(parts)

    def _classes(self, images: Tensor) -> Tensor:
        from fewbits.bitexact.exact_arithmetic import exact_arithmetic
        from fewbits.bitexact.network import exact_values

        with exact_arithmetic("cpu"):
            logits = exact_values(self._executor.logits(images, self._read))
        return classes_of(logits)


def classes_of(logits: Any) -> Tensor:
    """The first largest of each image's logits: a tensor's, or Python integers'."""
    import torch

    return logits.argmax(dim=1) if isinstance(logits, torch.Tensor) else torch.from_numpy(np.argmax(logits, axis=1))


def predicted(predict: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Classes of images, `OVERFLOWN` for one of which a sum leaves float32: such a sum is no number to compare."""
    import torch

    try:
        return predict(images)
    except ModelError:  # of a float executor; a sound network has computed the same images before
        if len(images) == 1:
            return torch.tensor([OVERFLOWN])
    half = len(images) // 2
    return torch.cat([predicted(predict, images[:half]), predicted(predict, images[half:])])


def _check_draw(rate: float, seed: int) -> None:
    if not is_real(rate, 0, 1):
        raise HardwareError(f"a bit error rate is a number from 0 to 1, not {shown(rate)}")
    if not is_integer(seed, 0):
        raise HardwareError(f"a seed is an integer from 0, not {shown(seed)}")


def _allowed(layer: Layer, bits: Sequence[int]) -> Sequence[int]:
    """The positions, checked."""
    name, width = layer.weight_format.name, layer.weight_format.bits
    wrong = [bit for bit in bits if not is_integer(bit, 0, width - 1)]
    if wrong or not bits:
        what = shown(wrong[0]) if wrong else "none"
        raise HardwareError(f"layer {layer.name!r}: a code of {name} has bits 0 to {width - 1}, not {what}")
    if layer.weight.scale.multiplier_bits:
        raise HardwareError(
            f"layer {layer.name!r}: bits of {name} weights are not made wrong: its numbers hold factors of their own; "
            "give weights such as fixed8, of a recipe without multipliers"
        )
    return bits


def _mask(
    shape: tuple[int, ...], width: int, allowed: Sequence[int], rate: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    drawn = generator.random((*shape, width)) < rate
    chosen = np.isin(np.arange(width), list(allowed))
    return ((drawn & chosen) << np.arange(width)).sum(axis=-1)


def _holding(layer: Layer, held: HeldBits) -> Layer:
    import torch

    own = layer.weight.number_format
    codes = torch.from_numpy((layer.weight.codes.astype(np.int64) & ~held.mask) | held.values)
    weight = Encoded(own.read_codes(codes).numpy(), own.read_as, layer.weight.scale)
    return replace(layer, weight=weight, accumulator_bits=layer.worst_case_accumulator_bits)


def _reader(number_format: Format, mask: NDArray[np.int64]) -> Callable[[Any], Any]:
    """What the memory gives back for numbers of a format that were written."""
    import torch

    wrong = torch.from_numpy(mask)

    def read(numbers: Any) -> Any:
        written = numbers if isinstance(numbers, torch.Tensor) else torch.from_numpy(numbers)
        codes = number_format.code_numbers(written.to(torch.float64)) ^ wrong
        found = number_format.read_numbers(codes).to(written.dtype)
        return found if isinstance(numbers, torch.Tensor) else found.numpy()

    return read
