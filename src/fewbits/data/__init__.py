"""Data sets: the embedded digits, and readers of MNIST, SVHN, CIFAR-10 and .npz files."""

from fewbits.data.catalog import DATA_NAMES, load
from fewbits.data.dataset import Dataset, Split

__all__ = ["DATA_NAMES", "Dataset", "Split", "load"]
