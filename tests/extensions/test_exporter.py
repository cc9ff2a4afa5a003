"""The example of an exporter: what the C header computes is what the bit-exact network computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits.export import EXPORTERS, export_network

IMAGES = torch.randn(20, 1, 5, 6, generator=torch.Generator().manual_seed(2)) * 3

MAIN = """
#include "net.h"
#include <stdio.h>
int main(void) {
    double image[30]; int64_t logits[4];
    while (fread(image, sizeof image, 1, stdin) == 1) {
        net_run(image, logits);
        fwrite(logits, sizeof logits, 1, stdout);
    }
    return 0;
}
"""


def _network(precision: str) -> fb.BitExactNetwork:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(30, 9), nn.ReLU(), nn.Linear(9, 8, bias=False), nn.Linear(8, 4))
    q = fb.calibrate(fb.quantize(model, precision), IMAGES)
    for layer in q.layers.values():
        layer.input_fraction_bits += 2  # so that values saturate
    return fb.lower(q, IMAGES)


def _run_in_c(folder: Path, images: Tensor) -> Tensor:
    (folder / "main.c").write_text(MAIN)
    flags = ["-std=c99", "-Wall", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover"]
    subprocess.run(["gcc", *flags, "main.c", "-o", "main", "-lm"], cwd=folder, check=True, timeout=60)
    pixels = images.double().reshape(len(images), -1).numpy().tobytes()
    done = subprocess.run([folder / "main"], input=pixels, capture_output=True, check=True, timeout=60)
    return torch.frombuffer(bytearray(done.stdout), dtype=torch.int64).reshape(len(images), -1)


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize("precision", ["fixed8", "fixed3", "fixed16/fixed4", "pow2-6/fixed16", "ternary/fixed8"])
def test_the_c_program_gives_the_networks_accumulators(precision: str, tmp_path: Path) -> None:
    network = _network(precision)
    export_network(network, "c-header", tmp_path / "net.h")
    assert torch.equal(_run_in_c(tmp_path, IMAGES), network.accumulators(IMAGES))


@pytest.mark.usefixtures("examples")
def test_what_has_no_form_is_refused_by_name(tmp_path: Path) -> None:
    network = _network("binary")
    with pytest.raises(fb.ModelError, match="rounds to binary: the C header rounds to fixed2 to fixed32 alone"):
        export_network(network, "c-header", tmp_path / "net.h")
    assert not list(tmp_path.glob("*net.h"))


def test_the_command_exports_a_saved_network(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = _network("fixed8")
    network.save(tmp_path / "net.safetensors")
    monkeypatch.setenv("PYTHONPATH", str(examples), prepend=":")
    command = [sys.executable, "-m", "fewbits", "export", "net.safetensors", "--to", "c-header", "--out", "net.h"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "net.h\n", "")
    assert torch.equal(_run_in_c(tmp_path, IMAGES), network.accumulators(IMAGES))


@pytest.mark.usefixtures("examples")
def test_unknown_forms_are_told_with_those_of_extensions(tmp_path: Path) -> None:
    assert list(EXPORTERS) == ["fewbits", "c-header"]
    with pytest.raises(fb.ModelError, match=r"unknown exporter 'c_header': give one of fewbits, c-header; did"):
        export_network(_network("fixed8"), "c_header", tmp_path / "net.h")
