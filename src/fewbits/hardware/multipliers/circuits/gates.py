"""A circuit of gates as part of an Amaranth module: what a user's file holds, gate by gate."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value

from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO
from fewbits.hardware.multipliers.gate_circuit import GATES, GateCircuit
from fewbits.hardware.rtl.bit_heap import registered


def gate_rows(
    m: Module, circuit: GateCircuit, first: Value, second: Value, width: int, registers: int
) -> tuple[Value, Value]:
    """The circuit's output as one signed row of some width, so many registers behind it, and a row of zeros."""
    output = gate_output(m, circuit, first, second)
    row: Value = Cat(output, output[-1].replicate(max(0, width - len(output))))[:width]
    for _ in range(registers):
        row = registered(m, row, "product")
    return row, Const(0, width)


def gate_output(m: Module, circuit: GateCircuit, first: Value, second: Value) -> Value:
    """The circuit's output for values at its inputs, lowest bit first; its gates go into module `m`."""
    nets: dict[int, Value] = {CONSTANT_ZERO: Const(0, 1), CONSTANT_ONE: Const(1, 1)}
    for port, value in zip(circuit.inputs, (first, second), strict=True):
        nets |= {net: value[place] for place, net in enumerate(port.nets)}
    wires = {gate.output: Signal(name="gate") for gate in circuit.gates}
    nets |= wires
    for gate in circuit.gates:
        _, expression = GATES[gate.kind]
        m.d.comb += wires[gate.output].eq(expression(*(nets[net] for net in gate.inputs)))
    return Cat(*(nets[net] for net in circuit.output.nets))
