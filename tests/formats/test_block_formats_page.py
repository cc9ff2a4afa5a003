"""The tables of docs/block_formats.md are what its script makes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def test_the_tables_are_todays(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (TOP / "scripts").is_dir():
        pytest.skip("scripts/ is in the source tree alone")
    monkeypatch.syspath_prepend(str(TOP / "scripts"))
    import block_formats_page

    text = block_formats_page.PAGE.read_text(encoding="utf-8")
    assert block_formats_page.made(text) == text, "run scripts/block_formats_page.py"
    sys.modules.pop("block_formats_page")
