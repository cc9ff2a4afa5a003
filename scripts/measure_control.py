"""Measures the accelerator's control at several sizes, on a real library: `measure_control.py LIBERTY OUT.json`.

For each precision and number of neurons the control is synthesized and runs LeNet, as `fewbits characterize` does it
for one size, and compared with what `control.sizes` estimates from 16 neurons. It takes a quarter of a minute a size
on one core, a minute with 64 neurons, and goes on where it was stopped: what OUT.json holds is not measured again.
Sizes (neurons x rows) and precisions may follow as words: `measure_control.py LIBERTY OUT.json fixed8 8x64 16x64`.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.characterize import CLOCK_SLEW_NS
from fewbits.hardware.control.cost import control_cost
from fewbits.hardware.library.check import complete
from fewbits.hardware.library.liberty_reader import read_library
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.rtl.control import control_rtlil
from fewbits.hardware.rtl.design import design

PRECISIONS = ("fixed4", "fixed16", "float32")
SIZES = ("4x64", "8x64", "16x64", "32x64", "64x64", "16x16", "16x256")


def main(liberty: Path, out: Path, words: list[str]) -> None:
    """Measure what is not in `out` yet, writing it after each size."""
    sizes = [word for word in words if word[:1].isdigit()] or SIZES
    precisions = [word for word in words if not word[:1].isdigit()] or PRECISIONS
    library = complete(read_library(liberty)).library
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    found: dict[str, dict[str, float]] = json.loads(out.read_text()) if out.exists() else {}
    for precision in precisions:
        made = design(precision)
        for size in sizes:
            name = f"{precision} {size}"
            if name in found:
                continue
            neurons, rows = (int(number) for number in size.split("x"))
            accelerator = Accelerator(neurons=neurons, buffer_rows=rows)
            start = time.monotonic()
            rtlil = control_rtlil(made, accelerator)
            cost = control_cost(name, rtlil, made, library, conditions, accelerator.clock_mhz, _say, accelerator)
            print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
            found[name] = asdict(cost)
            out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
