"""Stuck-at faults of a mapped neuron: where they can lie, how likely each place is, and a draw of some.

A fault sits on a net that a cell drives and holds it at 0 or 1 for good. A place is as likely as its cell is large,
as in O. Temam, "A defect-tolerant accelerator for emerging high-performance applications", ISCA 2012.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fewbits.arguments import is_integer, shown
from fewbits.errors import HardwareError
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
from fewbits.hardware.mapping.netlist import net_names

PARTS = ("neuron", "datapath", "registers")
"""Where faults are drawn: in all cells, in those that hold no state, in flip-flops alone."""


@dataclass(frozen=True, order=True)
class StuckAt:
    """A net of one neuron that keeps a value."""

    neuron: int
    """Which neuron of the tile, from 0."""

    net: int
    """Number of the net in the compiled netlist."""

    value: int
    """0 or 1."""


@dataclass(frozen=True, eq=False)
class FaultSites:
    """Places of a neuron where a fault can lie."""

    nets: NDArray[np.int64]
    """Nets that cells drive, shape (sites,)."""

    areas_um2: NDArray[np.float64]
    """Of the cell that drives each; a cell of two outputs counts half for each. Shape (sites,)."""

    names: tuple[str, ...]
    """Of each net in the Verilog of `mapped_verilog`."""


def cell_areas(netlist: CompiledNetlist) -> dict[str, float]:
    """Areas of the cells of the library that a netlist was mapped to, um2, by name.

    Raises HardwareError for a library whose areas do not come with fewbits.
    """
    text = files("fewbits.hardware.defects").joinpath("cell_areas.json").read_text(encoding="utf-8")
    known = cast("dict[str, dict[str, dict[str, float]]]", json.loads(text))
    digest = netlist.provenance.get("liberty_sha256", "")
    if digest not in known:
        raise HardwareError(
            f"no cell areas are known of {netlist.provenance.get('liberty', 'the library')}, which the netlist of "
            f"{netlist.precision} was mapped to: give areas_um2, the area of each cell by its name"
        )
    return known[digest]["areas_um2"]


def fault_sites(
    netlist: CompiledNetlist, where: str = "neuron", areas_um2: Mapping[str, float] | None = None
) -> FaultSites:
    """The places of a neuron's netlist where a fault can lie.

    where: one of PARTS. areas_um2: of the library's cells, by name; None for those that come with fewbits.
    Raises HardwareError for another part, an unknown library or a cell without an area.
    """
    if where not in PARTS:
        raise HardwareError(f"faults lie in one of {', '.join(PARTS)}, not in {shown(where)}")
    areas = cell_areas(netlist) if areas_um2 is None else areas_um2
    nets: list[int] = []
    weights: list[float] = []
    for block in netlist.model.blocks:
        is_register = any(function.is_register for function in block.kind.functions)
        if where != "neuron" and is_register != (where == "registers"):
            continue
        if block.kind.name not in areas:
            raise HardwareError(f"no area is given of the cell {block.kind.name}: add it to areas_um2")
        outputs = block.nets[:, [function.output for function in block.kind.functions]]
        for row in outputs:
            driven = [int(net) for net in row if net > 1]
            nets += driven
            weights += [areas[block.kind.name] / len(driven)] * len(driven)
    names = net_names(netlist.model.ports, netlist.model.net_count)
    return FaultSites(np.array(nets, np.int64), np.array(weights), tuple(names[net] for net in nets))


def draw_faults(sites: FaultSites, count: int, neurons: int, generator: np.random.Generator) -> tuple[StuckAt, ...]:
    """So many different faulty nets, each at 0 or 1 alike.

    Neurons are equal, so that each is as likely; within it, a net is as likely as its area says. Draws of the same
    generator state grow: the first faults of a larger count are those of a smaller one.
    Raises HardwareError for a count that is no integer from 0 to the number of places, or without neurons.
    """
    if not is_integer(neurons):
        raise HardwareError(f"a tile has at least 1 neuron, not {shown(neurons)}")
    if not is_integer(count, 0, neurons * len(sites.nets)):
        raise HardwareError(
            f"the number of faults is an integer from 0 to {neurons * len(sites.nets)}, the nets of {neurons} neurons, "
            f"not {shown(count)}"
        )
    chances = sites.areas_um2 / sites.areas_um2.sum()
    found: dict[tuple[int, int], int] = {}
    while len(found) < count:
        place = int(generator.integers(neurons)), int(sites.nets[generator.choice(len(chances), p=chances)])
        value = int(generator.integers(2))
        found.setdefault(place, value)
    return tuple(StuckAt(neuron, net, value) for (neuron, net), value in found.items())
