"""Nets that never change where some ports are held: what a mode of a circuit switches off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.activity.program import Gates, gates_of_model
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO

_UNKNOWN = 2


def held_nets(model: EnergyModel, ports: Mapping[str, Sequence[int | None]]) -> NDArray[np.bool_]:
    """Which nets keep their level whatever the other ports do, shape (net_count,); constants are among them.

    ports: of each, the level that its bits are held at, least significant first; None for a bit that is free.
    A net is held where its gate gives one level in all states of the inputs that are not; a register, where it takes
    but one. Of gates together it is not found that they cancel.
    """
    level = np.full(model.net_count, _UNKNOWN, np.int8)
    level[CONSTANT_ZERO], level[CONSTANT_ONE] = 0, 1
    for name, held in ports.items():
        for net, bit in zip(model.ports[name][1], held, strict=True):
            if bit is not None:
                level[net] = bit
    gates = gates_of_model(model)
    known = -1
    while known != (known := int((level != _UNKNOWN).sum())):
        for each in gates:
            _settle(each, level)
    return level != _UNKNOWN


def _settle(gates: Gates, level: NDArray[np.int8]) -> None:
    """Set the levels of outputs that all states of their inputs agree on."""
    inputs = level[gates.inputs]
    reached = np.zeros((2, len(gates.outputs)), dtype=bool)
    for row in range(1 << gates.inputs.shape[1]):
        bits = np.array([row >> k & 1 for k in range(gates.inputs.shape[1])], np.int8)
        possible = ((inputs == bits) | (inputs == _UNKNOWN)).all(axis=1)
        reached[(gates.table >> row & 1) ^ gates.shows_inverse] |= possible
    found = (gates.outputs >= 0) & (reached[0] ^ reached[1])
    level[gates.outputs[found]] = reached[1][found]
