"""Static timing of a mapped netlist from the library's delay tables, one numpy pass a logic level.

The method is the usual block-based one: the latest arrival and the largest transition at each net, for rise and fall
apart, from tables over input transition and output load (liberty's nonlinear delay model). No wire delay: wires count
as capacitance only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.mapping.netlist import CellGroup, Netlist
from fewbits.hardware.process.library.liberty import Cell, Library, Table, WireLoad

FALL, RISE = 0, 1
"""Node 2 * net + edge is one edge of one net."""

_EDGES = {"positive_unate": ((0, 0), (1, 1)), "negative_unate": ((1, 0), (0, 1))}
_ALL_EDGES = ((0, 0), (0, 1), (1, 0), (1, 1))
_DELAY = ("cell_fall", "cell_rise")
_TRANSITION = ("fall_transition", "rise_transition")
_CONSTRAINT = ("fall_constraint", "rise_constraint")


@dataclass(frozen=True)
class Conditions:
    """What surrounds the netlist. The clock is ideal: no skew, one transition at every flip-flop."""

    clock_slew_ns: float
    """Transition of the clock at every flip-flop."""

    input_slew_ns: float
    """Transition of the input ports."""

    input_arrival_ns: float = 0.0
    """When the input ports change, after the clock's edge."""

    wire: WireLoad | None = None
    """Estimate of each net's wire; None for no wires."""

    output_load_pf: float = 0.0
    """Capacitance at each output port."""


@dataclass(frozen=True)
class Step:
    """One net on a path: the cell that drives it (`input` for a port), the edge and the arrival there."""

    driver: str
    library_cell: str
    edge: str
    arrival_ns: float
    slew_ns: float
    load_pf: float


@dataclass(frozen=True, eq=False)
class Timing:
    """Arrivals, transitions and loads of every net, and the longest path."""

    arrival_ns: NDArray[np.float64]
    """Shape (net_count, 2), falling and rising edge; minus infinity where nothing arrives."""

    slew_ns: NDArray[np.float64]
    """Shape (net_count, 2)."""

    load_pf: NDArray[np.float64]
    """Shape (net_count, 2)."""

    longest_path_ns: float
    """From a clock edge through the slowest path, the end's setup time included."""

    path: tuple[Step, ...]
    end: str
    """The cell or port where the longest path ends."""

    @property
    def highest_clock_mhz(self) -> float:
        """The clock whose period is the longest path."""
        return 1000.0 / self.longest_path_ns


class TableBank:
    """Many lookup tables, read together: each query names its table."""

    def __init__(self, tables: list[Table]) -> None:
        rows = max((len(t.slews) for t in tables), default=1)
        columns = max((len(t.columns) for t in tables), default=1)
        self._x = np.stack([_padded_axis(t.slews, max(rows, 2)) for t in tables])
        self._y = np.stack([_padded_axis(t.columns, max(columns, 2)) for t in tables])
        self._values = np.stack([_padded_values(t.values, max(rows, 2), max(columns, 2)) for t in tables])
        self._last = np.array([(max(len(t.slews), 2) - 2, max(len(t.columns), 2) - 2) for t in tables])

    def at(self, tables: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bilinear interpolation, the outermost segment going on straight; all arguments and the result (n,)."""
        i, u = _segments(self._x[tables], x, self._last[tables, 0])
        j, v = _segments(self._y[tables], y, self._last[tables, 1])
        low, high = self._values[tables, i, j], self._values[tables, i + 1, j]
        low_next, high_next = self._values[tables, i, j + 1], self._values[tables, i + 1, j + 1]
        return (low * (1 - u) + high * u) * (1 - v) + (low_next * (1 - u) + high_next * u) * v


def _padded_axis(axis: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Extended to `length` by points far beyond any query; a single point becomes a flat segment."""
    return np.concatenate([axis, axis[-1] + 1e6 * np.arange(1, length - len(axis) + 1)])


def _padded_values(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    return np.pad(values, ((0, rows - values.shape[0]), (0, columns - values.shape[1])), mode="edge")


def _segments(
    axes: NDArray[np.float64], x: NDArray[np.float64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    index = np.clip((axes <= x[:, None]).sum(axis=1) - 1, 0, last)
    start = np.take_along_axis(axes, index[:, None], 1)[:, 0]
    end = np.take_along_axis(axes, index[:, None] + 1, 1)[:, 0]
    return index, (x - start) / (end - start)


@dataclass(frozen=True, eq=False)
class _Arcs:
    """Delay arcs of every cell for every pair of edges, ordered by level and then by end node."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    delay: NDArray[np.int64]
    transition: NDArray[np.int64]
    cell: NDArray[np.int64]
    level: NDArray[np.int64]
    bank: TableBank


def analyze(netlist: Netlist, conditions: Conditions) -> Timing:
    """Time a netlist: every flip-flop starts at the clock edge, the input ports at `input_arrival_ns`.

    Raises HardwareError if the netlist has a combinational loop, or if no path ends at a flip-flop or an output port.
    """
    load = netlist.largest_loads_pf(conditions.wire, conditions.output_load_pf).ravel()
    arcs = _collect(netlist)
    arrival, slew = _starts(netlist, conditions)
    candidates = _propagate(arcs, arrival, slew, load)
    node, longest, end = _latest_end(netlist, conditions, arrival, slew)
    return Timing(
        arrival_ns=arrival.reshape(-1, 2),
        slew_ns=slew.reshape(-1, 2),
        load_pf=load.reshape(-1, 2),
        longest_path_ns=longest,
        path=_trace(netlist, arcs, candidates, node, arrival, slew, load),
        end=end,
    )


def mean_delays_ns(netlist: Netlist, timing: Timing, loads_pf: NDArray[np.float64]) -> NDArray[np.float64]:
    """From an input's edge to each net's fall and rise, mean over the arcs of the cell that drives it; (net_count, 2).

    An arc's delay is that at the transition which `analyze` has found at its input, and at the load. loads_pf: of each
    net for a fall and a rise. 0 for nets that ports drive.
    """
    arcs = _collect(netlist)
    delay = arcs.bank.at(arcs.delay, timing.slew_ns.ravel()[arcs.start], loads_pf.ravel()[arcs.end])
    nodes = 2 * netlist.net_count
    count = np.bincount(arcs.end, minlength=nodes)
    total = np.bincount(arcs.end, weights=delay, minlength=nodes)
    return (total / np.maximum(count, 1)).reshape(-1, 2)


def _collect(netlist: Netlist) -> _Arcs:
    tables: list[Table] = []
    numbers: dict[int, int] = {}

    def number(table: Table) -> int:
        if id(table) not in numbers:
            numbers[id(table)] = len(tables)
            tables.append(table)
        return numbers[id(table)]

    parts: list[NDArray[np.int64]] = []
    for group in netlist.groups:
        for arc in group.cell.arcs:
            wanted = ("rising_edge", "falling_edge") if group.cell.flip_flop else ("combinational",)
            if arc.kind not in wanted or arc.related_pin not in group.cell.pins:
                continue
            edges = _ALL_EDGES if group.cell.flip_flop else _EDGES.get(arc.sense, _ALL_EDGES)
            if group.cell.flip_flop:
                edges = tuple((e, f) for e, f in edges if e == (RISE if arc.kind == "rising_edge" else FALL))
            for before, after in edges:
                if _DELAY[after] not in arc.tables or _TRANSITION[after] not in arc.tables:
                    continue
                delay, transition = number(arc.tables[_DELAY[after]]), number(arc.tables[_TRANSITION[after]])
                parts.append(_arc_rows(netlist, group, arc.related_pin, arc.pin, before, after, delay, transition))
    if not parts:
        raise HardwareError(f"{netlist.library.path}: no cell of {netlist.name} has delay tables")
    rows = np.concatenate(parts, axis=1)
    rows = rows[:, np.lexsort((rows[1], rows[5]))]
    return _Arcs(*rows, bank=TableBank(tables))


def _arc_rows(
    netlist: Netlist, group: CellGroup, start: str, end: str, before: int, after: int, delay: int, transition: int
) -> NDArray[np.int64]:
    """Rows start, end, delay, transition, cell, level of one arc of all instances that have both pins connected."""
    source, sink = group.pin(start), group.pin(end)
    used = (source > 1) & (sink >= 0)
    count = int(used.sum())
    return np.stack(
        [
            2 * source[used] + before,
            2 * sink[used] + after,
            np.full(count, delay),
            np.full(count, transition),
            group.cells[used],
            netlist.levels[group.cells[used]],
        ]
    )


def _starts(netlist: Netlist, conditions: Conditions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arrival and transition of each node before anything has propagated."""
    arrival = np.full(2 * netlist.net_count, -np.inf)
    slew = np.zeros(2 * netlist.net_count)
    for port in netlist.ports.values():
        if port.direction == "input":
            for edge in (FALL, RISE):
                arrival[2 * port.nets + edge] = conditions.input_arrival_ns
                slew[2 * port.nets + edge] = conditions.input_slew_ns
    for edge in (FALL, RISE):
        arrival[2 * netlist.clock_nets + edge] = 0.0
        slew[2 * netlist.clock_nets + edge] = conditions.clock_slew_ns
    return arrival, slew


def _propagate(
    arcs: _Arcs, arrival: NDArray[np.float64], slew: NDArray[np.float64], load: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fill arrival and slew in place, level by level; return the arrival that each arc offers to its end."""
    offered = np.full(len(arcs.start), -np.inf)
    bounds = np.flatnonzero(np.diff(arcs.level, prepend=-1, append=np.iinfo(np.int64).max))
    for first, last in pairwise(bounds.tolist()):
        part = slice(first, last)
        source, sink = arcs.start[part], arcs.end[part]
        slews, loads = slew[source], load[sink]
        offered[part] = arrival[source] + arcs.bank.at(arcs.delay[part], slews, loads)
        transitions = arcs.bank.at(arcs.transition[part], slews, loads)
        transitions[np.isneginf(offered[part])] = 0.0
        starts = np.flatnonzero(np.diff(sink, prepend=-1))
        arrival[sink[starts]] = np.maximum.reduceat(offered[part], starts)
        slew[sink[starts]] = np.maximum.reduceat(transitions, starts)
    return offered


def _latest_end(
    netlist: Netlist, conditions: Conditions, arrival: NDArray[np.float64], slew: NDArray[np.float64]
) -> tuple[int, float, str]:
    """The node where the longest path ends, its length with setup, and the name of the end."""
    best: tuple[float, int, str] = (-np.inf, -1, "")
    for group in netlist.groups:
        for pin, edge, table in _setups(group.cell):
            nets = group.pin(pin)
            nodes = 2 * np.maximum(nets, 0) + edge
            bank = TableBank([table])
            zeros = np.zeros(len(nodes), dtype=np.int64)
            setup = bank.at(zeros, np.full(len(nodes), conditions.clock_slew_ns), slew[nodes])
            total = np.where(nets > 1, arrival[nodes] + setup, -np.inf)
            k = int(np.argmax(total))
            best = max(best, (float(total[k]), int(nodes[k]), netlist.cell_names[int(group.cells[k])]))
    for name, port in netlist.ports.items():
        if port.direction == "output":
            for bit, net in enumerate(port.nets):
                for edge in (FALL, RISE) if net > 1 else ():
                    best = max(best, (float(arrival[2 * net + edge]), int(2 * net + edge), f"{name}[{bit}]"))
    if not np.isfinite(best[0]):
        raise HardwareError(f"{netlist.name}: no path ends at a flip-flop or an output port")
    return best[1], best[0], best[2]


def _setups(cell: Cell) -> list[tuple[str, int, Table]]:
    """(pin, edge, table) of a cell's setup constraints."""
    return [
        (arc.pin, edge, arc.tables[_CONSTRAINT[edge]])
        for arc in cell.arcs
        if arc.kind in ("setup_rising", "setup_falling") and cell.flip_flop
        for edge in (FALL, RISE)
        if _CONSTRAINT[edge] in arc.tables
    ]


def _trace(
    netlist: Netlist,
    arcs: _Arcs,
    offered: NDArray[np.float64],
    node: int,
    arrival: NDArray[np.float64],
    slew: NDArray[np.float64],
    load: NDArray[np.float64],
) -> tuple[Step, ...]:
    """Walk back from the end of the longest path by the arc that set each arrival."""
    kinds = {int(cell): group.cell.name for group in netlist.groups for cell in group.cells}
    steps: list[Step] = []
    while True:
        into = np.flatnonzero((arcs.end == node) & np.isfinite(offered))
        arc = int(into[np.argmax(offered[into])]) if len(into) else -1
        cell = int(arcs.cell[arc]) if arc >= 0 else -1
        steps.append(
            Step(
                driver=netlist.cell_names[cell] if cell >= 0 else "input",
                library_cell=kinds.get(cell, ""),
                edge="rise" if node % 2 else "fall",
                arrival_ns=float(arrival[node]),
                slew_ns=float(slew[node]),
                load_pf=float(load[node]),
            )
        )
        if arc < 0 or netlist.sequential[cell]:
            return tuple(reversed(steps))
        node = int(arcs.start[arc])


def launch_overhead_ns(library: Library, conditions: Conditions) -> float:
    """Clock-to-output delay plus setup time of the library's smallest flip-flop: what a period loses to it.

    The load is four of its data pins. Raises HardwareError if the library has no plain flip-flop.
    """
    flop = _smallest_flip_flop(library)
    data = flop.flip_flop.next_state if flop.flip_flop else ""
    load = 4 * flop.pins[data].capacitance_pf
    delays = [
        arc.tables[name].at(conditions.clock_slew_ns, load)
        for arc in flop.arcs
        if arc.kind in ("rising_edge", "falling_edge")
        for name in _DELAY
        if name in arc.tables
    ]
    return max(delays, default=0.0) + _setup_ns(flop, conditions)


def setup_ns(library: Library, conditions: Conditions) -> float:
    """Setup time of the library's smallest flip-flop behind an input port; 0 where none is stated.

    Raises HardwareError if the library has no plain flip-flop.
    """
    return _setup_ns(_smallest_flip_flop(library), conditions)


def _smallest_flip_flop(library: Library) -> Cell:
    flops = library.flip_flops()
    if not flops:
        raise HardwareError(f"{library.path}: the library has no plain flip-flop")
    return min(flops, key=lambda cell: cell.area_um2)


def _setup_ns(flop: Cell, conditions: Conditions) -> float:
    setups = [table.at(conditions.clock_slew_ns, conditions.input_slew_ns) for _, _, table in _setups(flop)]
    return max(setups, default=0.0)
