"""A tile of neurons whose multipliers split computes layers of 8 and of 4 bits of one network, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits import HardwareError
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware import Accelerator
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.dataflow.diannao.export import export_verilog
from fewbits.hardware.dataflow.diannao.simulation import AcceleratorSimulator
from fewbits.hardware.datapath import design

SMALL = Accelerator(neurons=4, synapses=4)
MADE = design("fixed8", 4, multiplier="composable")

pytestmark = pytest.mark.slow


@cache
def simulator() -> AcceleratorSimulator:
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    return AcceleratorSimulator(MADE, SMALL)


class Residual(nn.Module):
    """Every kind of layer that the circuit has: convolutions, an addition, a pooling, matrix products."""

    input_shape = (2, 8, 8)

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(2, 5, 3, padding=1)
        self.second = nn.Conv2d(5, 6, 3)
        self.third = nn.Conv2d(6, 6, 1)
        self.pool = nn.AvgPool2d(2) if seed % 2 else nn.MaxPool2d(2)
        self.fourth = nn.Linear(54, 21)
        self.last = nn.Linear(21, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        x = self.pool(torch.relu(x + self.third(x)))
        return self.last(torch.relu(self.fourth(x.flatten(1))))


def mixed(seed: int, layers: dict[str, str], base: str = "fixed8") -> tuple[BitExactNetwork, torch.Tensor]:
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(seed))
    quantized = fb.quantize(Residual(seed).eval(), base, layers=layers)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1]), images


ASSIGNMENTS = (
    {},
    dict.fromkeys(("second", "third", "fourth"), "fixed4"),
    dict.fromkeys(("first", "fourth", "last"), "fixed4"),
    dict.fromkeys(("second", "last"), "fixed4"),
    dict.fromkeys(("first", "second", "third", "fourth", "last"), "fixed4"),
)


@pytest.mark.parametrize("layers", ASSIGNMENTS, ids=lambda layers: "-".join(layers) or "none")
@pytest.mark.parametrize("seed", [0, 1])
def test_sums_cycles_and_accesses_are_those_of_the_network_and_its_cost(layers: dict[str, str], seed: int):
    network, images = mixed(seed, layers)
    found = fb.cost(network, accelerator=SMALL, datapaths="composable")
    runs = simulator().run(network, images)
    assert [run.logits for run in runs] == network.accumulators(images).reshape(len(images), -1).tolist()
    assert {run.cycles for run in runs} == {found.cycles}
    for name in ("bin", "sb", "bout"):
        rows = [memory for layer in found.breakdown.layers for memory in layer.memories if memory.name == name]
        assert runs[0].accesses[f"{name}_reads"] == sum(one.reads for one in rows)
        assert runs[0].accesses[f"{name}_writes"] == sum(one.writes for one in rows)


def test_layers_of_other_formats_are_refused():
    network, _ = mixed(0, {"fourth": "fixed6"})
    with pytest.raises(
        HardwareError, match="rounds to fixed6, which the outputs of fixed8 composable 4 synapses are not"
    ):
        compile_network(network, MADE, SMALL)


def test_a_row_of_weights_is_as_wide_in_both_modes():
    network, _ = mixed(0, ASSIGNMENTS[1])
    program = compile_network(network, MADE, SMALL)
    assert program.weights.shape[1] == SMALL.neurons * SMALL.synapses * MADE.weight_lane_bits // 32
    assert np.any(program.weights)


@pytest.mark.parametrize("mode", ["fixed8", "fixed4"])
def test_the_exported_accelerator_passes_its_bench_in_icarus(mode: str, tmp_path: Path):
    if shutil.which("iverilog") is None:
        pytest.skip("needs iverilog")
    given = {}
    if mode == "fixed8":
        network, images = mixed(0, ASSIGNMENTS[1])
        given = {"network": network, "images": images}
    export_verilog(mode, tmp_path, multiplier="composable", accelerator=SMALL, **given)
    files = "accelerator_bench.v accelerator.v buffers.v tile.v neuron.v"
    said = [
        subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for command in (f"iverilog -g2012 -o bench {files}", "vvp bench")
    ]
    assert said[1].startswith("PASS")
