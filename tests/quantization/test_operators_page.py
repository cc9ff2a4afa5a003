"""docs/pytorch.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pytorch.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_page_on_pytorch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    exec(compile("\n".join(blocks), "docs/pytorch.md", "exec"), names)  # the project's own text
    assert (tmp_path / "net.onnx").is_file()
