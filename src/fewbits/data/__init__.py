"""Data sets: the embedded digits, and readers of MNIST, SVHN, CIFAR-10 and .npz files."""

from fewbits.data.catalog import DATA_NAMES, Stated, load
from fewbits.data.dataset import Arrays, Dataset, Inputs, Split
from fewbits.data.images import Images
from fewbits.data.readers import READERS, Reader
from fewbits.data.torch_sets import from_torch

__all__ = [
    "DATA_NAMES",
    "READERS",
    "Arrays",
    "Dataset",
    "Images",
    "Inputs",
    "Reader",
    "Split",
    "Stated",
    "from_torch",
    "load",
]
