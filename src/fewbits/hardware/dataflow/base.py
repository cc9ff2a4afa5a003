"""The contract of a dataflow: what it says so that networks can be costed on it, and what it may say beside that.

A dataflow decides which loops of a layer run in space, which in time, and what each memory keeps. An *accelerator* is a
dataflow with its sizes, memories and clock: a frozen dataclass that the dataflow defines (`Dataflow.sizes`), with the
properties of `AnyAccelerator`. The datapaths are those of a technology table (`DatapathCost`: one neuron or processing
element); the dataflow says which (`datapath_key`), and how many of them, or what part of them, is on the chip.

Required: `memories`, `schedule`, `datapaths`, `products_per_cycle`, `outputs_per_cycle`, `area_basis`. With defaults:
`presets`, `check`, `datapath_key`, `describe`, `logic`, `control`, `mapped`, `sum_order`, notes. Capabilities, None
where a dataflow has none: `operand_stream`, `rtl`, `compiler`, `simulator`, `circuit_parts`; `needed` gives one of
them, or raises the sentence that says that it lacks.

A dataflow from outside is an instance named in the entry points `fewbits.dataflows`; see docs/extending.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.loops.description import LoopAccelerator
from fewbits.hardware.dataflow.plan import AnyAccelerator, Schedule, Widths
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import ComponentCost, ControlCost, DatapathCost, Technology
from fewbits.hardware.workload.workload import LayerShape, Workload
from fewbits.toml_table import nearest

if TYPE_CHECKING:
    import numpy as np

    from fewbits.bitexact import BitExactNetwork
    from fewbits.bitexact.sum_order import SumOrder
    from fewbits.graph.operations import Layer
    from fewbits.hardware.activity.toggles import Stimulus
    from fewbits.hardware.datapath.neuron_design import NeuronDesign

A = TypeVar("A", bound=AnyAccelerator)

Holds = Literal["inputs", "weights", "outputs", "sums"]

Capability = Literal["operand_stream", "rtl", "compiler", "simulator", "circuit_parts"]


@dataclass(frozen=True)
class Memory:
    """One memory on the chip, composed of the technology's macros."""

    name: str
    """Under which the schedule counts its accesses, and figures show it."""

    holds: Holds
    """Values of a layer's input format, of its weights', or of its output's: narrower ones are unpacked before they are
    written (outputs: packed behind a read). Sums are accumulators at full width, whatever the formats."""

    rows: int
    row_bits: int
    ports: int = 2
    """Accesses in one cycle: by default a row is written while another is read, or transfers could not overlap with
    computation."""

    banks: int = 1
    """Memories that its rows are interleaved over: each has macros of its own."""

    instances: int = 1
    """How many there are; a schedule counts the accesses of all of them together."""


@dataclass(frozen=True)
class CircuitPart:
    """A part of an accelerator's circuit that is synthesized by itself."""

    name: str
    instances: int
    top: str
    """Its top module."""

    rtlil: Callable[[], str]
    """The circuit as RTLIL, made when it is asked for."""

    memory: tuple[int, int] | None = None
    """Rows and bits of a row, if it is a memory that writes one row while it reads another, and nothing else."""


@dataclass(frozen=True)
class AccessCosts:
    """What a mapping is chosen by: energies of the chip that it is chosen for."""

    product_pj: float
    """Of a product with its addition."""

    reads_pj: Mapping[str, float]
    """Of a row, by the memory's name."""

    writes_pj: Mapping[str, float]
    off_chip_pj_per_bit: float
    widths: Mapping[str, Widths]
    """Of values as they are stored, by the layer's name."""


class OperandStream(Protocol):
    """A stretch of a layer's operands in the order in which one datapath takes them, for switching activity."""

    def __call__(
        self,
        network: BitExactNetwork,
        layer: Layer,
        values: object,
        design: NeuronDesign,
        accelerator: Any,
        ports: dict[str, Any],
        images: int,
        generator: np.random.Generator,
        blocks: int,
    ) -> Stimulus:
        """The stimulus of the datapath's netlist.

        values: what the layer takes of each image. ports: of the netlist, as its `EnergyModel` has them. generator:
        draws the places. blocks: stretches of BLOCK_CYCLES cycles for each image.
        """
        ...


_WITHOUT: Mapping[Capability, str] = {
    "operand_stream": "no order of operands for switching activity: leave the network's own activity out",
    "rtl": "no circuit that could be written: choose an accelerator of another dataflow",
    "compiler": "no compiler of networks: choose an accelerator of another dataflow",
    "simulator": "no simulator: choose an accelerator of another dataflow",
    "circuit_parts": "no circuit to count the resources of on an FPGA: choose an accelerator of another dataflow",
}


class Dataflow(ABC, Generic[A]):
    """One dataflow, for accelerators of its sizes. It holds no state: one instance serves all of them."""

    name: str
    """As accelerators name it (`AnyAccelerator.dataflow`)."""

    sizes: type[A]
    """The class of its accelerators; called with keywords, as JSON or a study gives them."""

    @property
    def presets(self) -> Mapping[str, A]:
        """Accelerators with a name of their own, such as `systolic-16x16`."""
        return {}

    # How an accelerator is made from a table of TOML or JSON.

    grid: tuple[str, ...] = ()
    """The sizes that a name such as `diannao-32x16` gives, in its order."""

    @property
    def takes_sizes(self) -> bool:
        """Whether an accelerator's name may give sizes."""
        return bool(self.grid)

    options: Mapping[str, str] = {}
    """The sizes that the command line's `neurons`, `synapses` and `rows` give, as far as there are such."""

    def read(self, table: Mapping[str, Any], source: str = "") -> A:
        """The accelerator of a table without its key `dataflow`; `name` is taken where its class has one.

        source: named in messages, empty for none. Raises HardwareError in one line that names the key.
        """
        named = f"{source}: " if source else ""
        allowed = [field.name for field in fields(cast("Any", self.sizes))]
        values = dict(table)
        if "name" not in allowed:
            values.pop("name", None)
        if unknown := [key for key in values if key not in allowed]:
            raise HardwareError(
                f"{named}unknown key {shown(unknown[0])}: an accelerator of the dataflow {self.name!r} has "
                f"{', '.join(allowed)}{nearest(unknown[0], allowed)}"
            )
        try:
            return self.sizes(**values)
        except TypeError as error:  # a key without a default is missing, or a value is of another type
            raise HardwareError(f"{named}{error}") from None
        except HardwareError as error:
            raise HardwareError(f"{named}{error}") from None

    def resized(self, table: Mapping[str, Any], sizes: Sequence[int], name: str) -> dict[str, Any]:
        """A table, without its key `dataflow`, with the sizes of a name such as `diannao-32x16`.

        Raises HardwareError, with the accelerator's name, if it has not as many.
        """
        if len(sizes) != len(self.grid):
            has = f"takes {len(self.grid)}, {' x '.join(self.grid)}" if self.grid else "has no sizes in its name"
            raise HardwareError(f"accelerator {name!r}: the dataflow {self.name!r} {has}; {len(sizes)} were given")
        return {**table, **dict(zip(self.grid, sizes, strict=True))}

    # What is on the chip.

    @abstractmethod
    def memories(self, accelerator: A, widths: Widths) -> tuple[Memory, ...]:
        """The memories between the chip's border and the datapaths, in the order in which figures show them.

        widths: of the datapath, in bits.
        """

    @abstractmethod
    def datapaths(self, accelerator: A) -> int:
        """How many there are: each is busy in every busy cycle of a layer with products."""

    @abstractmethod
    def products_per_cycle(self, accelerator: A) -> int:
        """Most products that start in one cycle, of all datapaths together."""

    @abstractmethod
    def outputs_per_cycle(self, accelerator: A) -> int:
        """Most sums that leave the datapaths in one cycle: as many circuits scale and round them."""

    def check(self, accelerator: A, table: Technology) -> None:
        """Raise HardwareError if a table's datapaths do not make this accelerator."""

    def datapath_key(self, asked: DatapathKey, accelerator: A) -> DatapathKey:
        """The characterized datapath that the accelerator is made of.

        asked: precision, multiplier and product width.
        """
        return asked

    def split(self, accelerator: A, products: int) -> A:
        """The accelerator as layers are scheduled on it where each lane of a datapath makes so many products a cycle.

        Raises HardwareError for more than one where the dataflow has no neurons whose lanes split.
        """
        if products == 1:
            return accelerator
        raise HardwareError(
            f"the dataflow {self.name!r} has no neurons whose lanes make {products} products a cycle: take DianNao's "
            "accelerator, or datapaths that do not split"
        )

    def describe(self, accelerator: A) -> LoopAccelerator | None:
        """The accelerator as loops and memories, for drawings; None where the dataflow does not say."""
        return None

    def logic(self, datapath: DatapathCost, accelerator: A) -> dict[str, ComponentCost]:
        """All datapaths together: cells, um2, uW and pJ of a busy cycle, by the characterized datapath's components."""
        return {name: scaled(one, self.datapaths(accelerator)) for name, one in datapath.components.items()}

    def control(self, datapath: DatapathCost, design: NeuronDesign, accelerator: A) -> ControlCost | None:
        """All logic but datapaths and memories; None where it is not characterized, and not counted."""
        return None

    @abstractmethod
    def area_basis(self, accelerator: A) -> str:
        """What the chip's area counts, in sentences for a report."""

    # What a network does on it.

    @abstractmethod
    def schedule(self, workload: Workload, accelerator: A, design: NeuronDesign) -> Schedule:
        """Cycles, accesses of each of `memories` and transfers of every layer, for one image.

        Raises HardwareError, naming the layer, for what the dataflow does not compute.
        """

    def mapped(self, workload: Workload, accelerator: A, design: NeuronDesign, costs: AccessCosts) -> Schedule:
        """The schedule where the dataflow has a choice: the best by these costs. By default there is none."""
        return self.schedule(workload, accelerator, design)

    def size_notes(self, name: str, datapath: DatapathCost, accelerator: A) -> Iterable[str]:
        """What of the chip's figures is an estimate, or of another size than asked for. name: of the datapath."""
        return ()

    def layer_notes(self, workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign) -> Iterable[str]:
        """What of the layers' figures is left out, or cannot be built.

        designs: of the datapath that computes each layer, by the layer's name; main: of the network's precision.
        """
        return ()

    # What it may have beside that.

    def sum_order(self, accelerator: A) -> SumOrder | None:
        """The order in which an output's float products are added, as `bitexact` takes it; None if it is not told."""
        return None

    def check_sum_order(self, order: SumOrder | None, design: NeuronDesign, accelerator: A) -> None:
        """Raise HardwareError if the accelerator rounds a float network's sums otherwise than the network does.

        order: of the bit-exact network; None of what has none.
        """
        own = None if order is None or not design.sums_depend_on_order else self.sum_order(accelerator)
        if own is not None and order != own:
            raise HardwareError(
                f"the bit-exact network adds floats {order}, and the dataflow {self.name!r} would round its sums "
                f"otherwise, {own}: lower it with sum_order=SumOrder({own.products}), or give integers"
            )

    @property
    def operand_stream(self) -> OperandStream | None:
        """The order in which a datapath takes a layer's operands."""
        return None

    @property
    def rtl(self) -> Callable[..., tuple[Path, ...]] | None:
        """Writes the circuit of a precision to a folder; called as `diannao.export.export_verilog`."""
        return None

    @property
    def compiler(self) -> Callable[..., Any] | None:
        """The program of a bit-exact network; called with network, design and accelerator."""
        return None

    @property
    def simulator(self) -> Callable[..., Any] | None:
        """Makes a simulator of the circuit; called with design and accelerator."""
        return None

    @property
    def circuit_parts(self) -> Callable[..., tuple[CircuitPart, ...]] | None:
        """What its circuit is made of, for counts of resources; called with design and accelerator. The parts that are
        multiplied come first.
        """
        return None

    def needed(self, capability: Capability) -> Any:
        """A capability. Raises HardwareError, in a sentence, where the dataflow has none."""
        found = getattr(self, capability)
        if found is None:
            raise HardwareError(f"the dataflow {self.name!r} has {_WITHOUT[capability]}")
        return found


def scaled(cost: ComponentCost, times: float) -> ComponentCost:
    """So many of a component, or such a part of it."""
    return replace(
        cost,
        cells=round(cost.cells * times),
        area_um2=cost.area_um2 * times,
        leakage_uw=cost.leakage_uw * times,
        energy_pj=cost.energy_pj * times,
    )


def named(layers: Sequence[LayerShape]) -> str:
    """Up to three names, and how many more."""
    names = ", ".join(repr(layer.name) for layer in layers[:3])
    return names + (f" and {len(layers) - 3} more" if len(layers) > 3 else "")
