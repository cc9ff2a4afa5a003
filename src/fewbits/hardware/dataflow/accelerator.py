"""The accelerator's parameters: a DianNao-like tile of neurons x synapses with its buffers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import HardwareError
from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES

LARGEST = 1 << 24
"""Of each size: what the circuit's addresses reach (`rtl.program.ADDRESS_BITS`)."""

DIANNAO = "diannao"
"""Name of the dataflow of this tile."""

ASSUMED_MEMORY = "DDR3-1600"
"""The memory whose latency `Accelerator.memory_latency` has by default."""

ASSUMED_BANDWIDTH = 12.8
"""Its peak, GB/s: 1,600 million transfers a second (JEDEC JESD79-3F, speed bin 1600K) of the 8 bytes of a module."""


@dataclass(frozen=True)
class Accelerator:
    """A tile with its buffers Bin (inputs), SB (synapses) and Bout (outputs).

    Source of the organization: Chen et al., "DianNao", ASPLOS 2014, section 5.
    """

    neurons: int = 16
    """Output neurons computed side by side."""

    synapses: int = DEFAULT_SYNAPSES
    """Products that each neuron adds in one cycle."""

    buffer_rows: int = 64
    """Rows of Bin, Bout and SB. A row of Bin holds `synapses` inputs, one of Bout `neurons` outputs, one of SB
    `neurons * synapses` weights."""

    clock_mhz: float = 250.0
    """The clock aimed at; a datapath that cannot reach it runs at the clock that it reaches."""

    memory_latency: int = 8
    """Cycles from a request to the memory until the data are there: 32 ns at 250 MHz. DDR3-1600 takes 27.5 ns to
    open a row and read it (JEDEC JESD79-3F, speed bin 1600K: tRCD and CL of 13.75 ns each); one more cycle is the
    interface's."""

    bandwidth: float | None = None
    """GB/s (10^9 bytes) between the chip and its memory; None for as much as the schedule needs, so that no transfer
    stalls it. The generated accelerator has no stall: a slower memory must stop its clock."""

    @property
    def dataflow(self) -> str:
        """The name of its dataflow; another dataflow has an accelerator class of its own (`base.Dataflow.sizes`)."""
        return DIANNAO

    def definition(self) -> dict[str, Any]:
        """What tells it from others; a bandwidth only where there is one, so that keys made of it stay valid."""
        fields = asdict(self)
        if self.bandwidth is None:
            del fields["bandwidth"]
        return fields

    def __post_init__(self) -> None:
        for name in ("neurons", "synapses", "buffer_rows", "memory_latency"):
            value = getattr(self, name)
            if not is_integer(value):
                raise HardwareError(f"{name} must be an integer of at least 1, not {shown(value)}")
            if value > LARGEST:
                raise HardwareError(f"{name} is too large: up to {LARGEST} are allowed")
        if not is_real(self.clock_mhz, 0, open_low=True):
            raise HardwareError(f"clock_mhz must be a positive number, not {shown(self.clock_mhz)}")
        if self.bandwidth is not None and not is_real(self.bandwidth, 0, open_low=True):
            raise HardwareError(
                f"bandwidth must be a positive number of GB/s, such as {ASSUMED_BANDWIDTH} for {ASSUMED_MEMORY}, not "
                f"{shown(self.bandwidth)}"
            )
