"""Data sets: the embedded digits, published sets, and the user's own; docs/data.md has all forms."""

from fewbits.data.catalog import DATA_NAMES, Stated, load
from fewbits.data.dataset import Arrays, Dataset, Inputs, Split
from fewbits.data.hugging_face import from_hugging_face
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
    "from_hugging_face",
    "from_torch",
    "load",
]
