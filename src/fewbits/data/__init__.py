"""Data sets: the embedded digits, and readers of MNIST, SVHN, CIFAR-10 and .npz files."""

from fewbits.data.catalog import DATA_NAMES, load
from fewbits.data.dataset import Arrays, Dataset, Split
from fewbits.data.images import Images
from fewbits.data.readers import READERS, Reader

__all__ = ["DATA_NAMES", "READERS", "Arrays", "Dataset", "Images", "Reader", "Split", "load"]
