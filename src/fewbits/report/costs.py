"""What `fewbits cost` prints: the figures that are declared for it as a table or JSON, and what to know about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fewbits.hardware.costing.breakdown import DRAM
from fewbits.hardware.dataflow.accelerator import ASSUMED_BANDWIDTH, ASSUMED_MEMORY
from fewbits.report.layers import OPERATIONS, cycle_table, memory_table
from fewbits.study.figures import FIGURES
from fewbits.study.layer_record import layer_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fewbits.hardware import Cost
    from fewbits.study.declaration import Figure

_OF_COST = sorted((figure for figure in FIGURES if figure.of_cost is not None), key=lambda figure: figure.cost_rank)
_TABLE = tuple(figure for figure in _OF_COST if figure.in_cost_table)

_PLAIN = str.maketrans({"µ": "u", "²": "2"})
"""Units in letters that every terminal has."""


def cost_json(cost: Cost) -> dict[str, Any]:
    """What `fewbits cost --json` prints of a network's cost."""
    shown = {one.name: one.of_cost(cost) for one in _OF_COST if one.of_cost is not None and one.in_cost_json}
    return {"precision": cost.precision, **shown}


def cost_lines(costs: Sequence[Cost], *, off_chip: bool = False, accelerators: Sequence[str] = ()) -> tuple[str, ...]:
    """A row for each cost, then lines on clock, energy, memory, activity and datapath.

    off_chip: also the energy with off-chip DRAM. accelerators: the name of each cost's, a column where they differ.
    """
    several = len(set(accelerators)) > 1
    names = cost_labels(costs, accelerators)
    wide = max(map(len, ("accelerator", *accelerators))) if several else 0
    column = [f"  {name:<{wide}}" if several else "" for _, name in _named(costs, accelerators)]
    told = list(zip(names, costs, strict=True))
    return (
        f"{'precision':>18}"
        + (f"  {'accelerator':<{wide}}" if several else "")
        + "".join(f"{_heading(figure):>13}" for figure in _TABLE),
        *(
            f"{one.precision:>18}{machine}"
            + "".join(f"{figure.of_cost(one):>13,.5g}" for figure in _TABLE if figure.of_cost is not None)
            for one, machine in zip(costs, column, strict=True)
        ),
        *(f"{name} clock: {one.clock}" for name, one in told),
        *(f"{name} {_shares(one, off_chip)}" for name, one in told),
        *(f"{name} {_bandwidth(one)}" for name, one in told),
        *(f"{name} {_throughput(one)}" for name, one in told),
        *(f"Power and energy: {activity}." for activity in dict.fromkeys(one.activity for one in costs)),
        *(f"{name}: {line}" for name, one in told for line in _about(one)),
    )


def cost_labels(costs: Sequence[Cost], accelerators: Sequence[str]) -> list[str]:
    """What tells costs apart: the precision, and the accelerator where these differ."""
    several = len(set(accelerators)) > 1
    return [f"{one.precision} on {name}" if several else one.precision for one, name in _named(costs, accelerators)]


def _named(costs: Sequence[Cost], accelerators: Sequence[str]) -> list[tuple[Cost, str]]:
    return list(zip(costs, accelerators or [""] * len(costs), strict=True))


def layer_lines(cost: Cost, label: str) -> Iterator[str]:
    """What `fewbits cost --layers` adds: each layer's cycles and limit, its memories, the loops that were chosen.

    label: what is in front of each heading, as `cost_labels` has it.
    """
    layers = layer_records(cost)
    yield f"{label} by layer, of one image. {OPERATIONS}"
    yield from (line.translate(_PLAIN) for line in cycle_table(layers, cost.clock_mhz).lines())
    yield f"{label} by layer and memory; off-chip: {DRAM}, in no energy here"
    yield from (line.translate(_PLAIN) for line in memory_table(layers).lines())
    for layer in layers:
        yield from (f"{label} {layer.name} loops: {line}" for line in layer.mapping)


def _heading(figure: Figure) -> str:
    return f"{figure.words} {figure.unit.translate(_PLAIN)}".strip()


def _about(one: Cost) -> list[str]:
    """The datapath, and the notes that do not stand beside the clock already."""
    basis = "interpolated between characterized precisions" if one.interpolated else "characterized"
    lines = (f"{one.multiplier}; {basis}", *one.notes)
    return [line for line in lines if line not in one.clock.notes]


def _shares(one: Cost, off_chip: bool) -> str:
    """Where the energy goes, in a line; with off-chip memory, if asked for."""
    parts = sorted(one.breakdown.energy_uj.items(), key=lambda part: -part[1])
    shares = ", ".join(f"{name} {100 * energy / one.energy_uj:.0f}" for name, energy in parts if energy > 0)
    line = f"energy in %: {shares}"
    if off_chip:
        line += "; with {} {:.4g} to {:.4g} uJ".format(DRAM, *one.energy_with_off_chip_uj)
    return line


def _throughput(one: Cost) -> str:
    """Operations a second, a watt and a square millimetre, in a line."""
    return (
        f"throughput: {one.gops:.4g} of {one.peak_gops:.4g} GOPS, {one.gops_per_w:.4g} GOPS/W, "
        f"{one.gops_per_mm2:.4g} GOPS/mm2; a product is two operations"
    )


def _bandwidth(one: Cost) -> str:
    """What the memory must give, and whether it does, in a line."""
    needed = one.needed_bandwidth_gb_s
    most = max(needed, key=needed.__getitem__)
    line = f"memory: layer {most!r} needs most, {needed[most]:.3g} GB/s without a stall"
    if one.bandwidth_gb_s is not None:
        return f"{line}; at {one.bandwidth_gb_s:g} GB/s {one.transfer_stall_cycles:,} of the cycles wait for transfers"
    short = sum(each > ASSUMED_BANDWIDTH for each in needed.values())
    if not short:
        return f"{line}; {ASSUMED_MEMORY} gives {ASSUMED_BANDWIDTH:g}: enough"
    return (
        f"{line}; {ASSUMED_MEMORY} gives {ASSUMED_BANDWIDTH:g}, too little for {short} of {len(needed)} layers: with "
        f"--bandwidth {ASSUMED_BANDWIDTH:g} they wait, and cycles, power and energy say so"
    )
