"""Resources of an FPGA: LUTs, flip-flops, DSP blocks and block RAMs of an accelerator, its clock, devices' budgets.

`fpga_cost` is the way in; `counted` takes any circuit as RTLIL; `fastest` finds the sizes that compute most images a
second on a device, `best_sizes` those of fewest cycles where cycles and resources are given.
"""

from fewbits.hardware.fpga.counting import Clock, clock_of, counted
from fewbits.hardware.fpga.families import FAMILIES, Device, Family, device_named, family_named
from fewbits.hardware.fpga.network_fpga import FpgaCost, fpga_cost
from fewbits.hardware.fpga.parts import PartResources
from fewbits.hardware.fpga.resources import Resources
from fewbits.hardware.fpga.sizing import Sizing, best_sizes, fastest

__all__ = [
    "FAMILIES",
    "Clock",
    "Device",
    "Family",
    "FpgaCost",
    "PartResources",
    "Resources",
    "Sizing",
    "best_sizes",
    "clock_of",
    "counted",
    "device_named",
    "family_named",
    "fastest",
    "fpga_cost",
]
