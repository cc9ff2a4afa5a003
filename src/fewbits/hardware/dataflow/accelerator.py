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

    buffer_ports: int = 2
    """Of each buffer's macros: 2, one that reads and one that writes; or 1, which does either, so that a row that is
    written while another is read waits, or makes it wait (`diannao.ports`)."""

    buffer_banks: int = 1
    """Memories that each buffer's rows are interleaved over, one access each a cycle and port."""

    @property
    def dataflow(self) -> str:
        """The name of its dataflow; another dataflow has an accelerator class of its own (`base.Dataflow.sizes`)."""
        return DIANNAO

    def definition(self) -> dict[str, Any]:
        """What tells it from others; what came later only where it is not as before, so that keys made of it stay."""
        usual = {"bandwidth": None, "buffer_ports": 2, "buffer_banks": 1}
        return {name: value for name, value in asdict(self).items() if name not in usual or value != usual[name]}

    def __post_init__(self) -> None:
        for name in ("neurons", "synapses", "buffer_rows", "memory_latency", "buffer_banks"):
            value = getattr(self, name)
            if not is_integer(value):
                raise HardwareError(f"{name} must be an integer of at least 1, not {shown(value)}")
            if value > LARGEST:
                raise HardwareError(f"{name} is too large: up to {LARGEST} are allowed")
        if not is_integer(self.buffer_ports, 1, 2):
            raise HardwareError(f"buffer_ports must be 1 or 2, not {shown(self.buffer_ports)}")
        if self.buffer_banks > self.buffer_rows:
            raise HardwareError(
                f"buffer_banks must be at most the {self.buffer_rows} rows of a buffer, not {self.buffer_banks}"
            )
        if not is_real(self.clock_mhz, 0, open_low=True):
            raise HardwareError(f"clock_mhz must be a positive number, not {shown(self.clock_mhz)}")
        if self.bandwidth is not None and not is_real(self.bandwidth, 0, open_low=True):
            raise HardwareError(
                f"bandwidth must be a positive number of GB/s, such as {ASSUMED_BANDWIDTH} for {ASSUMED_MEMORY}, not "
                f"{shown(self.bandwidth)}"
            )
