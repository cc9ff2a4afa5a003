"""Corners of a technology: the figures of the same netlists at other processes, voltages and temperatures.

They lie in a file of their own beside the table, `NAME.corners.json`, which `load_technology` joins. Area, cells and
cycles are those of the table, as the netlists are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace

from fewbits.errors import HardwareError
from fewbits.hardware.process.technology import (
    ControlCost,
    ConversionCost,
    DatapathCost,
    MacroCost,
    PackingCost,
    ReadPath,
    Technology,
)

TYPICAL = "typ"
"""The corner that a table itself is at."""

AT_CORNER = "at"
"""In the provenance of a table at a corner or at an operating point: which, and what is not of it."""


@dataclass(frozen=True)
class ControlAtCorner:
    """What a `ControlCost` says that depends on the corner, and the same of each neuron's share of it."""

    control_sha256: str
    """Of the RTLIL that its netlist was made from."""

    longest_path_ns: float
    leakage_uw: float
    computing_pj: float
    pooling_pj: float
    clock_tree_pj: float
    each_leakage_uw: float
    each_computing_pj: float
    each_pooling_pj: float


@dataclass(frozen=True)
class DatapathAtCorner:
    """What a `DatapathCost` says that depends on the corner."""

    rtlil_sha256: str
    """Of the RTLIL that its netlist was made from."""

    longest_path_ns: float
    leakage_uw: dict[str, float]
    """By component."""

    energy_pj: dict[str, float]
    """By component, of a cycle at the table's activity."""

    control: ControlAtCorner | None = None


@dataclass(frozen=True)
class ConversionAtCorner:
    """What a `ConversionCost` says that depends on the corner."""

    rtlil_sha256: str
    """Of the RTLIL that its netlist was made from."""

    longest_path_ns: float
    leakage_uw: float
    energy_pj: float


@dataclass(frozen=True)
class MacroAtCorner:
    """What a `MacroCost` says that depends on the corner."""

    access_ns: float
    read_energy_pj: float
    write_energy_pj: float
    cycle_energy_pj: float
    leakage_uw: float


@dataclass(frozen=True)
class Corner:
    """One corner of a library, by the files that hold it."""

    name: str
    process: str
    """The library's name."""

    voltage_v: float
    temperature_c: float
    liberty: str
    liberty_sha256: str
    setup_ns: float
    """Of the operand register behind a buffer (`ReadPath`)."""

    selection_ns: float
    packing_leakage_uw: dict[str, float]
    """By name, as of `Technology.packing`."""

    packing_energy_pj: dict[str, float]
    datapaths: dict[str, DatapathAtCorner]
    macros: dict[str, MacroAtCorner] = field(default_factory=dict[str, MacroAtCorner])
    """SRAM macros whose files of this corner were given; the others stay typical."""

    conversions: dict[str, ConversionAtCorner] = field(default_factory=dict[str, ConversionAtCorner])
    """By name, as of `Technology.conversions`."""

    @property
    def conditions(self) -> str:
        """Such as `slow (1.08 V, 125 C)`."""
        return f"{self.name} ({self.voltage_v:g} V, {self.temperature_c:g} C)"


def corner_names(table: Technology) -> tuple[str, ...]:
    """The corners that a table has figures of, by rising voltage, the typical one among them."""
    found = {TYPICAL: table.voltage_v} | {name: corner.voltage_v for name, corner in table.corners.items()}
    return tuple(sorted(found, key=lambda name: (found[name], name)))


def at_corner(table: Technology, name: str) -> Technology:
    """The table with the figures of one of its corners; the typical one is the table itself.

    Datapaths and controls that the corner has no figures of, or those of other netlists, are left out. Its name and
    provenance say the corner. Raises HardwareError if the table has no such corner.
    """
    if name == TYPICAL:
        return table
    check_typical(table)
    if name not in table.corners:
        raise HardwareError(
            f"technology {table.name!r} has no corner {name!r}, it has {', '.join(corner_names(table))}: use one of "
            "these, or add it with fewbits characterize --corner NAME=FILE"
        )
    corner = table.corners[name]
    at = corner.conditions + typical_macros(table, corner)
    return with_figures(table, corner, f"{table.name} at {name}", at)


def check_typical(table: Technology) -> None:
    """Raise HardwareError if a table is at a corner or an operating point itself."""
    if AT_CORNER in table.provenance:
        raise HardwareError(
            f"technology {table.name!r} is at a corner already: choose a corner or a voltage of the table it is from"
        )


def typical_macros(table: Technology, corner: Corner) -> str:
    """That macros have no figures of a corner, where that is so; else nothing."""
    missing = [macro.name for macro in table.macros if macro.name not in corner.macros]
    if not missing:
        return ""
    which = "the SRAM macros' figures are" if not corner.macros else f"figures of the macros {', '.join(missing)} are"
    return f"; {which} those of {table.voltage_v:g} V, {table.temperature_c:g} C: no file of this corner was given"


def with_figures(table: Technology, corner: Corner, name: str, at: str) -> Technology:
    """The table with a corner's figures."""
    return replace(
        table,
        name=name,
        process=corner.process,
        voltage_v=corner.voltage_v,
        temperature_c=corner.temperature_c,
        datapaths={
            key: _datapath(datapath, figures, table)
            for key, datapath in table.datapaths.items()
            if (figures := _current(table, corner, key)) is not None
        },
        macros=tuple(_macro(macro, corner.macros.get(macro.name)) for macro in table.macros),
        read_path=None if table.read_path is None else ReadPath(corner.setup_ns, corner.selection_ns),
        packing=None
        if table.packing is None or not table.packing.keys() <= corner.packing_energy_pj.keys()
        else {
            key: PackingCost(one.area_um2, corner.packing_leakage_uw[key], corner.packing_energy_pj[key])
            for key, one in table.packing.items()
        },
        conversions={
            key: _conversion(one, figures)
            for key, one in table.conversions.items()
            if (figures := corner.conversions.get(key)) is not None and figures.rtlil_sha256 == one.rtlil_sha256
        },
        provenance={**table.provenance, AT_CORNER: at, "liberty": corner.liberty},
        corners={},
    )


def _current(table: Technology, corner: Corner, name: str) -> DatapathAtCorner | None:
    """A corner's figures of a datapath, if they are of the table's netlist."""
    figures = corner.datapaths.get(name)
    if figures is None or figures.rtlil_sha256 != table.provenance.get(f"rtlil_sha256 {name}", ""):
        return None
    if not table.datapaths[name].components.keys() <= figures.leakage_uw.keys() & figures.energy_pj.keys():
        return None
    control = figures.control
    if control is not None and control.control_sha256 != table.provenance.get(f"control_sha256 {name}", ""):
        return replace(figures, control=None)
    return figures


def _datapath(datapath: DatapathCost, figures: DatapathAtCorner, table: Technology) -> DatapathCost:
    mhz, meets = _clock(figures.longest_path_ns, table.target_clock_mhz)
    return replace(
        datapath,
        components={
            name: replace(part, leakage_uw=figures.leakage_uw[name], energy_pj=figures.energy_pj[name])
            for name, part in datapath.components.items()
        },
        longest_path_ns=figures.longest_path_ns,
        clock_mhz=mhz,
        meets_target=meets,
        control=None
        if datapath.control is None or figures.control is None
        else _control(datapath.control, figures.control, table),
    )


def _control(control: ControlCost, figures: ControlAtCorner, table: Technology) -> ControlCost:
    each = control.each_neuron
    return replace(
        control,
        leakage_uw=figures.leakage_uw,
        longest_path_ns=figures.longest_path_ns,
        clock_mhz=_clock(figures.longest_path_ns, table.target_clock_mhz)[0],
        computing_pj=figures.computing_pj,
        pooling_pj=figures.pooling_pj,
        clock_tree_pj=figures.clock_tree_pj,
        each_neuron=None
        if each is None
        else replace(
            each,
            leakage_uw=figures.each_leakage_uw,
            computing_pj=figures.each_computing_pj,
            pooling_pj=figures.each_pooling_pj,
        ),
    )


def _conversion(cost: ConversionCost, figures: ConversionAtCorner) -> ConversionCost:
    return replace(cost, **asdict(figures))


def _clock(path_ns: float, target_mhz: float) -> tuple[float, bool]:
    """The clock that a path is used at, as of `DatapathCost`, and whether it is the target."""
    reached = 1000.0 / path_ns
    return (target_mhz, True) if reached >= target_mhz else (reached, False)


def _macro(macro: MacroCost, figures: MacroAtCorner | None) -> MacroCost:
    return macro if figures is None else replace(macro, **asdict(figures))


def typical_corner(table: Technology) -> Corner:
    """The table's own figures as a corner, to lie among the others."""
    read_path, packing = table.read_path, table.packing or {}
    return Corner(
        TYPICAL,
        table.process,
        table.voltage_v,
        table.temperature_c,
        table.provenance.get("liberty", ""),
        table.provenance.get("liberty_sha256", ""),
        0.0 if read_path is None else read_path.setup_ns,
        0.0 if read_path is None else read_path.selection_ns,
        {name: one.leakage_uw for name, one in packing.items()},
        {name: one.energy_pj for name, one in packing.items()},
        {name: _figures_of(table, datapath) for name, datapath in table.datapaths.items()},
        {one.name: macro_at_corner(one) for one in table.macros},
        {name: conversion_at_corner(one) for name, one in table.conversions.items()},
    )


def macro_at_corner(macro: MacroCost) -> MacroAtCorner:
    """What of a macro's figures depends on the corner."""
    return MacroAtCorner(**{one.name: getattr(macro, one.name) for one in fields(MacroAtCorner)})


def conversion_at_corner(cost: ConversionCost) -> ConversionAtCorner:
    """What of a conversion's figures depends on the corner."""
    return ConversionAtCorner(**{one.name: getattr(cost, one.name) for one in fields(ConversionAtCorner)})


def control_at_corner(control: ControlCost, sha256: str) -> ControlAtCorner:
    """What of a control's figures depends on the corner. sha256: of its RTLIL."""
    each = control.each_neuron
    return ControlAtCorner(
        control_sha256=sha256,
        longest_path_ns=control.longest_path_ns,
        leakage_uw=control.leakage_uw,
        computing_pj=control.computing_pj,
        pooling_pj=control.pooling_pj,
        clock_tree_pj=control.clock_tree_pj,
        each_leakage_uw=0.0 if each is None else each.leakage_uw,
        each_computing_pj=0.0 if each is None else each.computing_pj,
        each_pooling_pj=0.0 if each is None else each.pooling_pj,
    )


def _figures_of(table: Technology, datapath: DatapathCost) -> DatapathAtCorner:
    name, control = datapath.precision, datapath.control
    return DatapathAtCorner(
        table.provenance.get(f"rtlil_sha256 {name}", ""),
        datapath.longest_path_ns,
        {part: one.leakage_uw for part, one in datapath.components.items()},
        {part: one.energy_pj for part, one in datapath.components.items()},
        None if control is None else control_at_corner(control, table.provenance.get(f"control_sha256 {name}", "")),
    )
