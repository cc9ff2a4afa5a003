"""The example of a reader: folders of PGM and PPM images, in the library and in a study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fewbits as fb

NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

net.input_shape = (1, 8, 8)
"""


def _write_digits(folder: Path, train: int = 300, test: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """The embedded digits, 8 x 8, as PGM files; the test images and labels in the order of their names."""
    digits = fb.data.load("digits")
    written: list[tuple[str, torch.Tensor, int]] = []
    for part, split, count in (("train", digits.train, train), ("test", digits.test, test)):
        for index in range(0, len(split), len(split) // count):
            image, label = split.images[index, 0, 2:26:3, 2:26:3], int(split.labels[index])
            path = folder / part / f"digit-{label}" / f"{index:04}.pgm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"P5\n# a digit\n8 8\n255\n" + image.numpy().tobytes())
            if part == "test":
                written.append((f"{path.parent.name}/{path.name}", image, label))
    written.sort(key=lambda each: each[0])
    return torch.stack([each[1] for each in written])[:, None], torch.tensor([each[2] for each in written])


@pytest.mark.usefixtures("examples")
def test_images_come_back_with_the_labels_of_their_folders(tmp_path: Path) -> None:
    images, labels = _write_digits(tmp_path / "mine")
    data = fb.data.load(tmp_path / "mine")
    assert (data.name, data.classes, data.image_shape) == ("mine", 10, (1, 8, 8))
    assert torch.equal(data.test.images[:], images)
    assert torch.equal(data.test.labels, labels)
    assert len(data.train) + len(data.validation) == 300


@pytest.mark.usefixtures("examples")
def test_colors_are_channels(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for part in ("train", "test"):
        for name in "abcd":
            path = tmp_path / part / f"class-{ord(name) % 2}" / f"{name}.ppm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"P6 3 2 255\n" + pixels.tobytes())
    assert fb.data.load(tmp_path).test.images[0].tolist() == pixels.transpose(2, 0, 1).tolist()


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5 8 8 255\n" + bytes(63), "must hold 8 x 8 x 1 samples of a byte, it has 63 bytes"),
        (b"P2 8 8 255\n", "is no binary PGM or PPM image"),
        (b"P5 4 4 255\n" + bytes(16), "bring all images to one size"),
    ],
)
def test_damaged_images_are_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    _write_digits(tmp_path, 40, 20)
    next((tmp_path / "test").glob("*/*.pgm")).write_bytes(content)
    with pytest.raises(fb.DataError, match=message):
        fb.data.load(tmp_path)


@pytest.mark.usefixtures("examples")
def test_a_folder_that_nobody_recognizes_names_the_reader_too(tmp_path: Path) -> None:
    with pytest.raises(fb.DataError, match=r"or what the reader 'pnm-folder' of fewbits-examples 1\.0 takes"):
        fb.data.load(tmp_path)


@pytest.mark.slow
def test_a_study_runs_on_the_folder(examples: Path, tmp_path: Path) -> None:
    _write_digits(tmp_path / "mine")
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "study.toml").write_text(
        'name = "pgm"\nmodels = ["net.py:net"]\ndata = ["mine"]\nprecisions = ["fixed8"]\n'
        'recipes = ["post-training"]\n[float_training]\nepochs = 10\nlearning_rate = 0.02\n'
    )
    environment = {"PYTHONPATH": f"{Path(fb.__file__).parents[1]}:{examples}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "fewbits", "run", "study.toml", "--out", "out", "--json", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [(run["data"], run["accuracy_percent"] > 40) for run in runs] == [("mine", True)]
