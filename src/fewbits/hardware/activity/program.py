"""A netlist compiled for the activity engine: two-input operations on rows of words, in the order of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import AND, REGISTER
from fewbits.hardware.activity.order import CORE, depths, sort_gates
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO, UNCONNECTED, Netlist
from fewbits.hardware.process.library.boolean import truth_table, variables
from fewbits.hardware.process.library.gate_functions import MAXIMUM_INPUTS, GateProgram, Operand, gate_program
from fewbits.hardware.process.library.liberty import Cell

_ALL_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, eq=False)
class Gates:
    """Gates of one function: each drives one net; a register takes the function's value a cycle later."""

    name: str
    """Of the library's cell."""

    table: int
    """Truth table over the inputs: bit i is the value where input k has the value of bit k of i."""

    inputs: NDArray[np.int64]
    """Nets, shape (n, inputs)."""

    outputs: NDArray[np.int64]
    """Nets, shape (n,); UNCONNECTED where the output is open."""

    cells: NDArray[np.int64]
    """Number of each gate's cell, shape (n,)."""

    is_register: bool = False
    shows_inverse: bool = False
    """Whether a register's output is the inverse of its state. All states are zero at first."""


@dataclass(frozen=True, eq=False)
class Program:
    """Operations for `activity_kernels.run_blocks`; see there."""

    net_count: int
    kind: NDArray[np.uint8]
    a: NDArray[np.uint32]
    b: NDArray[np.uint32]
    out: NDArray[np.uint32]
    invert_a: NDArray[np.uint64]
    invert_b: NDArray[np.uint64]
    invert_out: NDArray[np.uint64]
    before_core: int
    after_core: int
    core_registers: int
    core_inputs: NDArray[np.uint32]
    scratch_rows: int
    gates: int
    core_gates: int
    """Gates and registers that are evaluated cycle by cycle, as feedback goes through them."""

    gate_first: NDArray[np.int64]
    """First operation of each gate that is no register, shape (combinational gates,)."""

    gate_end: NDArray[np.int64]
    earliest: NDArray[np.int64]
    """Fewest gates between a port or register and each net; shape (net_count,)."""

    latest: NDArray[np.int64]
    """Most gates, -1 for a net that never changes."""

    @cached_property
    def steps(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Time steps of unit delays: start of each in the two other arrays, first and end of operations there.

        Step 0 lists ports' and registers' nets in place of operations. A gate belongs to every step between the
        fewest and the most gates before it.
        """
        nets = self.out[self.gate_end - 1]
        soonest, last = self.earliest[nets], self.latest[nets]
        depth = int(last.max(initial=0))
        sources = np.flatnonzero(self.latest == 0)
        descending = np.argsort(-last, kind="stable")
        first, end, start = [sources], [sources], [0, len(sources)]
        for step in range(1, depth + 1):
            chosen = descending[(soonest[descending] <= step) & (last[descending] >= step)]
            first.append(self.gate_first[chosen])
            end.append(self.gate_end[chosen])
            start.append(start[-1] + len(chosen))
        return np.array(start, dtype=np.int64), np.concatenate(first), np.concatenate(end)


def gates_of(netlist: Netlist) -> list[Gates]:
    """The gates of a mapped netlist.

    Raises HardwareError for a cell that the engine has no model of: latches, cells without a function, flip-flops that
    are clocked by a falling edge or have a set or reset that is not tied to its inactive value.
    """
    found: list[Gates] = []
    for group in netlist.groups:
        cell = group.cell
        if cell.flip_flop is not None:
            _check_flip_flop(netlist, cell, {name: group.pin(name) for name in cell.inputs})
        for output in cell.outputs:
            function, inverse = _function(netlist, cell, output)
            names = variables(function)
            if len(names) > MAXIMUM_INPUTS:
                raise HardwareError(
                    f"{netlist.name}: {cell.name} has a function of {len(names)} inputs, up to {MAXIMUM_INPUTS} are "
                    "allowed"
                )
            inputs = np.stack([group.pin(name) for name in names], axis=1) if names else np.zeros((len(group.cells), 0))
            table = sum(1 << row for row, value in enumerate(truth_table(function, names)) if value)
            nets = np.where(inputs >= 0, inputs, CONSTANT_ZERO).astype(np.int64)
            found.append(
                Gates(cell.name, table, nets, group.pin(output), group.cells, cell.flip_flop is not None, inverse)
            )
    return found


def gates_of_model(model: EnergyModel) -> list[Gates]:
    """The gates of a netlist whose cells' functions are truth tables already; set and reset are inactive.

    Raises HardwareError for a cell with an output that has no function.
    """
    found: list[Gates] = []
    for block in model.blocks:
        if not block.kind.functions:
            raise HardwareError(
                f"{model.name}: {block.kind.name} has no function: the activity engine has no model of it"
            )
        for each in block.kind.functions:
            inputs = block.nets[:, list(each.inputs)]
            nets = np.where(inputs >= 0, inputs, CONSTANT_ZERO)
            outputs = block.nets[:, each.output]
            found.append(
                Gates(block.kind.name, each.table, nets, outputs, block.cells, each.is_register, each.shows_inverse)
            )
    return found


def _function(netlist: Netlist, cell: Cell, output: str) -> tuple[str, bool]:
    """What an output computes, or what a flip-flop's takes at the clock's edge and whether it shows the inverse."""
    function = cell.pins[output].function
    if cell.is_latch or not function:
        what = "a latch" if cell.is_latch else f"without a function at {output}"
        raise HardwareError(f"{netlist.name}: {cell.name} is {what}: the activity engine has no model of it")
    if cell.flip_flop is None:
        return function, False
    shown = function.strip("() ")
    if shown not in (cell.flip_flop.state, cell.flip_flop.inverted_state):
        raise HardwareError(f"{netlist.name}: {cell.name}: {output} shows {shown!r}, no state of the flip-flop")
    return cell.flip_flop.next_state, shown == cell.flip_flop.inverted_state


def _check_flip_flop(netlist: Netlist, cell: Cell, pins: dict[str, NDArray[np.int64]]) -> None:
    assert cell.flip_flop is not None
    if cell.flip_flop.clocked_on.strip("() ") not in cell.pins:
        raise HardwareError(
            f"{netlist.name}: {cell.name} is clocked on {cell.flip_flop.clocked_on!r}: the activity engine takes "
            "flip-flops of the rising edge"
        )
    for expression in (cell.flip_flop.clear, cell.flip_flop.preset):
        if expression:
            names = variables(expression)
            nets = np.stack([pins[name] for name in names], axis=1)
            if not np.isin(nets, (CONSTANT_ZERO, CONSTANT_ONE)).all():
                raise HardwareError(
                    f"{netlist.name}: {cell.name} has its set or reset {expression!r} driven by logic: the activity "
                    "engine takes it tied to a constant"
                )
            rows = (nets == CONSTANT_ONE) @ (1 << np.arange(len(names)))
            if truth_table(expression, names)[rows].any():
                raise HardwareError(f"{netlist.name}: {cell.name} is held in set or reset by {expression!r}")


def compile_gates(gates: Sequence[Gates], net_count: int, cell_names: Sequence[str], ports: Sequence[int]) -> Program:
    """Order gates and write their operations.

    cell_names: by cell number, for errors. ports: nets that input ports drive.
    Raises HardwareError if combinational gates form a loop.
    """
    kinds = [gate_program(each.table, each.inputs.shape[1]) for each in gates]
    owner = np.concatenate([np.full(len(each.outputs), k) for k, each in enumerate(gates)])
    member = np.concatenate([np.arange(len(each.outputs)) for each in gates])
    outputs = np.concatenate([each.outputs for each in gates]).astype(np.int64)
    widths = np.array([each.inputs.shape[1] for each in gates])[owner]
    input_start = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    input_nets = np.concatenate([each.inputs.ravel() for each in gates]).astype(np.int64)
    is_register = np.array([each.is_register for each in gates])[owner]
    order, region = np.zeros(len(outputs), np.int64), np.zeros(len(outputs), np.int64)
    looping = sort_gates(input_start, input_nets, outputs, is_register, net_count, order, region)
    if looping >= 0:
        name = cell_names[int(gates[int(owner[looping])].cells[member[looping]])]
        raise HardwareError(f"combinational loop through or before {name}: put a register in it")
    earliest, latest = np.zeros(net_count, np.int64), np.full(net_count, -1, np.int64)
    latest[list(ports)] = 0
    depths(order, input_start, input_nets, outputs, is_register, earliest, latest)
    writer = _Writer(net_count)
    core_registers = 0
    for gate in order.tolist():
        number, place, net = int(owner[gate]), int(region[gate]), int(outputs[gate])
        each = gates[number]
        inputs = input_nets[input_start[gate] : input_start[gate + 1]]
        if net == UNCONNECTED:
            continue
        writer.gate(kinds[number], inputs, net, each.is_register, each.shows_inverse, place)
        core_registers += place == CORE and each.is_register
    return writer.program(core_registers, len(outputs), int((region == CORE).sum()), earliest, latest)


class _Writer:
    """Collects operations by region: before the core, in it, after it."""

    def __init__(self, net_count: int) -> None:
        self.net_count = net_count
        self.scratch_rows = 0
        self.rows: list[tuple[int, int, int, int, int, int, int]] = []
        self.regions = [0, 0, 0]
        self.spans: list[tuple[int, int]] = []

    def gate(
        self, program: GateProgram, inputs: NDArray[np.int64], net: int, register: bool, inverse: bool, region: int
    ) -> None:
        """Write one gate's operations; a register's function, if it is more than a pin, into a scratch row first."""
        first = len(self.rows)
        if register:
            if program.operations or program.result is None:
                raise HardwareError("a flip-flop whose next state is more than one pin: synthesize with plain ones")
            source = int(inputs[program.result.source])
            self.rows.append((REGISTER, source, source, net, program.result.inverted, False, inverse))
        else:
            self._combinational(program, inputs, net)
            self.spans.append((first, len(self.rows)))
        self.regions[region] += len(self.rows) - first

    def _combinational(self, program: GateProgram, inputs: NDArray[np.int64], net: int) -> None:
        if program.result is None:
            self.rows.append((AND, CONSTANT_ZERO, CONSTANT_ZERO, net, False, False, program.constant))
            return
        if not program.operations:
            source, inverted = int(inputs[program.result.source]), program.result.inverted
            self.rows.append((AND, source, source, net, False, False, inverted))
            return
        last = len(program.operations) - 1
        self.scratch_rows = max(self.scratch_rows, last)

        def row(operand: Operand) -> int:
            number = operand.source - len(inputs)
            return int(inputs[operand.source]) if number < 0 else self.net_count + number

        for number, operation in enumerate(program.operations):
            out = net if number == last else self.net_count + number
            inverted = number == last and program.result.inverted
            a, b = operation.a, operation.b
            if operation.kind == AND:
                self.rows.append((AND, row(a), row(b), out, a.inverted, b.inverted, inverted))
            else:
                odd = a.inverted ^ b.inverted ^ inverted
                self.rows.append((operation.kind, row(a), row(b), out, False, False, odd))

    def program(
        self,
        core_registers: int,
        gates: int,
        core_gates: int,
        earliest: NDArray[np.int64],
        latest: NDArray[np.int64],
    ) -> Program:
        """All that was written, as arrays."""
        table = np.array(self.rows, dtype=np.int64).reshape(-1, 7)
        masks = np.where(table[:, 4:] != 0, _ALL_ONES, np.uint64(0))
        before, after = self.regions[0], self.regions[0] + self.regions[1]
        core = table[before:after]
        read = np.unique(core[:, 1:3])
        spans = np.array(self.spans, dtype=np.int64).reshape(-1, 2)
        return Program(
            net_count=self.net_count,
            kind=table[:, 0].astype(np.uint8),
            a=table[:, 1].astype(np.uint32),
            b=table[:, 2].astype(np.uint32),
            out=table[:, 3].astype(np.uint32),
            invert_a=masks[:, 0].copy(),
            invert_b=masks[:, 1].copy(),
            invert_out=masks[:, 2].copy(),
            before_core=before,
            after_core=after,
            core_registers=core_registers,
            core_inputs=np.setdiff1d(read[read < self.net_count], core[:, 3]).astype(np.uint32),
            scratch_rows=max(1, self.scratch_rows),
            gates=gates,
            core_gates=core_gates,
            gate_first=spans[:, 0].copy(),
            gate_end=spans[:, 1].copy(),
            earliest=earliest,
            latest=latest,
        )
