"""The commands answer as the contract says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fewbits import __version__
from fewbits.cli import main
from fewbits.hardware import load_technology

COST_FIELDS = {
    *("precision", "memory_kib", "cycles", "clock_mhz", "area_mm2", "power_mw", "energy_uj", "activity"),
    *("multiplier", "interpolated", "energy_uj_by_part", "leakage_uj", "layers", "off_chip_uj"),
    *("energy_with_off_chip_uj", "clock_limited_by", "longest_paths_ns", "clock_notes", "own_datapaths"),
    *("bandwidth_gb_s", "needed_bandwidth_gb_s", "transfer_stall_cycles"),
    *("narrower_layers", "layer_datapaths", "conversions", "notes"),
    *("products_per_cycle", "operations", "gops", "peak_gops", "gops_per_w", "gops_per_mm2"),
}
RUN_FIELDS = {
    "model", "data", "precision", "recipe", "seed", "accuracy_percent", "fake_quantized_accuracy_percent",
    "differing_images", "memory_kib", "area_mm2", "power_mw", "cycles", "energy_uj", "energy_saving_percent",
    "energy_interval_uj", "energy_without_glitches_uj", "off_chip_uj", "activity",
    "stands_for",
}  # fmt: skip

STUDY = """
name = "tiny"
models = ["lenet"]
data = ["digits"]
precisions = ["float32", "fixed8"]
recipes = ["post-training"]
seeds = [0]

[float_training]
epochs = 1
"""


def test_version_and_help(capfd: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"fewbits {__version__}\n"
    assert main(["--help"]) == 0
    assert "characterize" in capfd.readouterr().out


def test_help_loads_no_torch():
    code = "import sys; from fewbits.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "fewbits", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"fewbits {__version__}\n")


def test_formats_are_listed(capfd: pytest.CaptureFixture[str]):
    assert main(["formats"]) == 0
    out = capfd.readouterr().out
    assert all(name in out for name in ("fp8-e4m3", "fixed32", "pow2-6", "ternary", "binary", "float-eXmY"))


def test_one_format_is_shown(capfd: pytest.CaptureFixture[str]):
    assert main(["formats", "fixed8"]) == 0
    out = capfd.readouterr().out
    assert "8 bits, 256 values" in out
    assert "-128 to 127" in out


def test_cost_as_json(capfd: pytest.CaptureFixture[str]):
    assert main(["cost", "lenet", "fixed8", "binary/fixed16", "--json"]) == 0
    costs = json.loads(capfd.readouterr().out)
    assert [one["precision"] for one in costs] == ["fixed8", "binary/fixed16"]
    assert all(set(one) == COST_FIELDS and one["energy_uj"] > 0 for one in costs)
    for one in costs:
        assert sum(one["energy_uj_by_part"].values()) == pytest.approx(one["energy_uj"])
        assert sum(layer["energy_uj"] for layer in one["layers"]) == pytest.approx(one["energy_uj"])
        assert one["energy_with_off_chip_uj"][0] == pytest.approx(one["energy_uj"] + one["off_chip_uj"][0])


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """A technology table whose maker left a note."""
    table = load_technology()
    path = tmp_path / "mine.json"
    replace(table, name="mine", provenance={**table.provenance, "node_nm": "130", "note": "predictive"}).save(path)
    return path


def test_the_note_of_a_technology_table_is_in_the_cost_as_json(capfd: pytest.CaptureFixture[str], noted: Path):
    assert main(["cost", "mlp", "fixed8", "--technology", str(noted), "--json"]) == 0
    assert "technology mine: predictive" in json.loads(capfd.readouterr().out)[0]["notes"]


def test_the_note_of_a_technology_table_is_printed_with_the_cost(capfd: pytest.CaptureFixture[str], noted: Path):
    assert main(["cost", "mlp", "fixed8", "--technology", str(noted), "--node", "65"]) == 0
    assert "fixed8: technology mine scaled to 65 nm: predictive" in capfd.readouterr().out


def test_cost_of_a_users_model(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "mine.py").write_text("from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(64, 10))\n")
    assert main(["cost", f"{tmp_path}/mine.py:net", "fixed8", "--input", "64"]) == 0
    assert "fixed8" in capfd.readouterr().out


def test_rtl_writes_verilog(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["rtl", "fixed4", "--out", str(tmp_path / "rtl")]) == 0
    listed = capfd.readouterr().out.split()
    assert all(Path(path).stat().st_size > 0 for path in listed)
    assert (tmp_path / "rtl" / "neuron.v").read_text().count("endmodule") == 2


@pytest.mark.slow
def test_a_study_runs_resumes_and_reports(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    arguments = ["run", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 0
    first = capfd.readouterr().out
    runs = json.loads(first)["runs"]
    assert [run["precision"] for run in runs] == ["float32", "fixed8"]
    assert all(set(run) == RUN_FIELDS for run in runs)
    assert main([*arguments, "--json"]) == 0
    again = capfd.readouterr()
    assert again.out == first
    assert main(arguments) == 0
    assert "published, transcription unverified" in " ".join(capfd.readouterr().out.split())
    assert main(["report", str(tmp_path / "out")]) == 0
    written = [Path(path) for path in capfd.readouterr().out.split()]
    assert {path.suffix for path in written} == {".html", ".png", ".svg", ".csv", ".md", ".tex", ".parquet"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "published, transcription unverified" in page
    assert "liberty_sha256" in page
    for fetched in ('src="http', 'href="http', "@import", 'src="//'):
        assert fetched not in page
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written if path.suffix == ".png")
