"""An export writes nothing before all of it is made, and over nothing that is not as an earlier one wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.exit_status import INTERRUPTED
from fewbits.hardware.dataflow.diannao.export import accelerator as export_accelerator
from fewbits.hardware.dataflow.diannao.export import export_verilog
from fewbits.hardware.dataflow.diannao.export import verilog_export as export


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No accelerator, few vectors."""
    monkeypatch.setattr(export_accelerator, "accelerator_files", lambda *_: {"README.md": "", "buffers.v": "an array"})
    monkeypatch.setattr(export, "CHUNKS", 10)


def test_an_export_is_replaced_by_another_among_the_users_own_files(tmp_path: Path):
    export_verilog("fixed4", tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    export_verilog("fixed2", tmp_path)
    assert "module fixed2_neuron(" in (tmp_path / "neuron.v").read_text()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_that_the_user_put_his_macros_into_is_kept(tmp_path: Path):
    export_verilog("fixed4", tmp_path)
    (tmp_path / "buffers.v").write_text("my macro")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(HardwareError, match=r"buffers\.v' was changed since fewbits wrote it"):
        export_verilog("fixed2", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_interrupted_export_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_accelerator, "accelerator_files", stop)
    assert main(["rtl", "fixed4", "--out", str(tmp_path / "new" / "rtl")]) == INTERRUPTED
    assert capfd.readouterr().err.splitlines()[-1] == "fewbits: interrupted: give the same command again"
    assert not list(tmp_path.iterdir())
