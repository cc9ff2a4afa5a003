"""The table of the accelerator's compiler: what each operation of a bit-exact network is compiled to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fewbits.bitexact import Concatenation, Flatten, InputRounding, ReLU, Rounding
from fewbits.bitexact.tables import Table
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.diannao.output_steps import OutputSteps


@dataclass(frozen=True)
class Compiled:
    """What an operation is compiled to."""

    descriptors: list[dict[str, int]]
    """One for each piece of it: all fields but the result's address and what all pieces have in common."""

    result_groups: tuple[int, int] | None = None
    """How its result leaves the chip where the network ends with it: groups of channels, and channels of the widest
    row. None where it cannot end a network."""


COMPILER: Table[Callable[[Any, Any, OutputSteps, Sequence[int]], Compiled]] = Table(
    "compiler of the accelerator",
    "a function that takes the compiler, the operation, its output steps and its inputs' addresses",
    HardwareError,
)
"""What an operation is compiled to, from the compiler, the operation, its output steps and its inputs' addresses; the
output steps themselves (`output_steps.STEPS`) are part of it and have no descriptor."""

for _without_circuit in (Concatenation, Flatten, InputRounding, ReLU, Rounding):
    COMPILER.refuse(
        _without_circuit,
        "is not in the accelerator's circuit, which has convolution, linear layers, pooling, addition and, behind "
        "these, ReLU: give a network of these",
    )
