"""Cycle by cycle simulation of a mapped netlist whose inputs depend on its outputs, toggles counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fewbits.compiled import compiled
from fewbits.hardware.activity.kernels import REGISTER, XOR
from fewbits.hardware.activity.toggles import compile_model, compile_netlist
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.energy.power import CLOCK_TOGGLES, Activity
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, Netlist

Watch = Callable[[int, NDArray[np.uint64], NDArray[np.uint64]], None]
"""Sees each counted cycle: its kind, the settled values of all nets in the cycle before and in this one, (net_count,),
to be read and not kept."""


class SequentialSimulation:
    """A netlist that is stepped through its cycles: `set` inputs, `settle`, `get` outputs, `clock`.

    All registers are zero at first. Toggles are changes between the settled values of consecutive cycles, counted by
    kind of cycle. watch: called as a counted cycle ends. Raises HardwareError as `activity.compile_netlist` does.
    """

    def __init__(self, netlist: Netlist | EnergyModel, kinds: int, watch: Watch | None = None) -> None:
        if isinstance(netlist, EnergyModel):
            program = compile_model(netlist)
            self._ports = {name: nets for name, (_, nets) in netlist.ports.items()}
        else:
            program = compile_netlist(netlist)
            self._ports = {name: port.nets for name, port in netlist.ports.items()}
        self._clock_nets = netlist.clock_nets
        self._watch = watch
        is_register = program.kind == REGISTER
        self._gates, self._registers = (
            tuple(np.ascontiguousarray(column[mask]) for column in (
                program.kind, program.a, program.b, program.out, program.invert_a & 1, program.invert_b & 1,
                program.invert_out & 1,
            ))
            for mask in (~is_register, is_register)
        )  # fmt: skip
        self._values = np.zeros(program.net_count + program.scratch_rows, np.uint64)
        self._values[CONSTANT_ONE] = 1
        self._values[self._registers[3]] = self._registers[6]  # states of zero as they are shown
        self._before = self._values[: program.net_count].copy()
        self._next = np.zeros(int(is_register.sum()), np.uint64)
        self._toggles = np.zeros((kinds, program.net_count), np.int64)
        self._ones = np.zeros((kinds, program.net_count), np.int64)
        self._cycles = np.zeros(kinds, np.int64)

    def set(self, port: str, bits: NDArray[np.uint8]) -> None:
        """Bits of an input port, lowest first. A port that synthesis removed is ignored."""
        if port in self._ports:
            nets = self._ports[port]
            self._values[nets] = bits[: len(nets)]

    def get(self, port: str) -> NDArray[np.uint64]:
        """Bits of a port, lowest first."""
        return self._values[self._ports[port]]

    def number(self, port: str) -> int:
        """A port's bits as an unsigned number."""
        bits = self.get(port).astype(np.uint8)
        return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")

    def settle(self) -> None:
        """Combinational cells take their values."""
        _settle(*self._gates, self._values)

    def clock(self, kind: int, *, counts: bool = True) -> None:
        """End a cycle of a kind: its toggles are counted, the registers take their next values."""
        if counts:
            _count(self._values, self._before, self._toggles[kind], self._ones[kind])
            self._cycles[kind] += 1
            if self._watch is not None:
                self._watch(kind, self._before, self._values[: len(self._before)])
        self._before[:] = self._values[: len(self._before)]
        _clock(*self._registers, self._values, self._next)

    def activity(self, kind: int) -> Activity:
        """Toggles and duty of each net in the cycles of a kind."""
        cycles = max(1, int(self._cycles[kind]))
        toggles, duty = self._toggles[kind] / cycles, self._ones[kind] / cycles
        toggles[self._clock_nets], duty[self._clock_nets] = CLOCK_TOGGLES, 0.5
        return Activity(toggles, duty)


@compiled  # pragma: no cover (runs as machine code)
def _settle(kind, a, b, out, invert_a, invert_b, invert_out, values):
    for i in range(len(kind)):
        x, y = values[a[i]] ^ invert_a[i], values[b[i]] ^ invert_b[i]
        values[out[i]] = (x ^ y if kind[i] == XOR else x & y) ^ invert_out[i]


@compiled  # pragma: no cover (runs as machine code)
def _clock(kind, a, b, out, invert_a, invert_b, invert_out, values, taken):
    for i in range(len(kind)):
        taken[i] = values[a[i]] ^ invert_a[i] ^ invert_out[i]
    for i in range(len(kind)):
        values[out[i]] = taken[i]


@compiled  # pragma: no cover (runs as machine code)
def _count(values, before, toggles, ones):
    for net in range(len(before)):
        toggles[net] += np.int64(values[net] ^ before[net])
        ones[net] += np.int64(values[net])
