"""Fixtures that several parts' tests share: where the real data and the process design kit lie, if they are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder `shared` beside the checkout, with real data and a process design kit."""
    folder = CHECKOUT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder `shared` beside the checkout")
    return folder


@pytest.fixture(scope="session")
def pdk() -> Path:
    """Folder of the IHP SG13G2 liberty files: PDK_ROOT, or beside the checkout."""
    root = os.environ.get("PDK_ROOT")
    folder = Path(root) if root else CHECKOUT.parent / "shared" / "pdk"
    if not (folder / "ihp-sg13g2").is_dir():
        pytest.skip("needs the IHP SG13G2 liberty files: set PDK_ROOT to the folder that holds ihp-sg13g2")
    return folder / "ihp-sg13g2"


@pytest.fixture
def odd_circuit(tmp_path: Path) -> Path:
    """A user's multiplier that makes something of zeros."""
    from odd_multiplier import ODD

    path = tmp_path / "odd.v"
    path.write_text(ODD)
    return path
