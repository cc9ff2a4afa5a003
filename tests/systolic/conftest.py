"""Real images for the simulated array."""

from __future__ import annotations

import pytest
from torch import Tensor

from fewbits import data


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """Twenty real digits, normalized."""
    dataset = data.load("digits")
    return dataset.inputs(dataset.test.images[:20])
