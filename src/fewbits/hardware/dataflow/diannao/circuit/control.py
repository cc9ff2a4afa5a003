"""The accelerator without its neurons and buffers: what is left to synthesize, as one flat module."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.accelerator import to_rtlil
from fewbits.hardware.dataflow.diannao.scheduling import BUFFERS
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.mapping.synthesis import run_yosys

_SCRIPT = """read_rtlil accelerator.il
hierarchy -top accelerator
select -module accelerator
expose -evert t:tile {buffers}
select -clear
delete tile neuron neuron.* multiplier float_adder {modules}
rename accelerator control
hierarchy -top control
proc
flatten
opt_clean
write_rtlil control.il
"""


def control_rtlil(design: NeuronDesign, accelerator: Accelerator) -> str:
    """Controller, address generation, operand and bias registers, pooling and write-back; its top module is `control`.

    What went to and came from the tile and the buffers are ports: `tile.first`, `bin.read_data` and so on.
    Raises HardwareError if yosys fails.
    """
    modules = [f"accelerator.{name}" for name in BUFFERS]
    script = _SCRIPT.format(buffers=" ".join(f"t:{name}" for name in modules), modules=" ".join(modules))
    with tempfile.TemporaryDirectory(prefix="fewbits-control-") as name:
        folder = Path(name)
        (folder / "accelerator.il").write_text(to_rtlil(design, accelerator), encoding="utf-8")
        (folder / "control.ys").write_text(script, encoding="utf-8")
        run_yosys(folder, "control.ys")
        return (folder / "control.il").read_text(encoding="utf-8")
