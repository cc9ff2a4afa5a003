"""A mapped netlist as arrays: cells grouped by library cell, the net at each pin, and the order of evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.liberty import Cell, Library, Pin, WireLoad

CONSTANT_ZERO = 0
CONSTANT_ONE = 1
"""Nets 0 and 1 of every netlist are the constants; undefined bits are taken as zero."""

UNCONNECTED = -1

_COMPONENT = re.compile(r"(?:\$flatten)?\\?([A-Za-z]\w*)\.")
"""Yosys' `flatten` puts the instance before a dot: `adder_tree._0_`, `$flatten\\adder_tree.$abc$1$_2_`."""


@dataclass(frozen=True, eq=False)
class CellGroup:
    """All instances of one library cell."""

    cell: Cell
    cells: NDArray[np.int64]
    """Numbers of the instances, shape (n,)."""

    nets: NDArray[np.int64]
    """Net at each pin, in the order of cell.pins, UNCONNECTED where open; shape (n, pins)."""

    def pin(self, name: str) -> NDArray[np.int64]:
        """Nets at one pin of every instance, shape (n,)."""
        return self.nets[:, list(self.cell.pins).index(name)]


@dataclass(frozen=True, eq=False)
class Port:
    """A port of the netlist, least significant bit first."""

    direction: str
    nets: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Netlist:
    """A flat netlist of library cells with at most one clock."""

    name: str
    library: Library
    net_count: int
    cell_names: tuple[str, ...]
    instances: tuple[str, ...]
    """For each cell, the instance of the top module that it came from; "" for the top module itself."""

    groups: tuple[CellGroup, ...]
    ports: dict[str, Port]

    @property
    def cell_counts(self) -> dict[str, int]:
        """Number of instances by library cell."""
        return {group.cell.name: len(group.cells) for group in self.groups}

    @cached_property
    def sequential(self) -> NDArray[np.bool_]:
        """Which cells are flip-flops, shape (cells,)."""
        found = np.zeros(len(self.cell_names), dtype=bool)
        for group in self.groups:
            found[group.cells] = group.cell.flip_flop is not None
        return found

    @cached_property
    def clock_nets(self) -> NDArray[np.int64]:
        """Nets at flip-flops' clock pins, each once."""
        clocks = [
            group.pin(group.cell.flip_flop.clocked_on.strip("!() "))
            for group in self.groups
            if group.cell.flip_flop is not None
        ]
        return np.unique(np.concatenate(clocks)) if clocks else np.zeros(0, dtype=np.int64)

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """Level of each cell: 0 for flip-flops, else one more than the highest of the cells before it; shape (cells,).

        Raises HardwareError if combinational cells form a loop.
        """
        level = np.zeros(len(self.cell_names), dtype=np.int64)
        known = np.ones(self.net_count + 1, dtype=bool)  # the last entry stands for UNCONNECTED
        waiting: list[tuple[CellGroup, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        for group in self.groups:
            if group.cell.flip_flop is None:
                outputs = group.nets[:, _columns(group.cell, "output")]
                known[outputs] = False
                waiting.append((group, group.cells, group.nets[:, _columns(group.cell, "input")], outputs))
        known[-1] = True
        depth = 0
        while waiting:
            depth += 1
            ready = [known[inputs].all(axis=1) for _, _, inputs, _ in waiting]
            if not any(mask.any() for mask in ready):
                name = self.cell_names[int(waiting[0][1][0])]
                raise HardwareError(f"{self.name}: combinational loop through or before {name}: put a register in it")
            for (_, cells, _, outputs), mask in zip(waiting, ready, strict=True):
                level[cells[mask]] = depth
                known[outputs[mask]] = True
            waiting = [
                (group, cells[~mask], inputs[~mask], outputs[~mask])
                for (group, cells, inputs, outputs), mask in zip(waiting, ready, strict=True)
                if not mask.all()
            ]
        return level

    def loads_pf(self, wire: WireLoad | None, output_pf: float = 0.0) -> NDArray[np.float64]:
        """Nominal capacitance on each net for a fall and for a rise: input pins, wire, output ports; (net_count, 2).

        wire: the wire-load model, or None for no wires; an output port counts as one more driven pin, and wires of
        constants and of the clock count as nothing. output_pf: load at each output port.
        """
        load = self._wire_loads_pf(wire, output_pf)
        for count, pin in self._driven_pins():
            load += np.outer(count, (pin.fall_capacitance_pf, pin.rise_capacitance_pf))
        return load

    def largest_loads_pf(self, wire: WireLoad | None, output_pf: float = 0.0) -> NDArray[np.float64]:
        """As `loads_pf`, with the largest capacitance that the library states for each pin: for the latest arrival."""
        load = self._wire_loads_pf(wire, output_pf)
        for count, pin in self._driven_pins():
            load += np.outer(count, (pin.largest_fall_capacitance_pf, pin.largest_rise_capacitance_pf))
        return load

    def _driven_pins(self) -> Iterator[tuple[NDArray[np.int64], Pin]]:
        """For each input pin of each library cell: how many of it each net drives, shape (net_count,), and the pin."""
        for group in self.groups:
            for column, pin in enumerate(group.cell.pins.values()):
                if pin.direction == "input":
                    sinks = group.nets[:, column]
                    yield np.bincount(sinks[sinks >= 0], minlength=self.net_count), pin

    def _wire_loads_pf(self, wire: WireLoad | None, output_pf: float) -> NDArray[np.float64]:
        load = np.zeros((self.net_count, 2))
        fanout = np.zeros(self.net_count, dtype=np.int64)
        for count, _ in self._driven_pins():
            fanout += count
        for port in self.ports.values():
            if port.direction == "output":
                np.add.at(load, port.nets, output_pf)
                np.add.at(fanout, port.nets, 1)
        fanout[[CONSTANT_ZERO, CONSTANT_ONE]] = 0
        fanout[self.clock_nets] = 0
        return load if wire is None else load + wire.at(fanout)[:, None]

    def overloaded(self, loads_pf: NDArray[np.float64]) -> int:
        """Number of nets with more load than their driver's `max_capacitance`; loads_pf: shape (net_count, 2)."""
        count = 0
        for group in self.groups:
            for column, pin in enumerate(group.cell.pins.values()):
                if pin.direction == "output":
                    driven = group.nets[:, column]
                    count += int((loads_pf[driven[driven >= 0]].max(axis=1) > pin.max_load_pf).sum())
        return count

    def net_names(self) -> list[str]:
        """A Verilog expression for each net: a port's bit, a constant, or `n` and its number."""
        return net_names({name: (port.direction, port.nets) for name, port in self.ports.items()}, self.net_count)


Ports = Mapping[str, tuple[str, NDArray[np.int64]]]
"""Direction and nets of each port by its name, least significant bit first."""


def net_names(ports: Ports, net_count: int) -> list[str]:
    """As `Netlist.net_names`, from the ports."""
    names = [f"n{net}" for net in range(net_count)]
    names[CONSTANT_ZERO], names[CONSTANT_ONE] = "1'b0", "1'b1"
    for wanted in ("output", "input"):
        for name, (direction, nets) in ports.items():
            if direction == wanted:
                for bit, net in enumerate(nets.tolist()):
                    if net > CONSTANT_ONE:
                        names[net] = name if len(nets) == 1 else f"{name}[{bit}]"
    return names


def _columns(cell: Cell, direction: str) -> list[int]:
    return [k for k, pin in enumerate(cell.pins.values()) if pin.direction == direction]


def read_netlist(text: str, library: Library, top: str) -> Netlist:
    """Read the JSON that yosys' `write_json` wrote for a flat module `top` mapped to `library`.

    Raises HardwareError if it is no such JSON, if a cell is not one of the library's (unmapped), or if two outputs
    drive one net.
    """
    try:
        netlist = _netlist(json.loads(text)["modules"][top], library, top)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise HardwareError(f"not the JSON netlist of a module {top!r}: {reason}") from None
    _check_drivers(netlist)
    return netlist


def _check_drivers(netlist: Netlist) -> None:
    """Raise HardwareError if two outputs, or an output and an input port, drive one net."""
    drivers = np.zeros(netlist.net_count, dtype=np.int64)
    for port in netlist.ports.values():
        if port.direction == "input":
            drivers[np.unique(port.nets)] += 1
    for group in netlist.groups:
        nets = group.nets[:, _columns(group.cell, "output")]
        np.add.at(drivers, nets[nets >= 0], 1)
    if (several := np.flatnonzero(drivers > 1)).size:
        net = int(several[0])
        raise HardwareError(f"{netlist.name}: {drivers[net]} outputs drive one net, {netlist.net_names()[net]}")


def _netlist(module: Any, library: Library, top: str) -> Netlist:
    """A flat module as arrays; whatever is not as yosys writes it raises one of Python's errors."""
    raw_cells = cast("dict[str, dict[str, Any]]", module["cells"])
    raw_ports = cast("dict[str, dict[str, Any]]", module["ports"])
    raw_cells = {name: cell for name, cell in raw_cells.items() if cell["type"] != "$scopeinfo"}
    unmapped = sorted({cell["type"] for cell in raw_cells.values()} - set(library.cells))
    if unmapped:
        raise HardwareError(
            f"{top}: not mapped to {library.name}: cells {', '.join(unmapped[:5])}; the library must have inverters, "
            "two-input gates and flip-flops"
        )
    numbers: dict[int | str, int] = {"0": CONSTANT_ZERO, "x": CONSTANT_ZERO, "z": CONSTANT_ZERO, "1": CONSTANT_ONE}

    def net(bit: int | str) -> int:
        if bit not in numbers:
            numbers[bit] = len(numbers) - 2
        return numbers[bit]

    ports = {
        name: Port(port["direction"], np.array([net(bit) for bit in port["bits"]], dtype=np.int64))
        for name, port in raw_ports.items()
    }
    members: dict[str, list[int]] = {}
    pins: dict[str, list[list[int]]] = {}
    for number, cell in enumerate(raw_cells.values()):
        kind, connections = cell["type"], cell["connections"]
        members.setdefault(kind, []).append(number)
        row = [net(connections[pin][0]) if connections.get(pin) else UNCONNECTED for pin in library.cells[kind].pins]
        pins.setdefault(kind, []).append(row)
    return Netlist(
        name=top,
        library=library,
        net_count=len(numbers) - 2,
        cell_names=tuple(raw_cells),
        instances=tuple(_instance(name) for name in raw_cells),
        groups=tuple(
            CellGroup(library.cells[kind], np.array(members[kind]), np.array(pins[kind], dtype=np.int64))
            for kind in sorted(members)
        ),
        ports=ports,
    )


def _instance(cell_name: str) -> str:
    match = _COMPONENT.match(cell_name)
    return match.group(1) if match else ""


def to_verilog(netlist: Netlist) -> str:
    """Structural Verilog of the netlist, cells named by number within their instance: `adder_tree_17`."""
    ports = {name: (port.direction, port.nets) for name, port in netlist.ports.items()}
    cells = (
        (group.cell.name, verilog_name(netlist, int(number)), tuple(group.cell.pins), row)
        for group in netlist.groups
        for number, row in zip(group.cells, group.nets, strict=True)
    )
    return structural_verilog(netlist.name, ports, netlist.net_count, cells)


def structural_verilog(
    name: str, ports: Ports, net_count: int, cells: Iterable[tuple[str, str, Sequence[str], NDArray[np.int64]]]
) -> str:
    """A flat module. cells: of each the library's name, its own, its pins, and the net at each, UNCONNECTED if open."""
    nets = [_escaped(each) for each in net_names(ports, net_count)]
    lines = [f"module {name} ({', '.join(map(_escaped, ports))});"]
    for port, (direction, own) in ports.items():
        span = "" if len(own) == 1 else f"[{len(own) - 1}:0] "
        lines.append(f"  {direction} {span}{_escaped(port)};")
    lines += [f"  wire {each};" for each in nets if re.fullmatch(r"n\d+", each)]
    for kind, cell, pins, row in cells:
        connected = ", ".join(f".{pin}({nets[net]})" for pin, net in zip(pins, row, strict=True) if net >= 0)
        lines.append(f"  {kind} {cell} ({connected});")
    for port, (direction, own) in ports.items():
        if direction == "output":
            for bit, net in enumerate(own):
                there = _escaped(port if len(own) == 1 else f"{port}[{bit}]")
                if nets[net] != there:
                    lines.append(f"  assign {there} = {nets[net]};")
    return "\n".join([*lines, "endmodule", ""])


def verilog_name(netlist: Netlist, cell: int) -> str:
    """The name that `to_verilog` gives to a cell."""
    return f"{netlist.instances[cell] or 'top'}_{cell}"


def _escaped(name: str) -> str:
    """A name as Verilog takes it: the neuron's port `output` is a keyword there."""
    base, bracket, index = name.partition("[")
    return f"\\{base} {bracket}{index}" if base in ("output", "input") else name
