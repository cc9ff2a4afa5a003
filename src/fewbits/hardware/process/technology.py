"""The technology table: what one neuron's datapath and the SRAM macros cost, as characterized from liberty files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fewbits.arguments import is_real, shown
from fewbits.errors import FormatError, HardwareError
from fewbits.formats import Precision, parse_precision
from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES, DatapathKey

if TYPE_CHECKING:
    from fewbits.hardware.process.corners import Corner

TABLES = Path(__file__).parent / "tables"
"""Folder of the tables that the package ships."""

DEFAULT_TECHNOLOGY = "ihp-sg13g2"

LOGIC_COMPONENTS = ("multipliers", "adder_tree", "registers", "rest")
"""Parts that every datapath has; one with others declares all of them (`Datapath.components`). `registers` are all
flip-flops, wherever they lie; the other three are combinational: `rest` is the accumulator's adder, the output
rounding, ReLU and control."""

CONTROL_ACTIVITY = "LeNet's program on one digit, gate by gate, without glitches"
"""What the energies of a `ControlCost` rest on."""

FLIP_FLOPS = "flip-flops"
"""What the names and the sources of register files begin with."""

GIVEN_NOTE = "note"
"""In a table's provenance: what its maker says of it, and each cost on it repeats (`characterize --note`)."""

_DIGITS = 7


@dataclass(frozen=True)
class ComponentCost:
    """One logic component of one neuron."""

    cells: int
    """Standard cells."""

    area_um2: float
    leakage_uw: float

    energy_pj: float
    """Dynamic energy of a clock cycle (internal and switching) at the datapath's `activity`."""


@dataclass(frozen=True)
class NeuronShare:
    """What each neuron adds to the control: registers of its weights, bias and result (`control.sizes`)."""

    cells: int
    registers: int
    area_um2: float
    leakage_uw: float
    computing_pj: float
    pooling_pj: float


@dataclass(frozen=True)
class ControlCost:
    """All of the accelerator but neurons and buffers, for 16 neurons and 64 rows (`control.cost`)."""

    cells: int
    registers: int
    """Flip-flops among the cells."""

    area_um2: float
    leakage_uw: float
    longest_path_ns: float
    clock_mhz: float
    """As of `DatapathCost`."""

    computing_pj: float
    """Of a cycle of a layer with weights, the clock pins in it."""

    pooling_pj: float
    """Of a cycle of a pooling layer."""

    clock_tree_pj: float
    """Of a cycle: the estimated tree over its registers, in neither of the two."""

    each_neuron: NeuronShare | None = None
    """The part of it that goes with the neurons; None in tables that were made before it was measured."""


@dataclass(frozen=True)
class DatapathCost:
    """One datapath, a neuron or a processing element (`DatapathKey`), synthesized on the technology."""

    precision: str
    """Its name, printed from its `DatapathKey`."""

    components: dict[str, ComponentCost]
    """By name, those that the datapath declares."""

    cell_counts: dict[str, int]
    """Number of cells by cell name."""

    accumulator_bits: int
    longest_path_ns: float
    """Longest register-to-register path with setup, from `timing`."""

    clock_mhz: float
    """The clock it is used at: the target if the longest path allows, else what it reaches."""

    meets_target: bool
    pipeline_stages: int
    """Cycles from operands at the inputs to the rounded output."""

    accumulate_cycles: int
    """Cycles from one addition's start until its sum can be added to (1 for integers). The schedule interleaves
    this many independent outputs."""

    multiplier: str
    """Architecture in words: `booth radix-4`, `shifter`, `sign selection`, `float32`."""

    activity: float
    """Mean toggles of a data net per cycle behind `energy_pj`."""

    pipelining: str = "standard"
    """Where it has registers: one of `rtl.pipelining.PIPELININGS`, chosen for the target clock."""

    path_end: str = ""
    """The part that its longest path ends in, such as `accumulator`; empty in tables made before it was kept."""

    control: ControlCost | None = None
    """What surrounds such neurons; None where it was not characterized, and is not counted."""

    synapses: int = DEFAULT_SYNAPSES
    """Products that it adds in a cycle; in a table's text only where it is another number."""


@dataclass(frozen=True)
class MacroCost:
    """One SRAM macro."""

    name: str
    rows: int
    bits: int
    ports: int
    area_um2: float
    read_energy_pj: float
    write_energy_pj: float
    leakage_uw: float
    access_ns: float
    """From the clock's edge to the data of a read; 0 where it is not known."""

    cycle_energy_pj: float = 0.0
    """Of every cycle, accessed or not, to which an access adds its own; 0 for an SRAM, which spends nothing then."""

    source: str = ""
    """Where its figures are from, beside the table's SRAM files: a datasheet, or flip-flops of a library."""

    @property
    def is_flip_flops(self) -> bool:
        """Whether it is a register file, synthesized of a library's flip-flops."""
        return self.source.startswith(FLIP_FLOPS)


@dataclass(frozen=True)
class ReadPath:
    """What a row passes between its macro and the operand register, in the period of the read (`read_path`)."""

    setup_ns: float
    """Of the operand register."""

    selection_ns: float
    """Of one two-to-one selection among banks; 0 where it is not known."""


@dataclass(frozen=True)
class PackingCost:
    """A circuit between values of a narrower format in memory and the datapath's words (`packing`)."""

    area_um2: float
    leakage_uw: float
    energy_pj: float
    """Dynamic energy as a row passes."""


@dataclass(frozen=True)
class ConversionCost:
    """A circuit that converts one value a cycle from one set of codes to another (`datapath.conversions`)."""

    source: str
    """A format, or `integer31` for an accumulator of 31 bits."""

    target: str
    """A format."""

    is_exact: bool
    """As of `Conversion`."""

    area_um2: float
    leakage_uw: float
    energy_pj: float
    """Dynamic energy as a value passes, the clock pins of the registers that it passes in it."""

    longest_path_ns: float
    latency: int
    """Cycles from a value to its new code."""

    cells: int
    rtlil_sha256: str
    """Of the RTLIL that its netlist was made from."""


@dataclass(frozen=True)
class Technology:
    """Everything that a cost rests on: datapaths by precision, SRAM macros, and where both come from."""

    name: str
    process: str
    voltage_v: float
    temperature_c: float
    target_clock_mhz: float
    datapaths: dict[str, DatapathCost]
    macros: tuple[MacroCost, ...]
    provenance: dict[str, str]
    """What made the table, from what, with which versions and hashes."""

    read_path: ReadPath | None = None
    """None in tables that were made before it was measured."""

    packing: dict[str, PackingCost] | None = None
    """Of a bit: `selection` and `saturation`; None in tables that were made before they were measured."""

    conversions: dict[str, ConversionCost] = field(default_factory=dict[str, ConversionCost])
    """By the name of the conversion (`datapath.conversions.Conversion`); in a table's text only where it has any."""

    corners: dict[str, Corner] = field(default_factory=dict[str, "Corner"])
    """The same netlists at other corners, by name, from the file beside the table (`corners_file`)."""

    def find(self, wanted: DatapathKey | Precision | str) -> DatapathCost | None:
        """A datapath by its key, by a precision, or by its name; None where the table lacks it."""
        named = wanted.plain if isinstance(wanted, Precision) else wanted
        return self.datapaths.get(named if isinstance(named, str) else named.name)

    def datapath(self, wanted: DatapathKey | Precision | str) -> DatapathCost:
        """A datapath as of `find`; raises HardwareError that lists those in the table."""
        found = self.find(wanted)
        if found is None:
            raise HardwareError(
                f"technology {self.name} has no datapath for {str(wanted)!r}, it has {self.told_datapaths}: "
                "use one of these, or add it with fewbits characterize"
            )
        return found

    @property
    def told_datapaths(self) -> str:
        """Names of its datapaths in a line, each at DEFAULT_SYNAPSES alone."""
        return ", ".join(name for name, one in self.datapaths.items() if one.synapses == DEFAULT_SYNAPSES)

    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that it has a datapath of with Booth multipliers and whole products."""
        return self._precisions

    @cached_property
    def _precisions(self) -> tuple[Precision, ...]:
        """Read once: every name that is none, such as one with its synapses, is compared with all formats' names."""
        found: list[Precision] = []
        for name in self.datapaths:
            try:
                found.append(parse_precision(name))
            except FormatError:  # a variant of another, or of a format that is not installed here
                continue
        return tuple(found)

    def figures(self) -> dict[str, Any]:
        """The table as JSON has it: all but its corners, which have a file of their own.

        A datapath of the size that every table had before there were others does not tell it.
        """
        found = asdict(replace(self, corners={}))
        del found["corners"]
        if not self.conversions:
            del found["conversions"]
        for entry in found["datapaths"].values():
            if entry["synapses"] == DEFAULT_SYNAPSES:
                del entry["synapses"]
        return found

    def save(self, path: Path | str) -> None:
        """Write the table as JSON: to a temporary name beside `path`, then renamed; its corners to the file beside it.

        Raises HardwareError if the folder cannot be written.
        """
        path = Path(path)
        temporary = path.with_name(f".{path.name}.part")
        try:
            temporary.write_text(json.dumps(self.figures(), indent=1) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise HardwareError(f"cannot write the technology table {path}: {error.strerror}") from None
        if self.corners:
            from fewbits.hardware.process.corners_file import corners_path, load_corners, save_corners

            if load_corners(corners_path(path)) != self.corners:
                save_corners(self.corners, corners_path(path), {"table": self.name})


def rounded(value: float) -> float:
    """To as many digits as carry meaning, so that a remade table is the same text."""
    return float(f"{value:.{_DIGITS}g}")


def shipped_technologies() -> list[str]:
    """Names of the tables that the package ships."""
    return sorted(path.stem for path in TABLES.glob("*.json") if "." not in path.stem)


def load_technology(name_or_path: str | Path = DEFAULT_TECHNOLOGY) -> Technology:
    """Load a shipped table by its name, or any table by its path, with the corners in the file beside it.

    Behind the name it may say the figures of what: `NAME@65nm` is the table scaled to 65 nm, `NAME@slow` the table at a
    corner, `NAME@1.1V` at a voltage between corners; `NAME@65nm@slow` both.
    Raises HardwareError for an unknown name, a missing file, a file that is no complete technology table, a node that
    cannot be scaled to, a corner that the table lacks, or a voltage outside of its corners'.
    """
    name, at, figures_of = str(name_or_path).rpartition("@")
    if at and not Path(name_or_path).exists():
        return _at(load_technology(name), figures_of)
    shipped = TABLES / f"{name_or_path}.json"
    path = shipped if str(name_or_path) in shipped_technologies() else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HardwareError(
            f"no technology {str(name_or_path)!r}: {error.strerror}; use {', '.join(shipped_technologies())} or the "
            "path of a table made by fewbits characterize"
        ) from None
    except UnicodeDecodeError:
        raise HardwareError(f"{path} is not a technology table: it is not text") from None
    try:
        table = _technology(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HardwareError(
            f"{path} is not a complete technology table: {reason}; make it anew with fewbits characterize"
        ) from None
    from fewbits.hardware.process.corners_file import corners_path, load_corners  # which build on this module

    return replace(table, corners=load_corners(corners_path(path)))


def _at(table: Technology, figures_of: str) -> Technology:
    """A table at a node (`65nm`), a voltage (`1.1V`) or a corner (`slow`)."""
    quantity = re.fullmatch(r"(\d+(?:\.\d+)?)(nm|V)", figures_of)
    if quantity is None:
        from fewbits.hardware.process.corners import at_corner  # these build on this module

        return at_corner(table, figures_of)
    if quantity[2] == "nm":
        from fewbits.hardware.process.scaling import scale

        return scale(table, float(quantity[1]))
    from fewbits.hardware.process.operating_points import at_voltage

    return at_voltage(table, float(quantity[1]))


def _technology(raw: object) -> Technology:
    """Build the table from parsed JSON; raises TypeError or ValueError where a field is missing, unknown or wrong."""
    table = checked_fields(Technology, raw)
    if "corners" in table:
        raise ValueError("a table's corners lie in a file of their own")
    table["datapaths"] = {name: _datapath(name, entry) for name, entry in _entries(table["datapaths"])}
    if not all(isinstance(text, str) for _, text in _entries(table["provenance"])):
        raise TypeError("provenance must be texts")
    if not isinstance(table["macros"], list):
        raise TypeError("macros must be a list")
    table["macros"] = tuple(
        MacroCost(**checked_fields(MacroCost, macro)) for macro in cast("list[object]", table["macros"])
    )
    if table.get("read_path") is not None:
        table["read_path"] = ReadPath(**checked_fields(ReadPath, table["read_path"]))
    if table.get("packing") is not None:
        table["packing"] = {
            name: PackingCost(**checked_fields(PackingCost, cost)) for name, cost in _entries(table["packing"])
        }
        if set(table["packing"]) != {"selection", "saturation"}:
            raise ValueError("packing needs a selection and a saturation")
    table["conversions"] = {
        name: ConversionCost(**checked_fields(ConversionCost, cost))
        for name, cost in _entries(table.get("conversions", {}))
    }
    return Technology(**table)


def _datapath(name: str, raw: object) -> DatapathCost:
    entry = checked_fields(DatapathCost, raw)
    if entry["precision"] != name:
        raise ValueError(f"datapath {name!r} says that its precision is {entry['precision']!r}")
    entry["components"] = {
        part: ComponentCost(**checked_fields(ComponentCost, cost)) for part, cost in _entries(entry["components"])
    }
    if not set(entry["components"]) >= set(LOGIC_COMPONENTS):
        raise ValueError(f"datapath {name!r} needs the components {', '.join(LOGIC_COMPONENTS)}")
    if entry.get("control") is not None:
        control = checked_fields(ControlCost, entry["control"])
        if control.get("each_neuron") is not None:
            control["each_neuron"] = NeuronShare(**checked_fields(NeuronShare, control["each_neuron"]))
        entry["control"] = ControlCost(**control)
    return DatapathCost(**entry)


SMALLEST, LARGEST = 1e-9, 1e15
"""Of figures that cannot be 0, and of all: a square metre has 1e12 um2, a microjoule 1e6 pJ."""

ZERO_KELVIN_C = 273.15

_ABOVE_ZERO = frozenset(
    {
        *("clock_mhz", "target_clock_mhz", "voltage_v", "longest_path_ns", "rows", "bits", "ports"),
        *("accumulator_bits", "pipeline_stages", "accumulate_cycles", "synapses"),
    }
)
"""Figures that others are divided by, or sizes of something that is there."""

_PLAIN_TYPES = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}


def checked_fields(kind: type, raw: object) -> dict[str, Any]:
    """The fields of a dataclass from a JSON object, each of the right plain type, numbers finite and not negative."""
    if not isinstance(raw, dict):
        raise TypeError(f"{kind.__name__} must be an object")
    given = cast("dict[str, Any]", raw)
    wanted = {field.name: str(field.type) for field in fields(kind)}
    required = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in required if name not in given]:
        raise ValueError(f"{kind.__name__} lacks {', '.join(missing)}")
    if unknown := [name for name in given if name not in wanted]:
        raise ValueError(f"{kind.__name__} has an unknown field {unknown[0]!r}")
    for name, type_name in wanted.items():
        if name not in given:
            continue
        value = given[name]
        allowed = _PLAIN_TYPES.get(type_name)
        if allowed is not None and (
            not isinstance(value, allowed) or (type_name != "bool" and isinstance(value, bool))
        ):
            raise TypeError(f"{kind.__name__}.{name} must be a {type_name}, not {value!r}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        lowest = -ZERO_KELVIN_C if name == "temperature_c" else SMALLEST if name in _ABOVE_ZERO else 0
        if is_number and not is_real(value, lowest, LARGEST):
            raise ValueError(
                f"{kind.__name__}.{name} must be a number from {lowest:g} to {LARGEST:g}, not {shown(value)}"
            )
    return dict(given)


def _entries(raw: object) -> Iterator[tuple[str, object]]:
    if not isinstance(raw, dict):
        raise TypeError("datapaths, components and provenance must be objects")
    return iter(cast("dict[str, object]", raw).items())
