"""One cycle of reset is enough, whatever the registers hold before it: chips have no initial values."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from comparison import TILE, lowered
from torch import Tensor

from fewbits import models
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao import simulation as simulate_accelerator
from fewbits.hardware.dataflow.diannao.circuit.accelerator import to_rtlil
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.mapping.synthesis import run_yosys

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")


def with_random_registers(rtlil: str, seed: int, folder: Path) -> str:
    """The circuit with random bits as the initial values of all flip-flops."""
    (folder / "given.il").write_text(rtlil)
    (folder / "random.ys").write_text(
        "read_rtlil given.il\nhierarchy -top accelerator\nproc\nopt_clean\nsetattr -unset init w:*\n"
        f"setundef -init -random {seed + 1}\nopt_clean\nwrite_rtlil random.il\n"
    )
    run_yosys(folder, "random.ys")
    changed = (folder / "random.il").read_text()
    assert len(re.findall(r"attribute \\init \d+'\S*1", changed)) > 100
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("precision", STUDY_PRECISIONS)
def test_lenet_runs_from_random_registers_after_one_cycle_of_reset(
    precision: str, digits: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    network = lowered(models.build("lenet", seed=1), precision, digits)
    made = design(precision)
    expected = simulate_accelerator.AcceleratorSimulator(made, TILE).run(network, digits[:1])
    for seed in (0, 1):

        def randomized(a: NeuronDesign, b: Accelerator, seed: int = seed) -> str:
            return with_random_registers(to_rtlil(a, b), seed, tmp_path)

        monkeypatch.setattr(simulate_accelerator, "to_rtlil", randomized)
        assert simulate_accelerator.AcceleratorSimulator(made, TILE).run(network, digits[:1]) == expected
