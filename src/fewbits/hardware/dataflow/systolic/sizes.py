"""The parameters of a systolic array with its buffers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import ASSUMED_BANDWIDTH, ASSUMED_MEMORY, LARGEST

SYSTOLIC = "systolic"
"""Name of the dataflow."""

_SMALLEST = {"rows": 1, "columns": 1, "input_rows": 2, "accumulator_rows": 2, "output_rows": 2, "memory_latency": 1}
"""Of each size: a buffer writes one row while it reads another."""


@dataclass(frozen=True)
class Systolic:
    """A weight-stationary systolic array: rows are synapses, columns are output channels.

    Source of the organization: Jouppi et al., "In-datacenter performance analysis of a tensor processing unit", ISCA
    2017, section 2, at sizes of one's own.
    """

    rows: int = 16
    """Elements in a column: products that are added on the way down."""

    columns: int = 16
    """Output channels computed side by side."""

    input_rows: int = 64
    """Rows of the buffer of inputs; each holds `rows` values, those of one output position."""

    accumulator_rows: int = 1024
    """Rows of the accumulators, each a sum of each column: output positions of layers with more synapses than rows.
    1,024 are those of a picture of 32 x 32; a layer with more is computed in parts."""

    output_rows: int = 64
    """Rows of the buffer of outputs; each holds a value of each column."""

    clock_mhz: float = 250.0
    """The clock aimed at; an element that cannot reach it runs at the clock that it reaches."""

    memory_latency: int = 8
    """Cycles from a request to the memory until the data are there, as `Accelerator.memory_latency`."""

    bandwidth: float | None = None
    """GB/s (10^9 bytes) between the chip and its memory; None for as much as the schedule needs. The generated circuit
    has no stall: a slower memory must stop its clock."""

    @property
    def dataflow(self) -> str:
        """The name of its dataflow."""
        return SYSTOLIC

    def definition(self) -> dict[str, Any]:
        """What tells it from others."""
        return {"dataflow": SYSTOLIC} | {name: value for name, value in asdict(self).items() if value is not None}

    def __post_init__(self) -> None:
        for name, least in _SMALLEST.items():
            value = getattr(self, name)
            if not is_integer(value, least):
                raise HardwareError(f"{name} must be an integer of at least {least}, not {shown(value)}")
            if value > LARGEST:
                raise HardwareError(f"{name} is too large: up to {LARGEST} are allowed")
        if not is_real(self.clock_mhz, 0, open_low=True):
            raise HardwareError(f"clock_mhz must be a positive number, not {shown(self.clock_mhz)}")
        if self.bandwidth is not None and not is_real(self.bandwidth, 0, open_low=True):
            raise HardwareError(
                f"bandwidth must be a positive number of GB/s, such as {ASSUMED_BANDWIDTH} for {ASSUMED_MEMORY}, not "
                f"{shown(self.bandwidth)}"
            )
