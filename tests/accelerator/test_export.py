"""Exported Verilog: its benches pass in Icarus Verilog from undefined registers, and linters have nothing to say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from comparison import lowered
from torch import Tensor, nn

from fewbits import models
from fewbits.cli import main
from fewbits.errors import DataError, HardwareError
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.dataflow.diannao.export import export_verilog
from fewbits.hardware.datapath import design
from fewbits.hardware.mapping.synthesis import run_yosys

CIRCUIT = ("accelerator.v", "buffers.v", "tile.v", "neuron.v")

WIDE = ("fixed32", "float32")
"""Icarus takes minutes for their accelerators, Verilator about one."""

SLOW = [pytest.param(one, marks=pytest.mark.nightly if one in WIDE else pytest.mark.slow) for one in STUDY_PRECISIONS]
"""The study's precisions, each with its mark."""

OWN_NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(1, 18, 7, stride=4), nn.BatchNorm2d(18), nn.ReLU(), nn.Conv2d(18, 20, 3, stride=2))
"""

DEEP_NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(1, 65, 7, stride=4), nn.ReLU(), nn.Conv2d(65, 18, 4))
"""
"""Its second layer sums 1,040 products at 9 positions: 65 rows of an SB of 64."""


def said_by_icarus(folder: Path, bench: str, *sources: str) -> str:
    """What a bench prints."""
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    subprocess.run(["iverilog", "-g2012", "-o", "bench", bench, *sources], cwd=folder, check=True)
    return subprocess.run(["vvp", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout


def said_by_verilator(folder: Path, *sources: str) -> str:
    """What its linter says by default."""
    if shutil.which("verilator") is None:
        pytest.skip("needs Verilator (Debian package verilator)")
    done = subprocess.run(
        ["verilator", "--lint-only", *sources], cwd=folder, check=False, capture_output=True, text=True
    )
    return done.stderr if done.returncode == 0 else f"status {done.returncode}: {done.stderr}"


def verilog_of(folder: Path) -> list[str]:
    """Names of the Verilog files."""
    return sorted(path.name for path in folder.glob("*.v"))


def assert_benches_pass(folder: Path) -> None:
    """That of the neuron and that of the accelerator."""
    assert said_by_icarus(folder, "neuron_bench.v", "neuron.v").startswith("PASS")
    assert said_by_icarus(folder, "accelerator_bench.v", *CIRCUIT).startswith("PASS")


@pytest.fixture(scope="module")
def fixed4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export, not to be changed."""
    folder = tmp_path_factory.mktemp("fixed4")
    export_verilog("fixed4", folder)
    return folder


def copied(folder: Path, to: Path) -> Path:
    """One that may be changed."""
    return shutil.copytree(folder, to / "copy")


def test_verilators_default_lint_passes(fixed4: Path):
    for sources in (CIRCUIT, ("neuron.v",), ("neuron_bench.v", "neuron.v"), ("accelerator_bench.v", *CIRCUIT)):
        assert said_by_verilator(fixed4, *sources) == ""
    assert said_by_verilator(fixed4, *verilog_of(fixed4)) == ""


@pytest.mark.parametrize("model", [None, "lenet"])
@pytest.mark.parametrize("precision", SLOW)
def test_verilators_default_lint_passes_at_every_precision(precision: str, model: str | None, tmp_path: Path):
    export_verilog(precision, tmp_path, model=model)
    assert said_by_verilator(tmp_path, *verilog_of(tmp_path)) == ""
    assert said_by_verilator(tmp_path, *CIRCUIT) == ""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4/ufixed4", "ternary/ufixed8"])
def test_an_accelerator_of_unsigned_inputs_passes_lint_and_bench(precision: str, tmp_path: Path):
    export_verilog(precision, tmp_path, model="lenet")
    assert said_by_verilator(tmp_path, *verilog_of(tmp_path)) == ""
    assert said_by_icarus(tmp_path, "accelerator_bench.v", *CIRCUIT).startswith("PASS")


@pytest.mark.slow
def test_two_precisions_fit_on_one_chip(tmp_path: Path):
    sources: list[str] = []
    for precision in ("fixed8", "float32"):
        export_verilog(precision, tmp_path / precision)
        sources += [f"{precision}/{name}" for name in CIRCUIT]
    assert said_by_verilator(tmp_path, *sources) == ""
    modules = [name for file in sources for name in re.findall(r"(?m)^module (\w+)", (tmp_path / file).read_text())]
    assert len(modules) == len(set(modules))
    assert {name.split("_")[0] for name in modules} == {"fixed8", "float32"}
    shutil.copytree(tmp_path / "fixed8", tmp_path, dirs_exist_ok=True)  # the bench reads its memories where it runs
    assert said_by_icarus(tmp_path, "fixed8/accelerator_bench.v", *sources).startswith("PASS")


def test_names_need_no_escapes_and_registers_have_no_initial_values(fixed4: Path):
    for name in verilog_of(fixed4):
        text = (fixed4 / name).read_text()
        assert "\\" not in text
        if "bench" not in name:
            assert not re.search(r"\$(?!signed|unsigned)", text)
            assert not re.search(r"(?m)^  reg .*=", text)
            assert "initial" not in re.sub("//.*", "", text)


def test_every_module_has_a_header_that_tells_each_port(fixed4: Path):
    for name in CIRCUIT:
        text = (fixed4 / name).read_text()
        for module in re.findall(r"(?m)^module (fixed4_\w+)", text):
            header, body = re.split(rf"(?m)^module {module}\b", text)
            comment = header[header.rindex(f"// {module}: ") :]
            ports = re.findall(
                r"(?m)^  (?:input|output) (?:wire |reg )?(?:\[.*\] )?(\w+)[;,\n]", body.split("endmodule")[0]
            )
            assert "clk" in ports
            if not module.endswith("lane"):  # whose settings it tells as one
                assert [port for port in ports if not re.search(rf"(?m)^//   {port}\s", comment)] == []


def test_yosys_finds_no_fault(fixed4: Path, tmp_path: Path):
    folder = copied(fixed4, tmp_path)
    script = f"read_verilog {' '.join(CIRCUIT)}\nhierarchy -check -top fixed4_accelerator\nproc\ncheck -assert\n"
    (folder / "check.ys").write_text(script)
    run_yosys(folder, "check.ys")


def test_constraints_hold_the_clock_of_the_technology_table(fixed4: Path):
    text = (fixed4 / "accelerator.sdc").read_text()
    assert "create_clock -name clk -period 4.0000 [get_ports clk]" in text
    assert re.search(r"set_input_delay 0.8000 -clock clk \[get_ports \{rst start program_word [\w ]*\}\]", text)
    assert re.search(r"set_output_delay 0.8000 -clock clk \[get_ports \{done [\w ]*accesses\}\]", text)


def test_benches_pass_from_undefined_registers(fixed4: Path, tmp_path: Path):
    assert_benches_pass(copied(fixed4, tmp_path))


@pytest.mark.parametrize("precision", [one for one in SLOW if one.values != ("fixed4",)])
def test_benches_pass_from_undefined_registers_at_every_precision(precision: str, tmp_path: Path):
    export_verilog(precision, tmp_path)
    assert_benches_pass(tmp_path)


@pytest.mark.parametrize(("bench", "sources"), [("neuron_bench.v", CIRCUIT), ("accelerator_bench.v", CIRCUIT)])
def test_without_the_reset_a_bench_fails(bench: str, sources: tuple[str, ...], fixed4: Path, tmp_path: Path):
    folder = copied(fixed4, tmp_path)
    text = (folder / bench).read_text()
    assert text.count("rst = 1") == 1
    (folder / bench).write_text(text.replace("rst = 1", "rst = 0"))
    assert said_by_icarus(folder, bench, *sources).startswith("FAIL")


def test_own_buffers_may_take_the_place_of_the_arrays(fixed4: Path, tmp_path: Path):
    folder = copied(fixed4, tmp_path)
    own = (folder / "buffers.v").read_text().replace("`ifndef FIXED4_OWN_BUFFERS", "").replace("`endif", "")
    (folder / "macros.v").write_text(
        own.replace("row [0:ROWS - 1]", "cell_array [0:ROWS - 1]").replace("row[", "cell_array[")
    )
    (folder / "define.v").write_text("`define FIXED4_OWN_BUFFERS\n")
    sources = ("define.v", "accelerator_bench.v", *CIRCUIT, "macros.v")
    assert said_by_icarus(folder, *sources).startswith("PASS")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "multiplier", "product_bits"),
    [("fixed8", "array", None), ("fixed8", "booth", 10), ("binary", "booth", None), ("fp8-e4m3", "booth", None)],
)
def test_benches_of_other_designs_pass(precision: str, multiplier: str, product_bits: int | None, tmp_path: Path):
    export_verilog(precision, tmp_path, multiplier=multiplier, product_bits=product_bits)
    assert_benches_pass(tmp_path)
    assert said_by_verilator(tmp_path, *verilog_of(tmp_path)) == ""


@pytest.mark.slow
def test_bench_of_the_users_own_network_passes(tmp_path: Path):
    (tmp_path / "own.py").write_text(OWN_NETWORK)
    export_verilog("fixed4", tmp_path / "rtl", model=f"{tmp_path / 'own.py'}:net")
    assert_benches_pass(tmp_path / "rtl")
    assert "the weights that its code gives it" in (tmp_path / "rtl" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4", pytest.param("fp8-e4m3", marks=pytest.mark.nightly)])
def test_bench_of_a_network_in_pieces_passes(precision: str, tmp_path: Path):
    (tmp_path / "deep.py").write_text(DEEP_NETWORK)
    folder = tmp_path / "rtl"
    export_verilog(precision, folder, model=f"{tmp_path / 'deep.py'}:net")
    biases = (folder / "biases.hex").read_text().splitlines()
    assert len(biases) > 2 * 9  # a row for each position of both groups of neurons, behind the biases
    assert said_by_icarus(folder, "accelerator_bench.v", *CIRCUIT).startswith("PASS")


@pytest.mark.slow
def test_bench_of_a_given_network_expects_its_sums(digits: Tensor, tmp_path: Path):
    module = nn.Sequential(nn.Conv2d(1, 18, 7, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(648, 3))
    network = lowered(module, "fixed4", digits)
    export_verilog("fixed4", tmp_path, network=network, images=digits[7:], origin="a network of mine")
    assert_benches_pass(tmp_path)
    sums = network.accumulators(digits[7:8])[0].tolist()
    bits = design("fixed4").accumulator_bits
    row = int((tmp_path / "results.hex").read_text(), 16)
    assert [row >> bits * k & (1 << bits) - 1 for k in range(3)] == [int(one) & (1 << bits) - 1 for one in sums]
    assert "a network of mine" in (tmp_path / "README.md").read_text()


def test_a_network_of_another_precision_is_refused(digits: Tensor, tmp_path: Path):
    network = lowered(models.build("lenet", seed=0), "fixed8", digits)
    with pytest.raises(HardwareError, match="of precision fixed8, the circuit of fixed4"):
        export_verilog("fixed4", tmp_path, network=network, images=digits)
    with pytest.raises(HardwareError, match="both network and images"):
        export_verilog("fixed8", tmp_path, network=network)


@pytest.mark.slow
def test_bench_of_the_accelerator_fails_on_a_wrong_sum(fixed4: Path, tmp_path: Path):
    folder = copied(fixed4, tmp_path)
    golden = folder / "results.hex"
    golden.write_text(f"{int(golden.read_text(), 16) ^ 1:x}\n")
    assert said_by_icarus(folder, "accelerator_bench.v", *CIRCUIT).startswith("FAIL: 1 errors")


@pytest.mark.slow
def test_readme_states_design_and_command(tmp_path: Path):
    assert main(["rtl", "fixed4", "--product-bits", "6", "--multiplier", "array", "--out", str(tmp_path)]) == 0
    readme = (tmp_path / "README.md").read_text()
    assert "array, product cut to the top 6 of 8 bits" in readme
    assert "`fewbits rtl fixed4 --multiplier array --product-bits 6`" in readme


def test_readme_tells_of_the_reset_and_of_untrained_weights(fixed4: Path):
    readme = (fixed4 / "README.md").read_text()
    assert "one cycle of it is enough" in readme
    assert "with untrained weights on an image of `digits`" in readme


def test_a_network_for_other_images_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"takes images of shape \(3, 32, 32\), data 'digits' has \(1, 28, 28\)"):
        export_verilog("fixed4", tmp_path, model="convnet")
