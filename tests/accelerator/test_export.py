"""Exported Verilog: the benches of other designs and of the user's own network pass in Icarus Verilog."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.errors import DataError
from fewbits.hardware.rtl import export_verilog

OWN_NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(1, 18, 7, stride=4), nn.BatchNorm2d(18), nn.ReLU(), nn.Conv2d(18, 20, 3, stride=2))
"""

DEEP_NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(1, 65, 7, stride=4), nn.ReLU(), nn.Conv2d(65, 18, 4))
"""
"""Its second layer sums 1,040 products at 9 positions: 65 rows of an SB of 64."""


def said_by_icarus(folder: Path, bench: str, *sources: str) -> str:
    """What a bench prints."""
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    subprocess.run(["iverilog", "-g2012", "-o", "bench", bench, *sources], cwd=folder, check=True)
    return subprocess.run(["vvp", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout


def assert_benches_pass(folder: Path) -> None:
    """That of the neuron and that of the accelerator."""
    assert said_by_icarus(folder, "neuron_bench.v", "neuron.v").startswith("PASS")
    circuit = ("accelerator.v", "tile.v", "neuron.v")
    assert said_by_icarus(folder, "accelerator_bench.v", *circuit).startswith("PASS")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "multiplier", "product_bits"),
    [("fixed8", "array", None), ("fixed8", "booth", 10), ("binary", "booth", None), ("fp8-e4m3", "booth", None)],
)
def test_benches_of_other_designs_pass(precision: str, multiplier: str, product_bits: int | None, tmp_path: Path):
    export_verilog(precision, tmp_path, multiplier=multiplier, product_bits=product_bits)
    assert_benches_pass(tmp_path)


@pytest.mark.slow
def test_bench_of_the_users_own_network_passes(tmp_path: Path):
    (tmp_path / "own.py").write_text(OWN_NETWORK)
    export_verilog("fixed4", tmp_path, model=f"{tmp_path / 'own.py'}:net")
    assert_benches_pass(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4", "fp8-e4m3"])
def test_bench_of_a_network_in_pieces_passes(precision: str, tmp_path: Path):
    (tmp_path / "deep.py").write_text(DEEP_NETWORK)
    export_verilog(precision, tmp_path, model=f"{tmp_path / 'deep.py'}:net")
    biases = (tmp_path / "biases.hex").read_text().splitlines()
    assert len(biases) > 2 * 9  # a row for each position of both groups of neurons, behind the biases
    assert said_by_icarus(tmp_path, "accelerator_bench.v", "accelerator.v", "tile.v", "neuron.v").startswith("PASS")


@pytest.mark.slow
def test_bench_of_the_accelerator_fails_on_a_wrong_sum(tmp_path: Path):
    export_verilog("fixed4", tmp_path)
    golden = tmp_path / "results.hex"
    golden.write_text(f"{int(golden.read_text(), 16) ^ 1:x}\n")
    said = said_by_icarus(tmp_path, "accelerator_bench.v", "accelerator.v", "tile.v", "neuron.v")
    assert said.startswith("FAIL: 1 errors")


@pytest.mark.slow
def test_readme_states_design_and_command(tmp_path: Path):
    assert main(["rtl", "fixed4", "--product-bits", "6", "--multiplier", "array", "--out", str(tmp_path)]) == 0
    readme = (tmp_path / "README.md").read_text()
    assert "array, product cut to the top 6 of 8 bits" in readme
    assert "`fewbits rtl fixed4 --multiplier array --product-bits 6`" in readme


def test_a_network_for_other_images_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"takes images of shape \(3, 32, 32\), data 'digits' has \(1, 28, 28\)"):
        export_verilog("fixed4", tmp_path, model="convnet")
