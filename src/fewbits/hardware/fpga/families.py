"""FPGA families: how yosys maps to one, what its cells take of a device, and devices with their budgets.

A family is one entry of FAMILIES; all that differs between families is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.fpga.resources import Resources


@dataclass(frozen=True)
class Device:
    """One device of a family."""

    name: str
    budget: Resources
    source: str
    """Where the budget is stated."""


@dataclass(frozen=True)
class Family:
    """A family of FPGAs, as yosys maps to it."""

    name: str
    words: str
    script: str
    """The yosys command; the top module's name follows it."""

    cells: Mapping[str, Resources]
    """What each cell takes of a device, by the name that yosys gives it. A cell that is not here is refused."""

    memory_rows: int
    memory_bits: int
    """Rows and bits a row of one block RAM of 1.0 `block_rams`, at its widest with a port that reads and one that
    writes."""

    memory_step: float
    """The smallest part of a block RAM that can be used by itself."""

    devices: tuple[Device, ...]
    """From the smallest."""

    names: str
    """What its vendor calls LUTs, DSP blocks, block RAMs and carry cells."""

    no_clock: str
    """Why no clock can be told, in words, where no placer has told one."""

    carry: tuple[str, str] | None = None
    """The carry cell and its port that another one's carry comes to, where chains take something of their own."""

    placer: str | None = None
    """The placer and router that tells its clock; None where fewbits runs none."""

    def memory(self, rows: int, bits: int) -> Resources:
        """Block RAMs of a memory that writes one row while it reads another: each may be halved in width and doubled in
        rows, again and again, and the fewest are taken.
        """
        columns = self.memory_bits * self.memory_step
        shapes = [(self.memory_rows << i, columns / (1 << i)) for i in range(int(columns).bit_length())]
        return Resources(
            block_rams=self.memory_step * min(-(-rows // deep) * ceil(bits / wide) for deep, wide in shapes)
        )

    def device(self, name: str) -> Device:
        """One of its devices. Raises HardwareError, with the names there are, for another."""
        for one in self.devices:
            if one.name == name.lower():
                return one
        known = ", ".join(one.name for one in self.devices)
        raise HardwareError(f"{self.words} has no device {shown(name)} here: choose one of {known}")


def _each(names: str, taken: Resources) -> dict[str, Resources]:
    """What several cells take alike."""
    return dict.fromkeys(names.split(), taken)


CARRY_CHAIN = "carry chain"
"""In a family's table: no cell, but a row of carry cells that begins with a constant."""

_LUT, _FLIP_FLOP, _NOTHING = Resources(luts=1), Resources(flip_flops=1), Resources()

_DS180 = "AMD Xilinx DS180, 7 Series FPGAs Data Sheet: Overview"
_DS190 = "AMD Xilinx DS190, Zynq-7000 SoC Data Sheet: Overview"
_ECP5 = "Lattice FPGA-DS-02012, ECP5 and ECP5-5G Family; utilization report of nextpnr-ecp5"
_ICE40 = "Lattice FPGA-DS-02029, iCE40 LP/HX Family"
_ICE40_ULTRA_PLUS = "Lattice FPGA-DS-02008, iCE40 UltraPlus Family"

FAMILIES: Mapping[str, Family] = {
    "xc7": Family(
        name="xc7",
        words="Xilinx 7 series",
        script="synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top",
        cells={
            **_each("LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 INV SRL16E SRLC32E", _LUT),
            **_each("RAM32X1D RAM64X1D", Resources(luts=2)),
            **_each("RAM32M RAM64M RAM128X1D", Resources(luts=4)),
            **_each("FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1", _FLIP_FLOP),
            **_each("MUXF7 MUXF8 MUXF9 VCC GND", _NOTHING),
            "CARRY4": Resources(carries=1),
            "DSP48E1": Resources(dsps=1),
            "RAMB18E1": Resources(block_rams=0.5),
            "RAMB36E1": Resources(block_rams=1),
        },
        memory_rows=512,
        memory_bits=72,
        memory_step=0.5,
        devices=(
            Device("xc7a35t", Resources(20_800, 41_600, 90, 50), _DS180),
            Device("xc7z020", Resources(53_200, 106_400, 220, 140), _DS190),
            Device("xc7a100t", Resources(63_400, 126_800, 240, 135), _DS180),
            Device("xc7a200t", Resources(134_600, 269_200, 740, 365), _DS180),
            Device("xc7k325t", Resources(203_800, 407_600, 840, 445), _DS180),
            Device("xc7vx485t", Resources(303_600, 607_200, 2_800, 1_030), _DS180),
        ),
        names="LUTs of six inputs, DSP48E1, RAMB36E1 (a RAMB18E1 is half of one), CARRY4",
        no_clock="no placer for Xilinx 7 series is on PyPI, so that no clock can be told",
    ),
    "ecp5": Family(
        name="ecp5",
        words="Lattice ECP5",
        script="synth_ecp5 -top",
        cells={
            "LUT4": _LUT,
            # Two LUTs with the carry between them; a LUT of distributed RAM has two more for writing (nextpnr).
            "CCU2C": Resources(luts=2, carries=1),
            # The placer puts a CCU2C in front of each chain and one behind it, for carries from and to logic; measured.
            CARRY_CHAIN: Resources(luts=4),
            "TRELLIS_DPR16X4": Resources(luts=6),
            "TRELLIS_FF": _FLIP_FLOP,
            **_each("PFUMX L6MUX21 VLO VHI", _NOTHING),
            "MULT18X18D": Resources(dsps=1),
            **_each("DP16KD PDPW16KD", Resources(block_rams=1)),
        },
        memory_rows=512,
        memory_bits=36,
        memory_step=1,
        devices=(
            Device("lfe5u-25f", Resources(24_288, 24_288, 28, 56), _ECP5),
            Device("lfe5u-45f", Resources(43_848, 43_848, 72, 108), _ECP5),
            Device("lfe5u-85f", Resources(83_640, 83_640, 156, 208), _ECP5),
        ),
        names="LUTs of four inputs, MULT18X18D, DP16KD (sysMEM EBR), CCU2C",
        no_clock="nextpnr-ecp5 is not installed; pip install 'fewbits[fpga]' for the clock that is reached",
        carry=("CCU2C", "CIN"),
        placer="nextpnr-ecp5",
    ),
    "ice40": Family(
        name="ice40",
        words="Lattice iCE40",
        script="synth_ice40 -dsp -top",
        cells={
            "SB_LUT4": _LUT,
            "SB_CARRY": Resources(carries=1),
            **{
                f"SB_DFF{edge}{kind}": _FLIP_FLOP
                for edge in ("", "N")
                for kind in ("", "E", "R", "S", "SR", "SS", "ER", "ES", "ESR", "ESS")
            },
            "SB_MAC16": Resources(dsps=1),
            **_each("SB_RAM40_4K SB_RAM40_4KNR SB_RAM40_4KNW SB_RAM40_4KNRNW", Resources(block_rams=1)),
        },
        memory_rows=256,
        memory_bits=16,
        memory_step=1,
        devices=(
            Device("ice40up5k", Resources(5_280, 5_280, 8, 30), _ICE40_ULTRA_PLUS),
            Device("ice40hx8k", Resources(7_680, 7_680, 0, 32), _ICE40),
        ),
        names="LUTs of four inputs, SB_MAC16 (UltraPlus alone has it), SB_RAM40_4K, SB_CARRY",
        no_clock="fewbits runs no placer for Lattice iCE40, so that no clock is told",
    ),
}
"""By the name that `--fpga` takes."""


def family_named(name: str) -> Family:
    """A family. Raises HardwareError, with the names there are, for another."""
    if name.lower() in FAMILIES:
        return FAMILIES[name.lower()]
    known = ", ".join(f"{one.name} ({one.words})" for one in FAMILIES.values())
    raise HardwareError(f"there is no FPGA family {shown(name)}: choose one of {known}")


def device_named(name: str) -> tuple[Family, Device]:
    """A device of any family. Raises HardwareError, with the names there are, for another."""
    for family in FAMILIES.values():
        for device in family.devices:
            if device.name == name.lower():
                return family, device
    known = ", ".join(device.name for family in FAMILIES.values() for device in family.devices)
    raise HardwareError(f"there is no FPGA device {shown(name)}: choose one of {known}")
