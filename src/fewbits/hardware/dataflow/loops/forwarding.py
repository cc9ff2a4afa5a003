"""Cycles of systolic arrays: how long operands that move from neighbour to neighbour take to fill and drain an array.

Sources: A. Samajdar et al., "A systematic methodology for characterizing scalability of DNN accelerators using
SCALE-Sim", ISPASS 2020, section III; the golden reports of SCALE-Sim v3 are these figures.
"""

from __future__ import annotations

from fewbits.hardware.dataflow.loops.description import RELEVANT, Axis, Operand


def skew_cycles(space: tuple[Axis, ...]) -> int:
    """From the first element's start until the last one's: a cycle for each neighbour that something passes through.

    What is handed on along an axis reaches its last element size - 1 cycles after the first.
    """
    return sum(axis.size - 1 for axis in space if is_systolic(axis))


def is_systolic(axis: Axis) -> bool:
    """Whether anything is handed on along it."""
    return "systolic" in (axis.inputs, axis.weights, axis.outputs)


def is_moving(space: tuple[Axis, ...], operand: Operand) -> bool:
    """Whether an operand is handed on along an axis whose places all use it (sums: add to it): none keeps it."""
    return any(getattr(axis, operand) == "systolic" and not RELEVANT[operand] & set(axis.loops) for axis in space)


def preload_cycles(space: tuple[Axis, ...], stationary: Operand) -> int:
    """In which an operand that stays in the elements is shifted in, a place a cycle, before it is used; 0 of sums."""
    if stationary == "outputs":
        return 0
    return max((axis.size for axis in space if getattr(axis, stationary) == "systolic"), default=0)


def fold_cycles(rows: int, columns: int, streamed: int, stationary: Operand) -> int:
    """Of one fold on an array of rows x columns: what stays is loaded, `streamed` values pass, the last one drains.

    T + 2 rows + columns - 2 with weights or inputs that stay (T: the streamed values), K + rows + columns - 2 with sums
    (K: the products of one sum).
    """
    return streamed + (0 if stationary == "outputs" else rows) + rows + columns - 2


def reported_by_scalesim(folds: int, cycles_of_a_fold: int) -> int:
    """What SCALE-Sim calls the compute cycles of so many folds: the number, from 0, of the last one's last cycle."""
    return folds * cycles_of_a_fold - 1
