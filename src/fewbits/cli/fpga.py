"""The options of `fewbits cost` for FPGAs, and what they ask of the library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from fewbits.cli.shared import progress_line
from fewbits.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.hardware import AnyAccelerator, Workload
    from fewbits.hardware.fpga import FpgaCost

Families = Annotated[
    list[str] | None,
    typer.Option("--fpga", metavar="FAMILY", help="Also resources on xc7, ecp5 or ice40; repeat for several."),
]
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", metavar="NAME", help="The same, against a device's budget, such as xc7a35t; repeat."),
]
Best = Annotated[
    bool, typer.Option("--best", help="With --device: neurons and synapses of most images a second on it.")
]
Fill = Annotated[float, typer.Option(metavar="PART", help="With --best: how much of the device may be taken.")]
FpgaMultiplier = Annotated[str, typer.Option(help="On FPGAs: operator (DSP blocks), booth or array (LUTs).")]


@dataclass(frozen=True)
class FpgaRequest:
    """What was asked for of FPGAs."""

    families: Sequence[str]
    devices: Sequence[str]
    best: bool
    fill: float
    multiplier: str
    product_bits: int | None
    clock_mhz: float | None

    def check(self) -> None:
        """Raise HardwareError for what cannot be, before any work."""
        from fewbits.hardware.fpga import device_named, family_named

        for name in self.families:
            family_named(name)
        for name in self.devices:
            device_named(name)
        if self.best and not self.devices:
            raise HardwareError("--best looks for the best sizes on a device: give one with --device, such as xc7a35t")
        if self.fill != 1.0 and not self.best:
            raise HardwareError("--fill says how much of a device --best may take: give --best and --device too")

    def costs(self, workload: Workload, precision: str, accelerator: AnyAccelerator) -> list[FpgaCost]:
        """A cost for each device, and for each family that no device is of."""
        from fewbits.hardware.fpga import device_named, fastest, fpga_cost

        def counted(family: str | None = None, device: str | None = None) -> FpgaCost:
            return fpga_cost(
                workload, precision, family, device=device, accelerator=accelerator, multiplier=self.multiplier,
                product_bits=self.product_bits, clock_mhz=self.clock_mhz, progress=progress_line,
            )  # fmt: skip

        def best(device: str) -> FpgaCost:
            return fastest(
                workload, precision, device=device, fill=self.fill, accelerator=accelerator, multiplier=self.multiplier,
                product_bits=self.product_bits, clock_mhz=self.clock_mhz, progress=progress_line,
            )  # fmt: skip

        of_devices = [best(device) if self.best else counted(device=device) for device in self.devices]
        held = {device_named(device)[0].name for device in self.devices}
        return [*(counted(name) for name in self.families if name.lower() not in held), *of_devices]
