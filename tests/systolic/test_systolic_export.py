"""The exported array: its bench passes in Icarus Verilog from undefined registers, and linters have nothing to say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.systolic.export import export_verilog
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.mapping.synthesis import run_yosys

CIRCUIT = ("accelerator.v", "buffers.v", "array.v")
SMALL = Systolic(4, 5, accumulator_rows=20)
"""Its accumulators hold fewer positions than the bench's network has."""


@pytest.fixture(scope="module")
def fixed4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export, not to be changed."""
    folder = tmp_path_factory.mktemp("fixed4")
    export_verilog("fixed4", folder, accelerator=SMALL)
    return folder


def said_by_icarus(folder: Path) -> str:
    """What the bench prints."""
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    sources = ["accelerator_bench.v", *CIRCUIT]
    subprocess.run(["iverilog", "-g2012", "-o", "bench", *sources], cwd=folder, check=True)
    return subprocess.run(["vvp", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout


def said_by_verilator(folder: Path) -> str:
    """What its linter says by default."""
    if shutil.which("verilator") is None:
        pytest.skip("needs Verilator (Debian package verilator)")
    sources = ["accelerator_bench.v", *CIRCUIT]
    command = ["verilator", "--lint-only", "--top-module", "fixed4_accelerator_bench", *sources]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode == 0 else f"status {done.returncode}: {done.stderr}"


def test_bench_passes_in_icarus(fixed4: Path):
    assert said_by_icarus(fixed4).startswith("PASS")


def test_bench_fails_when_a_weight_is_wrong(fixed4: Path, tmp_path: Path):
    shutil.copytree(fixed4, tmp_path / "copy")
    weights = tmp_path / "copy" / "accelerator_weights.hex"
    lines = weights.read_text().splitlines()
    weights.write_text("\n".join([*lines[:-4], *("7" * len(line) for line in lines[-4:])]) + "\n")
    assert said_by_icarus(tmp_path / "copy").startswith("FAIL")


def test_verilator_has_nothing_to_say(fixed4: Path):
    assert said_by_verilator(fixed4) == ""


def test_yosys_check_finds_no_problem(fixed4: Path, tmp_path: Path):
    for name in CIRCUIT:
        shutil.copy(fixed4 / name, tmp_path)
    script = f"read_verilog {' '.join(CIRCUIT)}\nhierarchy -check -top fixed4_accelerator\nproc\ncheck -assert\n"
    (tmp_path / "check.ys").write_text(script)
    run_yosys(tmp_path, "check.ys")


def test_headers_name_every_port_of_their_module(fixed4: Path):
    modules = "\n".join((fixed4 / name).read_text() for name in ("accelerator.v", "array.v"))
    for comment, name, ports in re.findall(r"(?m)((?:^//.*\n)+)module (\w+)\(([^)]*)\);", modules):
        if name.endswith("_lane"):  # its ports are told in groups
            continue
        told = set(re.findall(r"(?m)^//   (\w+)", comment))
        assert told == {port.strip() for port in ports.split(",")}, name


def test_readme_says_the_size_and_the_cycles(fixed4: Path):
    text = (fixed4 / "README.md").read_text()
    assert "# Systolic array fixed4, 4 x 5" in text
    assert re.search(r"those of the schedule \(\d+\)", text)


def test_floats_are_refused_before_a_file_is_written(tmp_path: Path):
    with pytest.raises(HardwareError, match="no processing element of float32"):
        export_verilog("float32", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_the_accelerator_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "out")
    assert (
        main(["rtl", "fixed4", "--accelerator", "systolic-ws", "--neurons", "2", "--synapses", "2", "--out", out]) == 0
    )
    assert "array.v" in capsys.readouterr().out
    assert "localparam ROWS = 2;\n  localparam COLUMNS = 2;" in (tmp_path / "out" / "array.v").read_text()


def test_the_command_refuses_an_unknown_accelerator(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["rtl", "fixed4", "--accelerator", "systolic-xy", "--out", str(tmp_path)]) == 2
    assert "no accelerator 'systolic-xy'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision",
    ["fixed8", "fixed16", "pow2-6/fixed16", "ternary/fixed8", "binary/fixed16", "binary", "fixed4/ufixed4"],
)
def test_bench_of_any_precision_passes_in_icarus(precision: str, tmp_path: Path):
    export_verilog(precision, tmp_path, accelerator=SMALL)
    assert said_by_icarus(tmp_path).startswith("PASS")
