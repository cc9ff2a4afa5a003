"""A hierarchical area report of an accelerator: instances as a tree, with cells, area, share and leakage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fewbits.hardware.costing.tiles import Tile
from fewbits.hardware.process.technology import ComponentCost


@dataclass(frozen=True)
class Instance:
    """A node of the tree: all of its instances together."""

    name: str
    level: int
    about: str
    """How many there are, or what it is made of."""

    cells: int | None
    """Standard cells; None of a macro."""

    area_um2: float
    leakage_uw: float


def instances(tile: Tile, top: str) -> tuple[Instance, ...]:
    """The tree of a tile in the order of a report, its top first.

    top: name of the accelerator's module. A datapath's components add up to it, the parts to the top.
    """
    below = [*_datapaths(tile), *_control(tile), *_memories(tile)]
    direct = [one for one in below if one.level == 1]
    whole = Instance(
        top,
        0,
        "",
        sum(one.cells or 0 for one in direct),
        sum(one.area_um2 for one in direct),
        sum(one.leakage_uw for one in direct),
    )
    return (whole, *below)


def _datapaths(tile: Tile) -> Iterator[Instance]:
    count = tile.dataflow.datapaths(tile.accelerator)
    parts = tile.datapath.components
    yield _logic("datapaths", 1, f"{count} x {tile.name}", count, *parts.values())
    yield _logic("datapath", 2, "one of them", 1, *parts.values())
    for name, part in parts.items():
        yield _logic(name, 3, "", 1, part)


def _logic(name: str, level: int, about: str, count: int, *parts: ComponentCost) -> Instance:
    return Instance(
        name,
        level,
        about,
        count * sum(part.cells for part in parts),
        count * sum(part.area_um2 for part in parts),
        count * sum(part.leakage_uw for part in parts),
    )


def _control(tile: Tile) -> Iterator[Instance]:
    control = tile.datapath.control
    if control is None:
        return
    yield Instance("control", 1, "all but datapaths and memories", control.cells, control.area_um2, control.leakage_uw)
    if (each := control.each_neuron) is not None:
        count = tile.dataflow.datapaths(tile.accelerator)
        yield Instance(
            "operand registers",
            2,
            f"{count} x weights, bias and result of a neuron",
            count * each.cells,
            count * each.area_um2,
            count * each.leakage_uw,
        )
        yield Instance(
            "rest",
            2,
            "controller, addresses, pooling, write-back",
            control.cells - count * each.cells,
            control.area_um2 - count * each.area_um2,
            control.leakage_uw - count * each.leakage_uw,
        )


def _memories(tile: Tile) -> Iterator[Instance]:
    sizes = {one.name: f"{one.rows} x {one.row_bits}" for one in tile.memories}
    for name, buffer in tile.buffers.items():
        about = f"{sizes[name]} bits: {buffer.columns} x {buffer.banks} of {buffer.macro.name}"
        yield Instance(name, 1, about, None, buffer.area_um2, buffer.leakage_uw)


def area_report(tile: Tile, top: str) -> str:
    """The report as text: shares are of the top's area; a line of a higher level holds those below it."""
    tree = instances(tile, top)
    table = tile.technology
    whole = tree[0].area_um2
    origin = "interpolated between characterized precisions" if tile.is_interpolated else "as characterized"
    missing = "" if tile.datapath.control is not None else "The control is not characterized and not in it.\n"
    rows = [
        f"{'  ' * one.level + one.name:<26}{'' if one.cells is None else f'{one.cells:,}':>10}{one.area_um2:>16,.1f}"
        f"{100 * one.area_um2 / whole:>9.2f}{one.leakage_uw:>14,.4f}  {one.about}".rstrip()
        for one in tree
    ]
    return (
        f"Hierarchical area of {top}, {tile.name} on {table.name} ({table.process}, {table.voltage_v:g} V, "
        f"{table.temperature_c:g} C), {origin}.\n"
        "Cell area and macros: no wires, no clock tree, no pads. A line holds the lines below it of a deeper level.\n"
        f"{missing}\n"
        f"{'instance':<26}{'cells':>10}{'um2':>16}{'share %':>9}{'leakage uW':>14}  of\n" + "\n".join(rows) + "\n"
    ) + _library_cells(tile)


def _library_cells(tile: Tile) -> str:
    """The library's cells in one datapath, the most frequent first; none of an interpolated one."""
    counts = sorted(tile.datapath.cell_counts.items(), key=lambda one: (-one[1], one[0]))
    if not counts:
        return ""
    return f"\nLibrary cells of one datapath\n{'':<26}{'count':>10}\n" + "".join(
        f"{name:<26}{count:>10,}\n" for name, count in counts
    )
