"""What a datapath is: the contract that each strategy keeps, one file each; `strategies.strategy_for` chooses.

A strategy is a subclass of `Datapath`. It says which precisions it computes (`computes`), how wide its numbers are and
how many cycles its stages take, what it rounds to, which components its area and energy are told by, what it refuses
and why, and it builds its circuit. Whoever needs to know something that differs between datapaths asks it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.formats import Format, Precision
from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER, Accumulation, DatapathKey
from fewbits.hardware.process.technology import LOGIC_COMPONENTS
from fewbits.hardware.rtl.pipelining import DEFAULT, PIPELININGS, Pipelining
from fewbits.hardware.rtl.verilog import Header

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value
    from amaranth.lib.wiring import Component

    from fewbits.hardware.datapath.neuron import Neuron


@dataclass(frozen=True)
class Datapath(ABC):
    """The arithmetic of one neuron: `synapses` products, summed by a tree, accumulated, rounded to the output's format.

    Strategies add no fields: what differs between them follows from the precision.
    """

    precision: Precision
    synapses: int
    maximum_synapses: int
    """Largest layer (synapses of one output) whose sums can't overflow the accumulator."""

    architecture: str = DEFAULT_MULTIPLIER
    """Name of its kind of multiplier (`hardware/multipliers`), where anything is multiplied."""

    kept_product_bits: int | None = None
    """Width that products are truncated to; None leaves them whole."""

    pipelining: Pipelining = PIPELININGS[DEFAULT]
    """Where it has registers: one of its `pipelinings`."""

    components: ClassVar[tuple[str, ...]] = LOGIC_COMPONENTS
    """What its area and energy are told by, in the order of tables and charts: those that all datapaths have, its own
    among them, `rest` last: it bears what belongs to none."""

    accumulation: ClassVar[Accumulation]
    """What its sums are held in."""

    pipelinings: ClassVar[tuple[str, ...]]
    """Names of the options for its registers, from the fewest to the most."""

    sums_depend_on_order: ClassVar[bool]
    """Whether the same products in another order give another sum."""

    neurons_sum_windows: ClassVar[bool]
    """Whether the values of an average pass the neurons' adders, in their order; else a pooling stage sums them."""

    shift_is_signed: ClassVar[bool] = False
    """Whether the output's shift goes to the left, too."""

    limits: ClassVar[str] = ""
    """What operands must keep to, in sentences; empty where every code may come."""

    truncation_refusal: ClassVar[str | None] = None
    """Why products cannot be truncated, behind "products of fixed8"; None where they can."""

    average_refusal: ClassVar[str | None] = None
    """Why no average pooling can be built, behind the layer's name; None where it can."""

    element_refusal: ClassVar[str | None] = None
    """Why no processing element has such arithmetic, as a sentence; None where one has."""

    @classmethod
    @abstractmethod
    def computes(cls, precision: Precision) -> bool:
        """Whether this strategy is the one of a precision; it is of one strategy at most."""

    @property
    def key(self) -> DatapathKey:
        """What names it."""
        return DatapathKey(self.precision, self.architecture, self.kept_product_bits, synapses=self.synapses)

    @property
    def name(self) -> str:
        """The precision's name, and what differs from a Booth multiplier with whole products."""
        return self.key.name

    @property
    def multiplier_made(self) -> MultiplierKind:
        """Its kind of multiplier."""
        return multiplier_kind(self.architecture)

    @property
    @abstractmethod
    def multiplier(self) -> str:
        """The multiplier's architecture and the product's width, in words."""

    @property
    def element_multiplier(self) -> str:
        """The same of a processing element (`processing_element`), whose products are one row each."""
        return self.multiplier

    @classmethod
    def component_of(cls, instance: str) -> str:
        """The component that the gates of a submodule belong to, by its instance's name, empty for the neuron's own."""
        starts = (("multiplier", "multipliers"), ("adder_tree", "adder_tree"))
        return next((name for start, name in starts if instance.startswith(start)), "rest")

    # Widths.

    @property
    @abstractmethod
    def full_product_bits(self) -> int:
        """Width of a whole product."""

    @property
    def product_bits(self) -> int:
        """Width of a product as it is summed: in full, or its top bits."""
        return self.full_product_bits if self.kept_product_bits is None else self.kept_product_bits

    @property
    def dropped_product_bits(self) -> int:
        """Bits that a product is truncated by: it becomes floor(weight * input / 2**dropped_product_bits)."""
        return self.full_product_bits - self.product_bits

    @property
    def tree_levels(self) -> int:
        """Levels of a binary tree over the synapses."""
        return (self.synapses - 1).bit_length()

    @property
    @abstractmethod
    def tree_bits(self) -> int:
        """Width of the tree's sum."""

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Width of the accumulator and of a bias."""

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """Bit ranges (from, to) of the accumulator that are added in turn, a cycle each, with the carry before it."""
        return ((0, self.accumulator_bits),)

    @property
    @abstractmethod
    def shift_bits(self) -> int:
        """Width of the output's shift amount; binary and float32 outputs ignore it."""

    @property
    def output_bits(self) -> int:
        """Width of an output, which is rounded to the format of the inputs."""
        return self.precision.inputs.bits

    def rounds_to(self, output: Format) -> bool:
        """Whether its output stage gives a format itself; for others its sums are converted (`conversions`)."""
        return output == self.precision.inputs

    # Ports.

    @property
    def products_per_lane(self) -> int:
        """Products that the lane of one of the `synapses` makes in a cycle."""
        return self.multiplier_made.products_per_lane(self.precision)

    @property
    def products_per_cycle(self) -> int:
        """Products of a chunk: what a neuron adds to an output's sum in a cycle."""
        return self.synapses * self.products_per_lane

    @property
    def weight_lane_bits(self) -> int:
        """Width of the weights' port for a lane, whose codes lie evenly in it, the first lowest."""
        return self.precision.weights.bits

    @property
    def weight_code_bits(self) -> int:
        """Room of a weight's code in its lane's port."""
        return self.weight_lane_bits // self.products_per_lane

    @property
    def input_lane_bits(self) -> int:
        """The same of the inputs' port."""
        return self.precision.inputs.bits

    @property
    def output_port_bits(self) -> int:
        """Of the output's port: its code, with its sign in the places above."""
        return self.output_bits

    @property
    def modes(self) -> tuple[Precision, ...]:
        """The precisions that its circuit computes, one in a layer."""
        return (self.precision,)

    def in_mode(self, mode: Precision) -> Self:
        """The same circuit at another of its precisions."""
        return replace(self, precision=mode)

    def address_lanes(self, synapses: int) -> int:
        """Values that an accelerator addresses and loads in a cycle. synapses: of the accelerator."""
        return synapses

    def operand_row(self, values: Value, settings: Mapping[str, Value]) -> Value:
        """The inputs' port from values as they are loaded, each in `output_port_bits`. settings: of the layer."""
        return values

    def pooled_values(self, inputs: Value) -> Value:
        """Codes of `output_bits` side by side from the inputs' port, one a lane, for what pools them."""
        return inputs

    def settings_for(self, output: Format | None) -> Mapping[str, int]:
        """`settings` of a layer whose results are of a format; None where they leave as sums."""
        return self.settings

    @property
    def settings(self) -> Mapping[str, int]:
        """Pins of one bit that hold for a layer, beside `shift` and `relu`: what each is for this precision."""
        return {}

    setting_words: ClassVar[Mapping[str, str]] = {}
    """What each of the settings tells, for whoever reads the Verilog."""

    # Cycles.

    @property
    @abstractmethod
    def multiply_stages(self) -> int:
        """Cycles from operands to products."""

    @property
    @abstractmethod
    def tree_stages(self) -> int:
        """Cycles from products to their sum."""

    @property
    @abstractmethod
    def accumulate_cycles(self) -> int:
        """Cycles until a sum can be added to."""

    @property
    @abstractmethod
    def output_stages(self) -> int:
        """Cycles from the accumulator to the output."""

    @property
    def bias_delay(self) -> int:
        """Cycles after the operands of a `first` chunk at which `bias` is read."""
        return self.multiply_stages + self.tree_stages

    @property
    def accumulator_delay(self) -> int:
        """Cycles after a chunk's operands at which the accumulator shows the sum with it."""
        return self.bias_delay + self.accumulate_cycles + len(self.segments) - 1

    @property
    def pipeline_stages(self) -> int:
        """Cycles from operands at the inputs to the rounded output."""
        return self.accumulator_delay + self.output_stages

    # Numbers.

    def takes(self, synapses: int) -> bool:
        """Whether the sums of a layer of so many synapses fit the accumulator, whatever they are."""
        return synapses <= self.maximum_synapses

    def lane_padding(self, synapses: int) -> int:
        """What the lanes beyond a layer's synapses, of codes 0, add to a sum: the bias is to be less by as much."""
        return 0

    def integer_products(self, weights: NDArray[Any], inputs: NDArray[Any]) -> NDArray[Any]:
        """Products of integers as the datapath makes them, from codes; shape of both, which broadcast.

        Python's integers where sums may leave int64.
        """
        import torch  # late: whoever asks has networks or vectors at hand

        kind = object if self.accumulator_bits > 63 else "int64"
        table = self.multiplier_made.table(self.precision)
        if table is not None:
            return table.values[weights, inputs].astype(kind)
        w = self.precision.weights.to_integers(torch.tensor(weights)).numpy().astype(kind)
        x = self.precision.inputs.to_integers(torch.tensor(inputs)).numpy().astype(kind)
        return w * x >> self.dropped_product_bits  # towards minus infinity

    @abstractmethod
    def accumulator_code(self, number: float) -> int:
        """What the accumulator holds for a number, as an integer; negative ones are for `accumulator_bits` to wrap."""

    @abstractmethod
    def accumulator_number(self, code: int) -> int | float:
        """The number that an accumulator's bits stand for."""

    @abstractmethod
    def output_shift(self, shift: int) -> int | None:
        """What the output's shift is set to for a layer that shifts right by so many places; None if it cannot."""

    def simulated_shift(self, shift: int) -> int:
        """What the output's shift is held at where a layer's switching activity is simulated."""
        return min(max(shift, 0), (1 << self.shift_bits) - 1)

    # Circuit.

    @property
    def circuit_refusal(self) -> str | None:
        """Why no circuit is built of this size, which may have a cost nevertheless; None where one is."""
        return None

    def check_circuit(self) -> None:
        """Raise HardwareError where there is no circuit of this size."""
        if self.circuit_refusal is not None:
            raise HardwareError(self.circuit_refusal)

    @abstractmethod
    def units(self) -> dict[str, Component]:
        """The modules that a neuron holds several instances of, by name."""

    @abstractmethod
    def unit_headers(self) -> Mapping[str, Header]:
        """What the units are, for whoever reads their Verilog."""

    @abstractmethod
    def connect(self, m: Module, neuron: Neuron, first: Value) -> None:
        """Build the neuron from operands to output. first: of the chunk at the accumulator."""

    @abstractmethod
    def exceeds(self, a: Value, b: Value) -> Value:
        """Whether an input's code stands for a larger number than another."""
