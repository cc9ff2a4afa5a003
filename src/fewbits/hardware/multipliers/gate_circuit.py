"""Combinational circuits of simple gates, as read from a user's file: what they compute, found exhaustively."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import BLOCK_CYCLES, BLOCK_WORDS
from fewbits.hardware.activity.program import Gates, compile_gates
from fewbits.hardware.activity.toggles import Stimulus, bits_of_words, count_toggles, words_of_bits
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO

Expression = Callable[..., Any]
"""A gate's output from its inputs, of numbers (of which bit 0 counts) or of a circuit's values."""


def _one(expression: Callable[[Any], Any]) -> tuple[str, Expression]:
    return "A", expression


def _two(expression: Callable[[Any, Any], Any]) -> tuple[str, Expression]:
    return "AB", expression


def _three(pins: str, expression: Callable[[Any, Any, Any], Any]) -> tuple[str, Expression]:
    return pins, expression


def _four(expression: Callable[[Any, Any, Any, Any], Any]) -> tuple[str, Expression]:
    return "ABCD", expression


GATES: Mapping[str, tuple[str, Expression]] = {
    "BUF": _one(lambda a: a),
    "NOT": _one(lambda a: ~a),
    "AND": _two(lambda a, b: a & b),
    "NAND": _two(lambda a, b: ~(a & b)),
    "OR": _two(lambda a, b: a | b),
    "NOR": _two(lambda a, b: ~(a | b)),
    "XOR": _two(lambda a, b: a ^ b),
    "XNOR": _two(lambda a, b: ~(a ^ b)),
    "ANDNOT": _two(lambda a, b: a & ~b),
    "ORNOT": _two(lambda a, b: a | ~b),
    "MUX": _three("ABS", lambda a, b, s: (a & ~s) | (b & s)),
    "NMUX": _three("ABS", lambda a, b, s: ~((a & ~s) | (b & s))),
    "AOI3": _three("ABC", lambda a, b, c: ~((a & b) | c)),
    "OAI3": _three("ABC", lambda a, b, c: ~((a | b) & c)),
    "AOI4": _four(lambda a, b, c, d: ~((a & b) | (c & d))),
    "OAI4": _four(lambda a, b, c, d: ~((a | b) & (c | d))),
}
"""Yosys' gates of one bit by name, which it writes as `$_NAME_`: their input pins, and what the pin Y is."""


@dataclass(frozen=True)
class Gate:
    """One gate."""

    kind: str
    """Of GATES."""

    inputs: tuple[int, ...]
    """Nets in the order of the kind's pins."""

    output: int
    """Its net."""


@dataclass(frozen=True)
class CircuitPort:
    """A port and its nets, least significant bit first."""

    name: str
    nets: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class GateCircuit:
    """A combinational circuit of two input ports and one output port; nets 0 and 1 are the constants."""

    name: str
    """Of its module."""

    inputs: tuple[CircuitPort, CircuitPort]
    output: CircuitPort
    gates: tuple[Gate, ...]
    net_count: int

    @property
    def widths(self) -> tuple[int, int, int]:
        """Bits of the inputs and of the output."""
        return len(self.inputs[0].nets), len(self.inputs[1].nets), len(self.output.nets)

    @cached_property
    def outputs(self) -> NDArray[np.int64]:
        """Its output as an unsigned number for each pair of codes: 2**bits of one input x 2**bits of the other.

        Raises HardwareError if gates form a loop, or the inputs have more than 24 bits together.
        """
        first, second, _ = self.widths
        if first + second > _MOST_INPUT_BITS:
            raise HardwareError(
                f"{self.name} has inputs of {first} and {second} bits: at most {_MOST_INPUT_BITS} bits together are "
                "simulated exhaustively"
            )
        pairs = np.arange(1 << (first + second))
        nets = np.array([*self.inputs[1].nets, *self.inputs[0].nets], np.int64)
        bits = (pairs[:, None] >> np.arange(first + second)) & 1
        seen = _settled(self, nets, bits.astype(np.uint8))[: len(pairs)].astype(np.int64)
        return (seen << np.arange(seen.shape[1])).sum(axis=1).reshape(1 << first, 1 << second)


_MOST_INPUT_BITS = 24
"""Of both inputs together: 2**24 products are 128 MiB of int64. Tables take 16 (`LARGEST_TABLE_BITS` each)."""


def _settled(circuit: GateCircuit, nets: NDArray[np.int64], bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bits of the output port, a row for each row of what the input nets see."""
    gates = [
        _gates(kind, list(members)) for kind, members in groupby(sorted(circuit.gates, key=_kind), key=_kind)
    ]  # fmt: skip
    gates = gates or [_gates("BUF", [])]
    names = [f"{gate.kind} gate" for gate in sorted(circuit.gates, key=_kind)]
    for group, start in zip(gates, np.cumsum([0, *(len(each.outputs) for each in gates)]), strict=False):
        group.cells[:] = np.arange(len(group.outputs)) + start
    try:
        program = compile_gates(gates, circuit.net_count, names, nets.tolist())
    except HardwareError:
        raise HardwareError(
            f"{circuit.name} has a combinational loop: what it computes would depend on what it computed before"
        ) from None
    words = words_of_bits(bits)
    blocks = len(words)
    stimulus = Stimulus(nets, words, np.zeros((blocks, BLOCK_WORDS), np.uint64), np.zeros(blocks, np.int64))
    watched = np.array(circuit.output.nets, np.int64)
    found = bits_of_words(count_toggles(program, stimulus, watch=watched).values)
    assert len(found) == blocks * BLOCK_CYCLES
    return found


def _kind(gate: Gate) -> str:
    return gate.kind


def _gates(kind: str, members: Sequence[Gate]) -> Gates:
    """Gates of a kind as the activity engine takes them."""
    inputs = np.array([gate.inputs for gate in members], np.int64).reshape(len(members), len(GATES[kind][0]))
    outputs = np.array([gate.output for gate in members], np.int64)
    return Gates(kind, truth_table(kind), inputs, outputs, np.zeros(len(members), np.int64))


def truth_table(kind: str) -> int:
    """Of a kind of gate: bit i is its output where input k has the value of bit k of i."""
    pins, expression = GATES[kind]
    rows = product((0, 1), repeat=len(pins))  # the last input changes first
    return sum((expression(*reversed(row)) & 1) << place for place, row in enumerate(rows))


def check_nets(circuit: GateCircuit) -> None:
    """Raise HardwareError for an unknown gate, and a net without a driver that something reads, or with several."""
    for gate in circuit.gates:
        if gate.kind not in GATES or len(gate.inputs) != len(GATES[gate.kind][0]):
            raise HardwareError(f"{circuit.name}: no gate {gate.kind!r} of {len(gate.inputs)} inputs")
        if not CONSTANT_ONE < gate.output < circuit.net_count:
            raise HardwareError(f"{circuit.name}: net {gate.output} is none of its {circuit.net_count}")
    driven = {CONSTANT_ZERO, CONSTANT_ONE}
    for net in (*(net for port in circuit.inputs for net in port.nets), *(gate.output for gate in circuit.gates)):
        if net in driven:
            raise HardwareError(f"{circuit.name}: a net of it has two drivers, or an input is a constant")
        driven.add(net)
    for place, net in enumerate(circuit.output.nets):
        if net not in driven:
            raise HardwareError(f"{circuit.name}: nothing drives bit {place} of its output {circuit.output.name!r}")
    if any(net not in driven for gate in circuit.gates for net in gate.inputs):
        raise HardwareError(f"{circuit.name}: a gate reads a net that nothing drives")
