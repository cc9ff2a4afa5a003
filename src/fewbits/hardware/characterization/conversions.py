"""Conversions of a technology table: each circuit synthesized for the table's clock; its figures at each corner."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np

from fewbits.errors import HardwareError
from fewbits.formats import Precision, parse_format
from fewbits.hardware.characterization.corner_netlists import on_library
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE
from fewbits.hardware.characterization.neuron_options import ATTEMPTS
from fewbits.hardware.costing.packing import fixed_nets
from fewbits.hardware.datapath.conversion_circuits import Converter
from fewbits.hardware.datapath.conversions import Conversion, check_circuit, decodes, rounds, source_named
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import Activity, power_of, uniform_activity
from fewbits.hardware.mapping.clocked_synthesis import synthesize_for_clock
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions, analyze
from fewbits.hardware.process.corners import conversion_at_corner
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.technology import ConversionCost, Technology, rounded

SETTINGS = ("shift", "relu")
"""Pins that hold for a layer."""


def between(precisions: Sequence[Precision]) -> tuple[Conversion, ...]:
    """What layers of any of these precisions need behind and in front of each other, each on a datapath of its own."""
    found: dict[str, Conversion] = {}
    for one, other in permutations(dict.fromkeys(precisions), 2):
        made, own, taken = design(one), one.inputs, other.inputs
        if taken != own and not (own.holds(taken) and own.packs(taken)):
            found.setdefault((conversion := rounds(made, taken)).name, conversion)
        for stored, wide in ((taken, own), (other.weights, one.weights)):
            if stored != wide and wide.holds(stored) and not wide.unpacks(stored):
                found.setdefault((conversion := decodes(stored, wide)).name, conversion)
    return tuple(found.values())


def known(table: Technology) -> tuple[Conversion, ...]:
    """Those that a table has figures of."""
    return tuple(
        Conversion(source_named(one.source), parse_format(one.target), one.is_exact)
        for one in table.conversions.values()
    )


def with_conversions(
    table: Technology,
    conversions: Sequence[Conversion],
    library: Library,
    corners: Mapping[str, Library],
    say: Progress,
) -> Technology:
    """The table with the figures of conversions, at its corners too; what is there of the same RTLIL is kept.

    library: the table's. corners: libraries of corners that the table has, by name; a conversion that one of them lacks
    is made anew. Raises HardwareError for another library, a corner that the table lacks, a conversion that has no
    circuit, or one that synthesis fails on.
    """
    if library.sha256 != table.provenance.get("liberty_sha256"):
        raise HardwareError(f"{library.path} is not the library that technology {table.name!r} was made of")
    if unknown := [name for name in corners if name not in table.corners]:
        raise HardwareError(f"technology {table.name!r} has no corner {unknown[0]!r}: give libraries of its corners")
    for conversion in conversions:
        check_circuit(conversion)
        rtlil, latency = converter_rtlil(conversion)
        sha256 = hashlib.sha256(rtlil.encode()).hexdigest()
        if _is_there(table, conversion.name, sha256, corners):
            continue
        conditions = _conditions(library)
        netlist, _ = synthesize_for_clock(
            conversion.name, rtlil, "converter", library, conditions, table.target_clock_mhz, ATTEMPTS, lambda _: None
        )
        found = conversion_figures(conversion, netlist, conditions, latency, sha256)
        say(f"{conversion.name}: {found.area_um2:,.0f} um2, {found.energy_pj:.3g} pJ, {found.longest_path_ns:.2f} ns")
        table = replace(table, conversions={**table.conversions, conversion.name: found})
        for name, other in corners.items():
            there = conversion_figures(conversion, on_library(netlist, other), _conditions(other), latency, sha256)
            figures = {**table.corners[name].conversions, conversion.name: conversion_at_corner(there)}
            corner = replace(table.corners[name], conversions=figures)
            table = replace(table, corners={**table.corners, name: corner})
    return table


def converter_rtlil(conversion: Conversion) -> tuple[str, int]:
    """RTLIL of a conversion's circuit, top `converter`, and its latency in cycles."""
    from fewbits.hardware.rtl.instances import component_rtlil

    made = Converter(conversion)
    return component_rtlil(made, "converter"), made.latency


def conversion_figures(
    conversion: Conversion, netlist: Netlist, conditions: Conditions, latency: int, sha256: str
) -> ConversionCost:
    """The figures of a netlist of a conversion, a value each cycle at the activity that datapaths are assumed at."""
    timing = analyze(netlist, conditions)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    uniform = uniform_activity(model, TOGGLES_PER_CYCLE)
    settings = [net for name in SETTINGS if name in netlist.ports for net in netlist.ports[name].nets]
    toggles = np.where(fixed_nets(netlist, np.array(settings, dtype=np.int64)), 0.0, uniform.toggles)
    power = power_of(model, Activity(toggles, uniform.duty))
    return ConversionCost(
        source=conversion.source.name,
        target=conversion.target.name,
        is_exact=conversion.is_exact,
        area_um2=rounded(sum(group.cell.area_um2 * len(group.cells) for group in netlist.groups)),
        leakage_uw=rounded(float(power.leakage_uw.sum())),
        energy_pj=rounded(float(power.dynamic_pj.sum() + power.input_switching_pj.sum())),
        longest_path_ns=rounded(timing.longest_path_ns),
        latency=latency,
        cells=sum(len(group.cells) for group in netlist.groups),
        rtlil_sha256=sha256,
    )


def _conditions(library: Library) -> Conditions:
    return Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)


def _is_there(table: Technology, name: str, sha256: str, corners: Mapping[str, Library]) -> bool:
    """Whether the table and its corners have a conversion's figures, of this RTLIL."""
    places = [table.conversions, *(table.corners[corner].conversions for corner in corners)]
    return all(name in figures and figures[name].rtlil_sha256 == sha256 for figures in places)
