"""A neuron with stuck nets, simulated cycle by cycle: each lane of a word is one image.

All lanes share weights and control, as the neurons of an accelerator compute one image after another in the same
order. Every net of the netlist is computed, so that faults in registers, tree and control of the neuron take part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import AND, REGISTER
from fewbits.hardware.activity.program import Program
from fewbits.hardware.activity.toggles import compile_model
from fewbits.hardware.defects.lane_kernels import run_lanes
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO

LANE_BITS = 64
"""Images in a word of the simulation, which is an unsigned integer of so many bits."""

_ALL_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)

Words = NDArray[np.uint64]


def with_faults(program: Program, stuck: Iterable[tuple[int, int]]) -> Program:
    """The program with nets held at a value. stuck: nets that a gate drives, each with 0 or 1.

    Raises HardwareError for a net that no gate drives, or another value.
    """
    a, b, kind = program.a.copy(), program.b.copy(), program.kind.copy()
    inverts = program.invert_a.copy(), program.invert_b.copy(), program.invert_out.copy()
    for net, value in stuck:
        rows = np.flatnonzero(program.out == net) if net < program.net_count else np.zeros(0, np.int64)
        if not rows.size:
            raise HardwareError(f"no gate of the neuron drives net {net}: a fault lies on one of `fault_sites`")
        if value not in (0, 1):
            raise HardwareError(f"a net is stuck at 0 or 1, not {value}")
        a[rows] = b[rows] = CONSTANT_ZERO  # a register goes on taking zeros, and shows them or their inverse
        kind[rows] = np.where(kind[rows] == REGISTER, REGISTER, AND)
        inverts[0][rows] = inverts[1][rows] = 0
        inverts[2][rows] = _ALL_ONES if value else 0
    return replace(program, kind=kind, a=a, b=b, invert_a=inverts[0], invert_b=inverts[1], invert_out=inverts[2])


class FaultyNeuron:
    """A neuron's netlist in many lanes, from power-on: all registers zero."""

    def __init__(self, model: EnergyModel, stuck: Iterable[tuple[int, int]], lanes: int) -> None:
        """lanes: independent copies that are simulated at once. Raises HardwareError as `with_faults` does."""
        program = with_faults(compile_model(model), stuck)
        self.lanes = lanes
        self._ports = {name: nets for name, (_, nets) in model.ports.items()}
        is_register = program.kind == REGISTER
        columns = (program.kind, program.a, program.b, program.out,
                   program.invert_a, program.invert_b, program.invert_out)  # fmt: skip
        self._gates, self._registers = (
            tuple(np.ascontiguousarray(column[mask]) for column in columns) for mask in (~is_register, is_register)
        )
        width = -(-lanes // LANE_BITS)
        self._values = np.zeros((program.net_count + program.scratch_rows, width), np.uint64)
        self._values[CONSTANT_ONE] = _ALL_ONES
        self._values[self._registers[3]] = self._registers[6][:, None]
        self._next = np.zeros((int(is_register.sum()), width), np.uint64)

    def run(
        self,
        shared: dict[str, NDArray[np.uint8]],
        own: dict[str, Words],
        watched: NDArray[np.int64],
        seen_in: NDArray[np.bool_],
    ) -> Words:
        """Go on for some cycles.

        shared: bits of ports that are the same in all lanes, (cycles, bits), by port. own: words of those that are
        not, (cycles, bits, words of lanes). watched: nets whose settled values are wanted in the cycles that seen_in,
        (cycles,), marks. Result: (marked cycles, watched, words of lanes).
        """
        shared, own = self._known(shared), self._known(own)
        words = self._values.shape[1]
        nothing = np.zeros((len(seen_in), 0), np.uint8)
        own_bits = list(own.values()) or [np.zeros((len(seen_in), 0, words), np.uint64)]
        seen = np.zeros((int(seen_in.sum()), len(watched), words), np.uint64)
        run_lanes(
            *self._gates, *self._registers, self._values, self._next,
            self._nets(shared), np.concatenate([nothing, *shared.values()], axis=1),
            self._nets(own), np.ascontiguousarray(np.concatenate(own_bits, axis=1)), watched, seen_in, seen,
        )  # fmt: skip
        return seen

    def nets_of(self, port: str) -> NDArray[np.int64]:
        """Nets of a port, lowest bit first."""
        return self._ports[port]

    def _known(self, bits: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Those of ports that synthesis left; of their bits, as many as the port has."""
        return {name: each[:, : len(self._ports[name])] for name, each in bits.items() if name in self._ports}

    def _nets(self, bits: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
        return np.concatenate([np.zeros(0, np.int64), *(self._ports[name] for name in bits)])


def lane_words(codes: NDArray[np.int64], bits: int) -> Words:
    """Bits of codes in lanes: (lanes, cycles, codes) to (cycles, codes x bits, words), a code's lowest bit first."""
    lanes, cycles, each = codes.shape
    width = -(-lanes // LANE_BITS)
    padded = np.zeros((width * LANE_BITS, cycles, each * bits), np.uint8)
    padded[:lanes] = (codes[..., None] >> np.arange(bits) & 1).astype(np.uint8).reshape(lanes, cycles, -1)
    packed = np.packbits(padded, axis=0, bitorder="little")
    return np.ascontiguousarray(np.moveaxis(packed, 0, -1)).view("<u8").astype(np.uint64, copy=False)


def lane_codes(words: Words, lanes: int) -> NDArray[np.int64]:
    """The unsigned codes of up to 63 bits in rows of words: (cycles, bits, words) to (lanes, cycles)."""
    flat = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    bits = np.unpackbits(flat, axis=-1, bitorder="little")[..., :lanes].astype(np.int64)
    return (bits << np.arange(words.shape[1])[:, None]).sum(axis=1).T
