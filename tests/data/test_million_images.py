"""A million images stay in their file: what a process has beside the map."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

TRAIN, TEST = 900_000, 100_000

CODE = """
import sys
from fewbits.data import load
from fewbits.study.digest import data_sha256
from fewbits.train import TrainSettings
from fewbits.train.batches import Batches
import torch

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024

def passed_over(name):
    data = load(name)
    data_sha256(data)
    batches = Batches(data, TrainSettings(batch_size=256), torch.contiguous_format)
    count = -(-len(data.train) // 256)
    order = torch.randperm(len(data.train))
    highest = max(anonymous() for _ in batches.epoch(order, count, torch.Generator()))
    return len(data.train) + len(data.validation) + len(data.test), highest

_, few = passed_over("digits")
count, many = passed_over(sys.argv[1])
print(count, many, many - few)
"""


def write_million(path: Path) -> None:
    """Noise of 28 x 28, as numpy.savez stores it, written a part at a time."""
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for part, count in (("train", TRAIN), ("test", TEST)):
            with archive.open(f"x_{part}.npy", "w", force_zip64=True) as file:
                shape = {"descr": "|u1", "fortran_order": False, "shape": (count, 28, 28)}
                npy.write_array_header_1_0(file, shape)
                for _ in range(0, count, 20_000):
                    file.write(generator.integers(0, 256, (20_000, 28, 28), dtype=np.uint8).tobytes())
            with archive.open(f"y_{part}.npy", "w") as file:
                npy.write_array(file, (np.arange(count) % 10).astype(np.uint8))


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process has in memory is read from /proc")
def test_a_million_images_take_300_mib_beside_the_map(tmp_path: Path):
    write_million(tmp_path / "million.npz")
    found = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path / "million.npz"], capture_output=True, text=True, check=True
    )
    count, anonymous, added = map(float, found.stdout.split())
    assert count == TRAIN + TEST
    assert anonymous < 300
    assert added < 100
