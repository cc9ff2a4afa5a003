"""The workload of a network: the shape of each layer that the accelerator computes, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fewbits.errors import HardwareError

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

    taken_at: frozenset[str | None] = frozenset()
    """Where any layer has a precision of its own: the precisions of the layers that take the result, None for the
    network's; empty for the last layer."""

    held_at: tuple[tuple[int, frozenset[str | None]], ...] = ()
    """There too: `held_values` by tensor, each with the precisions of the layers that take it, as `taken_at`."""

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
    def products(self) -> int:
        """Multiplications."""
        return self.weights * self.positions

    @property
    def weights(self) -> int:
        """Weights, biases not among them."""
        return self.neurons * self.synapses if self.has_weights else 0

    @property
    def biases(self) -> int:
        """Biases: one a neuron or none."""
        return self.neurons if self.has_bias else 0

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
        return self.neurons * self.positions


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
