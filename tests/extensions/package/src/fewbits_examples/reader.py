"""A reader of data: folders of PGM and PPM images, a folder a class.

    mine/train/cat/001.ppm    mine/test/cat/014.ppm
    mine/train/dog/001.ppm    mine/test/dog/007.ppm

The classes are numbered in the order of their names. Format: Netpbm's `pgm(5)` and `ppm(5)`, the binary kinds (P5 and
P6) with up to 255 values a sample; https://netpbm.sourceforge.net/doc/ppm.html.

A reader says whether a file or folder has its form, and reads it into `Arrays`: uint8 images, N x channels x height x
width, and int64 labels. Fewbits checks the labels, holds validation images out and normalizes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewbits import DataError
from fewbits.data import Arrays, Reader

_CHANNELS = {b"P5": 1, b"P6": 3}
_HEADER = re.compile(rb"(P[56])\s+(?:#[^\n]*\s+)*(\d{1,5})\s+(?:#[^\n]*\s+)*(\d{1,5})\s+(?:#[^\n]*\s+)*(\d{1,5})\s")
"""Kind, width, height and largest sample, with comments between them."""


def recognizes(path: Path) -> bool:
    """Whether there are folders of classes with such images in `train` and `test`."""
    return all(any(path.glob(f"{part}/*/*.p[gp]m")) for part in ("train", "test"))


def read(path: Path) -> Arrays:
    """All images below a folder. Raises DataError for a damaged one, another size, an unknown class."""
    classes = sorted(folder.name for folder in (path / "train").iterdir() if folder.is_dir())
    train, test = (_read_part(path / part, classes) for part in ("train", "test"))
    return Arrays(*train, *test, notes=(f"classes in the order of their folders: {', '.join(classes)}",))


def _read_part(folder: Path, classes: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    files = sorted(folder.glob("*/*.p[gp]m"))
    if unknown := {file.parent.name for file in files} - set(classes):
        raise DataError(f"{folder} has the class {min(unknown)!r}, of which there are no training images: add some")
    images = [_read_image(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(f"{file} is {image.shape}, {files[0]} is {images[0].shape}: bring all images to one size")
    labels = [classes.index(file.parent.name) for file in files]
    return np.stack(images), np.array(labels, dtype=np.int64)


def _read_image(file: Path) -> NDArray[np.uint8]:
    """One image, channels x height x width."""
    content = file.read_bytes()
    header = _HEADER.match(content)
    if header is None:
        raise DataError(f"{file} is no binary PGM or PPM image (P5 or P6): convert it, as pnmtopnm does")
    width, height, largest = (int(number) for number in header.groups()[1:])
    channels = _CHANNELS[header[1]]
    samples = content[header.end() :]
    if largest > 255 or len(samples) != width * height * channels:
        promised = f"{width} x {height} x {channels} samples of a byte"
        raise DataError(f"{file} must hold {promised}, it has {len(samples)} bytes, and samples up to {largest}")
    return np.frombuffer(samples, np.uint8).reshape(height, width, channels).transpose(2, 0, 1).copy()


reader = Reader("a folder with train/CLASS/*.pgm and test/CLASS/*.pgm (or .ppm)", recognizes, read)
