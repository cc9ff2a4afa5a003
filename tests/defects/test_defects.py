"""Defects: exact without any, a faulty netlist against Icarus, draws by area, flipped bits, refusals."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork
from fewbits.errors import HardwareError
from fewbits.hardware.defects import (
    DefectiveNetwork,
    DefectPlan,
    StuckAt,
    cell_areas,
    draw_faults,
    fault_sites,
    flip_weights,
    measure_defects,
)
from fewbits.hardware.defects.faulty_neuron import FaultyNeuron
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.compiled_verilog import mapped_verilog
from fewbits.hardware.mapping.netlist import net_names

MAPPED = (
    *("fixed4", "fixed2", "fixed8", "fixed16", "fixed32", "pow2-6/fixed16", "ternary/fixed8", "binary/fixed16"),
    *("fp8-e4m3", "bfloat16"),
)

PLAN = DefectPlan("weights-memory", rates=[0.1])
RETRAINED = DefectPlan("weights-memory", rates=[0.1], retrain_epochs=1)
MANY = DefectPlan("registers", counts=[10**6])


def netlist_named(precision: str) -> CompiledNetlist:
    return read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", precision))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(70, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@cache
def network_at(precision: str, images: torch.Tensor) -> BitExactNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 18, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(162, 5))
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized.eval(), images[:1])


@pytest.mark.parametrize("precision", ["fixed4", "fixed8", "ternary/fixed8"])
def test_a_neuron_simulated_without_faults_is_bit_exact(precision: str, images: torch.Tensor) -> None:
    network = network_at(precision, images)
    defective = DefectiveNetwork(network, ())
    defective.stuck = {0: [], 1: []}
    assert torch.equal(defective.logits(images), network.accumulators(images).to(torch.float64))


def test_no_faults_are_the_network_itself(images: torch.Tensor) -> None:
    network = network_at("fixed4", images)
    logits = DefectiveNetwork(network, ()).logits(images)
    assert torch.equal(logits, network.accumulators(images).to(torch.float64))


def test_faults_change_the_outputs_of_their_neuron_alone(images: torch.Tensor) -> None:
    """A convolution of 18 outputs is the last layer: neuron 1 computes 1 and 17, and these alone may differ."""
    torch.manual_seed(0)
    quantized = fb.quantize(nn.Sequential(nn.Conv2d(2, 18, 3, padding=1)), "fixed4")
    fb.calibrate(quantized, images)
    network = fb.lower(quantized.eval(), images[:1])
    sign = int(DefectiveNetwork(network, ()).netlist.model.ports["total"][1][-1])
    faulty = DefectiveNetwork(network, [StuckAt(1, sign, 1)]).logits(images)
    differ = (faulty != network.accumulators(images)).flatten(2).any(dim=2).any(dim=0)
    assert differ.nonzero().flatten().tolist() == [1, 17]
    assert bool((faulty[:, [1, 17]] < 0).all())  # the sign of their sums is stuck at one


LARGE = ("fixed16", "fixed32", "bfloat16")
"""Large netlists, which Icarus simulates for minutes."""


@pytest.mark.parametrize(
    "precision",
    [
        name
        if name == "fixed4"
        else pytest.param(name, marks=pytest.mark.nightly if name in LARGE else pytest.mark.slow)
        for name in MAPPED
    ],
)
def test_a_faulty_netlist_equals_icarus_with_force_net_for_net(tmp_path: Path, precision: str) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian's package iverilog)")
    netlist = netlist_named(precision)
    generator = np.random.default_rng(7)
    faults = draw_faults(fault_sites(netlist), 6, 1, generator)
    ports = netlist.model.ports
    names = net_names(ports, netlist.model.net_count)
    inputs = {n: len(nets) for n, (direction, nets) in ports.items() if direction == "input" and n != "clk"}
    bits = {name: generator.integers(0, 2, (1000, width), dtype=np.uint8) for name, width in inputs.items()}
    nets = np.array([n for n in range(2, netlist.model.net_count) if n not in netlist.model.clock_nets])
    simulated = FaultyNeuron(netlist.model, [(each.net, each.value) for each in faults], 1)
    ours = simulated.run(bits, {}, nets, np.ones(1000, bool))[:, :, 0] & np.uint64(1)
    theirs = by_icarus(tmp_path, netlist, bits, {names[f.net]: f.value for f in faults}, [names[n] for n in nets])
    assert np.array_equal(ours.astype(np.uint8), theirs)


def by_icarus(
    folder: Path, netlist: CompiledNetlist, bits: dict[str, np.ndarray], forced: dict[str, int], watched: list[str]
) -> np.ndarray:
    """Values of nets before each clock edge, (cycles, nets), some nets held by Verilog's `force`."""
    for name, rows in bits.items():
        (folder / f"{name}.mem").write_text("".join("".join("01"[b] for b in row[::-1]) + "\n" for row in rows))
    declared = [f"reg [{rows.shape[1] - 1}:0] {n}_, {n}_rows [0:999];" for n, rows in bits.items()]
    connected = ", ".join([".clk(clk)", *(f".\\{n} ({n}_)" for n in bits)])
    own = [_in_bench(name) for name in watched]
    bench = [
        "module bench; reg clk = 0; integer i, file, k;",
        *declared,
        f"{netlist.model.name} dut({connected});",
        "initial begin",
        *(f'$readmemb("{n}.mem", {n}_rows);' for n in bits),
        *(f"force {_in_bench(name)} = 1'b{value};" for name, value in forced.items()),
        'file = $fopen("seen.txt");',
        "for (i = 0; i < 1000; i = i + 1) begin",
        *(f"{n}_ = {n}_rows[i];" for n in bits),
        "#10;",
        *(f'$fwrite(file, "%b", {{{", ".join(own[k : k + 100])}}});' for k in range(0, len(own), 100)),
        '$fwrite(file, "\\n"); clk = 1; #10 clk = 0;',
        "end $finish; end endmodule",
    ]
    cells = "\n".join(_cell(netlist, number) for number in range(len(netlist.model.blocks)))
    (folder / "bench.v").write_text("\n".join([cells, mapped_verilog(netlist), *bench]))
    subprocess.run(["iverilog", "-g2012", "-o", "bench.vvp", "bench.v"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True)
    rows = (folder / "seen.txt").read_text().split()
    return np.array([[int(character) for character in row] for row in rows], np.uint8)


def _in_bench(name: str) -> str:
    base, bracket, index = name.partition("[")
    return f"dut.\\{base} {bracket}{index}"


def _cell(netlist: CompiledNetlist, number: int) -> str:
    """A library cell from its truth tables, for Icarus."""
    kind = netlist.model.blocks[number].kind
    outputs = {function.output for function in kind.functions}
    ports = ", ".join(f"{'output' if k in outputs else 'input'} {pin}" for k, pin in enumerate(kind.pins))
    clock = next((pin for pin in kind.pins if pin in ("CLK", "CK")), "")
    lines = [f"module {kind.name}({ports});"]
    for function in kind.functions:
        size, pin = 1 << len(function.inputs), kind.pins[function.output]
        index = "{" + ", ".join(kind.pins[k] for k in reversed(function.inputs)) + "}" if function.inputs else "1'b0"
        lines.append(f"wire [{size - 1}:0] t_{pin} = {size}'d{function.table};")
        if function.is_register:
            inverse = "~" if function.shows_inverse else ""
            lines += [f"reg s_{pin} = 0; always @(posedge {clock}) s_{pin} <= t_{pin}[{index}];"]
            lines += [f"assign {pin} = {inverse}s_{pin};"]
        else:
            lines.append(f"assign {pin} = t_{pin}[{index}];")
    return "\n".join([*lines, "endmodule"])


def test_areas_of_the_cells_add_up_to_the_neuron_of_the_table() -> None:
    netlist = netlist_named("fixed8")
    areas = cell_areas(netlist)
    own = sum(areas[block.kind.name] * len(block.cells) for block in netlist.model.blocks)
    table = fb.hardware.load_technology("ihp-sg13g2").datapaths["fixed8"]
    assert own == pytest.approx(sum(part.area_um2 for part in table.components.values()), rel=1e-6)


def test_large_cells_are_hit_more_often() -> None:
    sites = fault_sites(netlist_named("fixed4"))
    faults = draw_faults(sites, 2000, 16, np.random.default_rng(0))
    area = dict(zip(sites.nets.tolist(), sites.areas_um2.tolist(), strict=True))
    drawn = np.mean([area[fault.net] for fault in faults])
    expected = float((sites.areas_um2**2).sum() / sites.areas_um2.sum())
    assert drawn == pytest.approx(expected, rel=0.05)
    assert expected > 1.1 * sites.areas_um2.mean()


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    sites = fault_sites(netlist_named("fixed4"))
    few, many = (draw_faults(sites, count, 16, np.random.default_rng(5)) for count in (3, 9))
    assert many[:3] == few


def test_registers_and_datapath_are_all_places() -> None:
    netlist = netlist_named("fixed4")
    whole, logic, registers = (set(fault_sites(netlist, part).nets) for part in ("neuron", "datapath", "registers"))
    assert logic | registers == whole
    assert not logic & registers


def test_no_flips_at_rate_zero(images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    assert torch.equal(flip_weights(network, 0).accumulators(images), network.accumulators(images))


def test_all_bits_flip_at_rate_one(images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    flipped = flip_weights(network, 1)
    assert all(
        np.array_equal(new.weight.codes, old.weight.codes ^ 255)
        for new, old in zip(flipped.layers, network.layers, strict=True)
    )


def test_the_sign_bit_is_worse_than_the_lowest(images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    labels = network.predict(images)

    def mean_percent(bit: int) -> float:
        flipped = [flip_weights(network, 0.2, seed, [bit]).predict(images) for seed in range(20)]
        return 100 * float(np.mean([float((classes == labels).double().mean()) for classes in flipped]))

    assert mean_percent(7) < mean_percent(0) - 10


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        (lambda network, _: flip_weights(network, 1.5), "from 0 to 1, not 1.5"),
        (lambda network, _: flip_weights(network, float("nan")), "from 0 to 1, not nan"),
        (lambda network, _: flip_weights(network, 0.1, bits=[8]), "bits 0 to 7, not 8"),
        (lambda network, _: flip_weights(network, 0.1, seed=-1), "a seed is an integer from 0, not -1"),
        (lambda network, _: DefectiveNetwork(network, [StuckAt(16, 900, 0)]), "neuron 16 is not one of 16"),
        (lambda network, _: DefectiveNetwork(network, [StuckAt(0, 10**6, 0)]), "no gate of the neuron drives net"),
        (lambda network, _: DefectiveNetwork(network, [StuckAt(0, 900, 2)]), "stuck at 0 or 1, not 2"),
        (lambda network, _: fault_sites(netlist_named("fixed4"), "wires"), "one of neuron, datapath, registers"),
        (lambda network, x: measure_defects(network, x[:0], x, PLAN), "no images were given"),
        (lambda network, x: measure_defects(network, x, network.predict(x)[1:], PLAN), "70 images take as many labels"),
        (lambda network, x: measure_defects(network, x, network.predict(x), RETRAINED), "nothing to retrain with"),
        (lambda network, x: measure_defects(network, x, network.predict(x), MANY), "an integer from 0 to"),
    ],
)  # fmt: skip
def test_bad_defects_are_refused_in_a_line(fails: object, says: str, images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    with pytest.raises(HardwareError, match=says) as refusal:
        fails(network, images)  # type: ignore[operator]
    assert "\n" not in str(refusal.value)
