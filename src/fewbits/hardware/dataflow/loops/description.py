"""An accelerator described by its loops: the array in space, the memories around it, the border of the chip.

A layer is seven loops: B (images), K (output channels), C (input channels), OY and OX (output rows and columns), FY and
FX (rows and columns of the kernel). Grouped layers run them once for each group. A description says which loops run in
space and how far, which memory holds which operand, and may fix the loops that run in time above each memory. What it
leaves open, the mapper chooses (`mapper`).

The words are those of ZigZag (Mei et al., IEEE TC 2021) and Timeloop (Parashar et al., ISPASS 2019). A field's name is
its key in a TOML file, where `memories` are `[[memory]]`; ranges stand at the fields, `soundness` has what several of
them must be together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field

from fewbits.hardware.dataflow.loops.soundness import check

LOOPS = "loops"
"""Name of the dataflow of these accelerators."""

LARGEST = 1 << 24
"""Of each size, as of a DianNao-like tile (`accelerator.LARGEST`), and of the multipliers of an array."""

Loop = Literal["B", "K", "C", "OY", "OX", "FY", "FX"]

Operand = Literal["inputs", "weights", "outputs"]

Forwarding = Literal["multicast", "systolic", "unicast"]
"""How an operand reaches the elements along an axis: all at once; from neighbour to neighbour, one a cycle, so that the
array fills and drains; or each element by itself."""

Reduction = Literal["stay", "adder-tree", "systolic"]
"""What happens to products along an axis whose loops sum (C, FY, FX): each element keeps a sum of its own, a tree adds
them in a cycle, or partial sums move from neighbour to neighbour, one a cycle."""

Objective = Literal["energy", "cycles", "energy-cycles"]
"""What the mapper minimizes; the last is their product."""

RELEVANT: Mapping[Operand, frozenset[Loop]] = {
    "inputs": frozenset({"B", "C", "OY", "OX", "FY", "FX"}),
    "weights": frozenset({"K", "C", "FY", "FX"}),
    "outputs": frozenset({"B", "K", "OY", "OX"}),
}
"""The loops that choose an operand's values; along the others they are used again."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it takes a line of text, no control characters")
    return text


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=60)]
Words = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
Size = Annotated[int, Field(ge=1, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Energy = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


@dataclass(frozen=True)
class Axis:
    """One axis of the array: loops that run in space along it."""

    name: Name
    size: Size
    """Elements along it."""

    loops: Annotated[tuple[Loop, ...], Field(min_length=1, max_length=7)]
    """That may be unrolled along it."""

    unroll: Mapping[Loop, Size] = field(default_factory=dict[Loop, int], hash=False)
    """How far, where that is fixed; the mapper chooses the others, their product at most `size`."""

    flat: bool = False
    """Whether the loops run along it as one index, as im2col has them: steps are ceil(product / size)."""

    inputs: Forwarding = "multicast"
    weights: Forwarding = "multicast"
    outputs: Reduction = "stay"


@dataclass(frozen=True)
class LoopMemory:
    """One memory. Exactly one of `kib` and `values` tells its size, one of `row_bits` and `row_values` its width."""

    name: Name
    holds: Annotated[tuple[Operand, ...], Field(min_length=1, max_length=3)]
    """Several share its size, its rows and its ports."""

    kib: Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)] | None = None
    """Size of one instance: a fixed one, in which narrower formats have more values."""

    values: Size | None = None
    """Size in values of the operand's format: a memory that is as wide as the format asks for."""

    row_bits: Size | None = None
    """Read or written in one access."""

    row_values: Size | None = None
    instances: Name = "array"
    """How many there are: one for the whole `array`, one for each `element`, or one for each place of the axis that is
    named."""

    ports: Annotated[int, Field(ge=1, le=64)] = 2
    """Accesses of one instance in one cycle."""

    banks: Annotated[int, Field(ge=1, le=65536)] = 1
    """Parts that are accessed side by side: a row each in a cycle."""

    double_buffered: bool = True
    """Whether it is filled while it is read: half of it holds a tile. Else the array waits for each transfer."""

    streamed: bool = False
    """Whether it is filled value by value while it is read, each in the place of one that is done with, as a queue or a
    sliding window is: a tile takes all of it, and the array does not wait. `double_buffered` does not matter then."""

    loops: Annotated[tuple[Loop, ...], Field(max_length=7)] = ()
    """That run in time directly above it, innermost first, as far as they are left; the mapper places the rest."""

    read_pj_per_bit: Energy | None = None
    write_pj_per_bit: Energy | None = None
    """As the accelerator's source states them; used where its own energies are asked for. None: the technology's."""

    @property
    def is_filled_while_read(self) -> bool:
        """Whether transfers from above overlap with the array's work."""
        return self.double_buffered or self.streamed

    @property
    def has_halves(self) -> bool:
        """Whether a tile takes half of it, while the other half is filled."""
        return self.double_buffered and not self.streamed


@dataclass(frozen=True)
class StatedEnergy:
    """Energies that an accelerator's source states, to hold the model against its figures; pJ."""

    bits: Annotated[int, Field(ge=1, le=64)]
    """Of the values that they are for."""

    product_pj: Energy
    idle_cycle_pj: Energy = 0.0
    """Of every cycle, whatever it does."""

    hop_pj: Energy = 0.0
    """Of a value handed over inside the array."""

    off_chip_pj: Energy = 0.0
    """Of a value to or from the memory beyond the border."""


@dataclass(frozen=True)
class LoopAccelerator:
    """An accelerator of the dataflow `loops`."""

    space: Annotated[tuple[Axis, ...], Field(min_length=1, max_length=4)]
    memories: Annotated[tuple[LoopMemory, ...], Field(min_length=1, max_length=16)]
    """Innermost first, for each operand; beyond the last is the memory off the chip."""

    clock_mhz: Positive = 250.0
    bandwidth: Positive | None = None
    """GB/s (10^9 bytes) between the chip and its memory; None for as much as the mapping needs."""

    pass_cycles: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    """Cycles that each pass of the array over its tile takes beside its products, such as a pipeline's depth."""

    one_pass_is_free: bool = False
    """Whether a layer of a single pass has none of these."""

    objective: Objective = "energy"
    stated: StatedEnergy | None = None
    source: Words = ""
    """Where the description is from."""

    unverified: Words = ""
    """What of it no public figure confirms; printed beside its figures."""

    name: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9 ._-]*)?$", max_length=60)] = field(
        default="", compare=False
    )
    """Under which it is printed: of a file that gives none, the file's."""

    def __post_init__(self) -> None:
        """Raise HardwareError, naming the key, for what is no accelerator."""
        check(self)

    @property
    def dataflow(self) -> str:
        """The name of its dataflow."""
        return LOOPS

    @property
    def elements(self) -> int:
        """Multipliers."""
        count = 1
        for axis in self.space:
            count *= axis.size
        return count

    def definition(self) -> dict[str, Any]:
        """What tells it from others, as JSON and TOML have it: without its name, and without what is a field's default,
        so that keys made of it stay valid when fields are added. `registry.accelerator_from` makes it again.
        """
        return {"dataflow": LOOPS, **_given(self)}


TOML_KEYS: Mapping[str, str] = {"memories": "memory"}
"""Of the fields that are called otherwise there."""


def _given(value: object) -> dict[str, Any]:
    """The fields that are not their defaults, by their keys in TOML; of tables too."""
    given: dict[str, Any] = {}
    for one in fields(cast("Any", value)):
        held = getattr(value, one.name)
        default = one.default if one.default_factory is MISSING else one.default_factory()
        is_given = default is MISSING or held != default or isinstance(held, bool) != isinstance(default, bool)
        if one.compare and is_given:
            given[TOML_KEYS.get(one.name, one.name)] = _plain(held)
    return given


def _plain(value: object) -> object:
    """A field's value in lists, tables, numbers and texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return _given(value)
    if isinstance(value, Mapping):
        return {name: _plain(held) for name, held in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(held) for held in cast("list[object]", value)]
    return value
