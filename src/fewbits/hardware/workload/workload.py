"""The workload of a network: the shape of each layer that the accelerator computes, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fewbits.errors import HardwareError
from fewbits.formats.switched_units import OUTPUTS_OF_A_UNIT, SYNAPSES_OF_A_CHUNK

Kind = Literal["convolution", "linear", "max-pool", "average-pool", "addition"]


@dataclass(frozen=True)
class Work:
    """What a kind of layer does."""

    has_weights: bool = False
    """Whether it multiplies; others take each channel by itself."""

    operands: int = 1
    """Tensors that it takes, of one size."""


WORK: dict[Kind, Work] = {
    "convolution": Work(has_weights=True),
    "linear": Work(has_weights=True),
    "max-pool": Work(),
    "average-pool": Work(),
    "addition": Work(operands=2),
}
"""All kinds of layers."""

Size = tuple[int, int]
"""Height and width; height 1 for one dimension, (1, 1) for a linear layer of one position."""


@dataclass(frozen=True)
class LayerShape:
    """One layer, for one image."""

    name: str
    kind: Kind
    input_channels: int
    """Channels, or features of a linear layer."""

    input_size: Size
    """Without padding."""

    neurons: int
    """Output channels or features, of all groups together."""

    output_size: Size
    kernel: Size = (1, 1)
    stride: Size = (1, 1)
    dilation: Size = (1, 1)
    groups: int = 1
    has_bias: bool = False
    has_channel_shifts: bool = False
    """Whether each output is rounded by a shift of its own, which is stored."""

    held_values: int = 0
    """Values of other tensors that wait in memory for a later layer: none in a chain."""

    precision: str | None = None
    """The name of its precision, if that is another than the network's; else None."""

    multiplier: str | None = None
    """The name of its multiplier, if a datapath of another one than the network's computes it; else None."""

    part_of: str = ""
    """The name of the layer that it is a part of, if products of that one are made in several ways (`switched_parts`).
    """

    whole_precision: str | None = None
    """Of a part: the precision of the whole layer, at whose format the inputs are stored; None for the network's."""

    chunks: tuple[tuple[int, ...], ...] = ()
    """Of a part that takes some of the layer's synapses alone: the numbers of its chunks of 16, for each group of 16
    outputs; empty where it takes all."""

    resumed: int = 0
    """Of a part: outputs whose sums begin with what another part made of their other chunks."""

    handed_on: int = 0
    """Of a part: outputs whose sums another part goes on with, so that they are not rounded here."""

    taken_at: frozenset[str | None] = frozenset()
    """Where any layer has a precision of its own: the precisions of the layers that take the result, None for the
    network's; empty for the last layer."""

    held_at: tuple[tuple[int, frozenset[str | None]], ...] = ()
    """There too: `held_values` by tensor, each with the precisions of the layers that take it, as `taken_at`."""

    consumers: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The names of the layers with weights that take the result, behind pooling and additions; empty for the last."""

    held_for: tuple[tuple[int, frozenset[str]], ...] = field(default=(), compare=False, repr=False)
    """`held_values` by tensor, each with the names of the layers that take it, as `consumers`."""

    def __post_init__(self) -> None:
        geometry = (*self.input_size, *self.output_size, *self.kernel, *self.stride, *self.dilation)
        if min(self.input_channels, self.neurons, self.groups, *geometry) < 1:
            raise HardwareError(f"layer {self.name!r}: channels, sizes and groups must be positive, not {self}")
        if self.input_channels % self.groups or self.neurons % self.groups:
            raise HardwareError(
                f"layer {self.name!r}: {self.input_channels} inputs and {self.neurons} neurons cannot be divided into "
                f"{self.groups} groups"
            )

    @property
    def has_weights(self) -> bool:
        """Whether the layer multiplies; pooling and additions take each channel by itself."""
        return WORK[self.kind].has_weights

    @property
    def operands(self) -> int:
        """Tensors that the layer takes, of one size: two for an addition."""
        return WORK[self.kind].operands

    @property
    def positions(self) -> int:
        """Output positions."""
        return self.output_size[0] * self.output_size[1]

    @property
    def window(self) -> int:
        """Input positions that one output sees in each channel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def synapses(self) -> int:
        """Inputs that one output value is made from."""
        taken = self.input_channels // self.groups if self.has_weights else self.operands
        return taken * self.window

    @property
    def inputs_at(self) -> str | None:
        """The precision at whose format its inputs are stored: its own, of a part the whole layer's."""
        return self.whole_precision if self.part_of else self.precision

    @property
    def products(self) -> int:
        """Multiplications."""
        return self.weights * self.positions

    @property
    def weights(self) -> int:
        """Weights, biases not among them."""
        if self.chunks:
            return sum(self.outputs_of(group) * self.synapses_in(taken) for group, taken in enumerate(self.chunks))
        return self.neurons * self.synapses if self.has_weights else 0

    def outputs_of(self, group: int) -> int:
        """Outputs of a group of 16 of a part: fewer in the last one."""
        return min(OUTPUTS_OF_A_UNIT, self.neurons - group * OUTPUTS_OF_A_UNIT)

    def synapses_in(self, chunks: Iterable[int]) -> int:
        """Synapses of one output in chunks of 16: fewer in the layer's last one."""
        return sum(min(SYNAPSES_OF_A_CHUNK, self.synapses - chunk * SYNAPSES_OF_A_CHUNK) for chunk in chunks)

    @property
    def biases(self) -> int:
        """Biases: one a neuron or none."""
        return self.neurons - self.resumed if self.has_bias else 0

    @property
    def channel_shifts(self) -> int:
        """Stored shifts: one an output or none."""
        return self.neurons if self.has_channel_shifts else 0

    @property
    def values_of_an_operand(self) -> int:
        """Values of one tensor that the layer reads."""
        return self.input_channels * self.input_size[0] * self.input_size[1]

    @property
    def input_values(self) -> int:
        """Values that the layer reads."""
        return self.values_of_an_operand * self.operands

    @property
    def output_values(self) -> int:
        """Values that the layer makes."""
        return (self.neurons - self.handed_on) * self.positions


def addition(name: str, shape: Sequence[int]) -> LayerShape:
    """The sum of two tensors of one shape: channels, then none, one or two dimensions."""
    channels, *along = shape
    height, width = (1, 1, *along)[-2:]
    return LayerShape(name, "addition", channels, (height, width), channels, (height, width))


@dataclass(frozen=True)
class Workload:
    """The layers of a network in the order in which the accelerator computes them, for one image."""

    layers: tuple[LayerShape, ...]

    precision: str | None = None
    """The precision's name, if the network has one."""

    concatenations: tuple[str, ...] = ()
    """Where tensors are joined, which takes no layer: names of the modules or functions."""

    end: str | None = None
    """Name of what ends the network behind its last layer or addition, if anything but reshaping does."""

    uncounted: tuple[str, ...] = ()
    """What of the network's operations no figure of a cost holds, a sentence each."""

    def __post_init__(self) -> None:
        if not any(layer.products for layer in self.layers):
            raise HardwareError("a workload needs at least one convolution or linear layer")

    @property
    def weights(self) -> int:
        """Weights of all layers."""
        return sum(layer.weights for layer in self.layers)

    @property
    def biases(self) -> int:
        """Biases of all layers."""
        return sum(layer.biases for layer in self.layers)

    @property
    def channel_shifts(self) -> int:
        """Shifts of outputs, of all layers."""
        return sum(layer.channel_shifts for layer in self.layers)

    @property
    def products(self) -> int:
        """Multiplications for one image."""
        return sum(layer.products for layer in self.layers)

    @property
    def largest_activations(self) -> int:
        """The most values that are held at a time: a layer's inputs and outputs, and what waits for later layers."""
        return max(layer.input_values + layer.output_values + layer.held_values for layer in self.layers)

    @property
    def own_precisions(self) -> dict[str, str]:
        """The precisions of the layers that have another than the network's, by the layer's name."""
        return {layer.name: layer.precision for layer in self.layers if layer.precision is not None}
