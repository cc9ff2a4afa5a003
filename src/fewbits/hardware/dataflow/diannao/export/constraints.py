"""Timing constraints of an exported module: the clock that its precision was characterized at, and assumed ports."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import load_technology

PORT_SHARE = 0.2
"""Part of the period that what stands outside takes at an input, and again at an output: a choice, to be replaced."""

_SDC = """# Timing of {top}, nanoseconds.
# The clock is {clock_mhz:g} MHz: {clock_source}.
create_clock -name clk -period {period:.4f} [get_ports clk]
# A choice: {share:.0%} of the period is spent outside before an input and after an output. Give your own values.
set_input_delay {delay:.4f} -clock clk [get_ports {{{inputs}}}]
set_output_delay {delay:.4f} -clock clk [get_ports {{{outputs}}}]
"""


@dataclass(frozen=True)
class Constraints:
    """An SDC file, and the clock in it."""

    text: str
    clock_mhz: float
    clock_source: str


def constraints(key: DatapathKey, verilog: str) -> Constraints:
    """Constraints of the first module of a Verilog text, whose clock is `clk`. key: of the datapath in it."""
    module = verilog[: verilog.index("endmodule")]
    (top,) = re.findall(r"(?m)^module (\w+)", module)
    ports = re.findall(r"(?m)^  (input|output) (?:signed )?(?:\[.*\] )?(\w+);", module)
    table = load_technology()
    known = table.find(key)
    clock_mhz = table.target_clock_mhz if known is None else known.clock_mhz
    source = (
        f"the target of technology {table.name}, where {key.name} is not characterized"
        if known is None
        else f"what {key.name} keeps at technology {table.name}"
    )
    period = 1000 / clock_mhz
    text = _SDC.format(
        top=top,
        clock_mhz=clock_mhz,
        clock_source=source,
        period=period,
        share=PORT_SHARE,
        delay=PORT_SHARE * period,
        inputs=" ".join(name for way, name in ports if way == "input" and name != "clk"),
        outputs=" ".join(name for way, name in ports if way == "output"),
    )
    return Constraints(text, clock_mhz, source)
