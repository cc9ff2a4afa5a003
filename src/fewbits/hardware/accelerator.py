"""The accelerator's parameters: a DianNao-like tile of neurons x synapses with its buffers."""

from __future__ import annotations

from dataclasses import dataclass

from fewbits.errors import HardwareError


@dataclass(frozen=True)
class Accelerator:
    """A tile with its buffers Bin (inputs), SB (synapses) and Bout (outputs).

    Source of the organization: Chen et al., "DianNao", ASPLOS 2014, section 5.
    """

    neurons: int = 16
    """Output neurons computed side by side."""

    synapses: int = 16
    """Products that each neuron adds in one cycle."""

    buffer_rows: int = 64
    """Rows of Bin, Bout and SB. A row of Bin holds `synapses` inputs, one of Bout `neurons` outputs, one of SB
    `neurons * synapses` weights."""

    clock_mhz: float = 250.0
    """The clock aimed at; a datapath that cannot reach it runs at the clock that it reaches."""

    def __post_init__(self) -> None:
        for name in ("neurons", "synapses", "buffer_rows"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise HardwareError(f"{name} must be a positive integer, not {value!r}")
        if not self.clock_mhz > 0:
            raise HardwareError(f"clock_mhz must be positive, not {self.clock_mhz!r}")
