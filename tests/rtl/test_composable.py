"""The composable neuron equals Python's integers in both modes of one circuit."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import fewbits as fb
from fewbits import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.dataflow.diannao.export import export_verilog
from fewbits.hardware.dataflow.diannao.operands import layer_operands
from fewbits.hardware.datapath import NeuronDesign, design, to_rtlil
from fewbits.hardware.datapath.element_arithmetic import element_design
from fewbits.hardware.datapath.simulation import Operands, Simulator, Trace, pack, unpack
from fewbits.hardware.datapath.vectors import Vectors, make_vectors

MODES = ("fixed8", "fixed4")
CHUNKS = 2500


def made(mode: str, synapses: int = 16) -> NeuronDesign:
    """A mode's design."""
    return design(mode, synapses, multiplier="composable")


@cache
def simulator(mode: str, synapses: int = 16) -> Simulator:
    """A mode's; both are of one circuit."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    return Simulator(made(mode, synapses))


def totals(trace: Trace, neuron: NeuronDesign, count: int) -> list[int]:
    """The accumulator after each chunk."""
    return unpack(trace.total[neuron.accumulator_delay :][:count], neuron.accumulator_bits)


def outputs(trace: Trace, neuron: NeuronDesign, count: int) -> list[int]:
    """What the output's port shows after each chunk, as a number of all its bits."""
    return unpack(trace.output[neuron.pipeline_stages :][:count], neuron.output_port_bits)


def numbers(codes: list[int], bits: int) -> list[int]:
    """Two's complement."""
    return [code - (1 << bits) if code >> (bits - 1) else code for code in codes]


def operands_of(vectors: Vectors, neuron: NeuronDesign, **changed: object) -> Operands:
    """With the neuron's settings as they are given, throughout."""
    operands = vectors.operands(neuron)
    held = neuron.settings | changed
    settings = {name: np.full(len(operands.first), level, dtype=bool) for name, level in held.items()}
    return Operands(**{**vars(operands), "settings": settings})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(4))
def test_both_modes_equal_exact_arithmetic_in_sums_and_outputs(mode: str, seed: int):
    neuron = made(mode)
    vectors = make_vectors(neuron, CHUNKS, seed)
    trace = simulator(mode).run(vectors.operands(neuron))
    assert totals(trace, neuron, CHUNKS) == vectors.totals
    assert outputs(trace, neuron, CHUNKS) == numbers(vectors.outputs, neuron.output_bits)


def test_both_modes_are_one_circuit():
    assert to_rtlil(made("fixed8")) == to_rtlil(made("fixed4"))


def test_the_mode_of_four_bits_makes_four_times_the_products():
    assert [made(mode).products_per_cycle for mode in MODES] == [16, 64]


def test_products_of_eight_bits_are_exact_for_all_operands():
    """65,536 products of one lane, whatever lies in the half of its ports that is not used."""
    built = simulator("fixed8", 1)
    weights, inputs = (codes.ravel() for codes in np.meshgrid(np.arange(256), np.arange(256)))
    junk = np.random.default_rng(0).integers(0, 256, (2, len(weights)))  # the unused half of the ports
    found = products(built, weights + (junk[0] << 8), inputs + (junk[1] << 8))
    assert found == [w * x for w, x in zip(numbers(weights.tolist(), 8), numbers(inputs.tolist(), 8), strict=True)]


@pytest.mark.parametrize("place", range(4))
def test_products_of_four_bits_are_exact_for_all_operands_in_each_place(place: int):
    codes = [pair.ravel() for pair in np.meshgrid(np.arange(16), np.arange(16))]
    others = np.random.default_rng(place).integers(0, 1 << 16, (2, 256))  # the other three products of the lane
    words = [other & ~(15 << 4 * place) | code << 4 * place for other, code in zip(others, codes, strict=True)]
    expected = [
        sum(numbers([int(w) >> 4 * k & 15], 4)[0] * numbers([int(x) >> 4 * k & 15], 4)[0] for k in range(4))
        for w, x in zip(*words, strict=True)
    ]
    assert products(simulator("fixed4", 1), *words) == expected


def products(built: Simulator, weights: np.ndarray, inputs: np.ndarray) -> list[int]:
    """The sum of a neuron of one lane for each word of its ports, every chunk a first one, without bias."""
    count, empty = len(weights), built.design.pipeline_stages + 1
    words = [np.append(port, np.zeros(empty, np.int64)).astype(np.uint32)[:, None] for port in (weights, inputs)]
    flags = np.ones(count + empty, dtype=bool)
    bias = pack([0] * (count + empty), built.design.accumulator_bits)
    return totals(built.run(Operands(*words, flags, flags, bias)), built.design, count)


def test_the_mode_changes_from_layer_to_layer():
    runs = [(mode, make_vectors(made(mode), 300, seed)) for seed, mode in enumerate((*MODES, *MODES))]
    parts = [operands_of(vectors, made(mode)) for mode, vectors in runs]
    of_one_layer = [{**vars(part), "shift": 3, "relu": False} for part in parts]
    ports = {name: np.concatenate([one[name] for one in of_one_layer]) for name in ("weights", "inputs", "bias")}
    flags = {name: np.concatenate([one[name] for one in of_one_layer]) for name in ("first", "last")}
    settings = {name: np.concatenate([one["settings"][name] for one in of_one_layer]) for name in ("split", "narrow")}
    trace = simulator("fixed8").run(Operands(**ports, **flags, shift=3, settings=settings))
    start = 0
    for (mode, vectors), part in zip(runs, parts, strict=True):
        own = Trace(trace.output[start:], trace.valid[start:], trace.total[start:])
        assert totals(own, made(mode), 300) == vectors.totals
        start += len(part.first)


@pytest.mark.parametrize("mode", MODES)
def test_outputs_of_either_mode_go_to_layers_of_the_other(mode: str):
    neuron = made(mode)
    vectors = make_vectors(neuron, CHUNKS, 2)
    narrow = mode == "fixed8"
    trace = simulator(mode).run(operands_of(vectors, neuron, narrow=narrow))
    lowest, highest = (-8, 7) if narrow else (-128, 127)
    rounded = [round_half_to_even(total, vectors.shift) for total in vectors.totals]
    assert outputs(trace, neuron, CHUNKS) == [min(max(number, lowest), highest) for number in rounded]


def round_half_to_even(total: int, shift: int) -> int:
    """total / 2**shift, by integers."""
    whole, rest = total >> shift, total & ((1 << shift) - 1)
    half = 1 << shift >> 1
    return whole + (shift > 0 and (rest > half or (rest == half and whole & 1)))


@pytest.mark.parametrize("mode", MODES)
def test_accumulators_hold_the_largest_sums_that_a_mode_takes(mode: str):
    neuron = made(mode)
    largest = 1 << (2 * neuron.precision.weights.bits - 2)  # of the most negative weight and input
    synapses = 16384 if mode == "fixed8" else 16384 * 256
    assert neuron.takes(synapses)
    assert not neuron.takes(synapses + 1)
    assert 2 * synapses * largest <= 1 << (neuron.accumulator_bits - 1)  # a bias as large beside it


@pytest.mark.parametrize("mode", MODES)
def test_sums_of_layers_of_random_networks_equal_the_bit_exact_network(mode: str):
    """Convolutions and a linear layer, their last chunks short: all positions of each layer's first channel."""
    neuron, built = made(mode), simulator(mode)
    for seed in range(3):
        torch.manual_seed(seed)
        images = torch.randn(2, 3, 8, 8)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(5, 4, 3, stride=2), torch.nn.ReLU(),
            torch.nn.Flatten(), torch.nn.Linear(36, 4),
        )  # fmt: skip
        quantized = fb.quantize(module, mode)
        fb.calibrate(quantized, images)
        network = fb.lower(quantized, images)
        trace = network.trace(images)
        for layer in network.layers:
            taken = layer_operands(network, layer, trace.get(layer.inputs[0], images), neuron)
            assert taken.weights.shape[2] == neuron.products_per_cycle
            expected = trace[layer.name][0].reshape(len(layer.weight), -1)[0].tolist()
            assert sums(built, taken) == expected


def sums(built: Simulator, taken: object) -> list[int]:
    """Channel 0 of a layer at all positions of the first image, chunk after chunk."""
    neuron = built.design
    taps = taken.taps[0]
    codes = np.where(taps >= 0, taken.inputs[0][np.maximum(taps, 0)], 0)
    positions, chunks, _ = codes.shape
    weights = np.broadcast_to(taken.weights[0], codes.shape)
    first = np.tile(np.arange(chunks) == 0, positions)
    code = sum(int(bit) << place for place, bit in enumerate(taken.bias_bits[0]))
    bias = [neuron.accumulator_number(code)] * len(first)
    flat = [array.reshape(positions * chunks, -1).astype(np.int64) for array in (weights, codes)]
    vectors = Vectors(*flat, first, bias, 0, relu=False, totals=[], outputs=[])
    after = totals(built.run(vectors.operands(neuron)), neuron, positions * chunks)
    return after[chunks - 1 :: chunks]


@pytest.mark.parametrize("mode", [pytest.param("fixed8", marks=pytest.mark.slow), "fixed4"])
def test_exported_verilog_passes_its_bench_and_lint(mode: str, tmp_path: Path):
    if shutil.which("iverilog") is None or shutil.which("verilator") is None:
        pytest.skip("needs iverilog and verilator")
    export_verilog(mode, tmp_path, multiplier="composable")
    commands = ("iverilog -g2012 -o bench neuron_bench.v neuron.v", "vvp bench", "verilator --lint-only neuron.v")
    said = [
        subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for command in commands
    ]
    assert said[1].startswith("PASS: 1000 chunks")


@pytest.mark.parametrize("precision", ["fixed6", "fixed4/fixed8", "fixed16", "binary", "fp8-e4m3"])
def test_other_precisions_are_refused_by_name(precision: str):
    with pytest.raises(HardwareError, match="two modes, fixed8 and fixed4"):
        design(precision, multiplier="composable")


def test_truncated_products_are_refused():
    with pytest.raises(HardwareError, match="cannot be truncated"):
        design("fixed8", multiplier="composable", product_bits=8)


def test_accelerators_and_processing_elements_are_refused(tmp_path: Path):
    neuron = made("fixed8")
    quantized = fb.quantize(torch.nn.Sequential(torch.nn.Linear(16, 4)), "fixed8")
    fb.calibrate(quantized, torch.randn(2, 16))
    network = fb.lower(quantized, torch.randn(1, 16))
    with pytest.raises(HardwareError, match="a neuron alone"):
        compile_network(network, neuron, Accelerator())
    with pytest.raises(HardwareError, match="a neuron alone"):
        element_design(neuron)
    with pytest.raises(HardwareError, match="a neuron alone"):
        export_verilog("fixed8", tmp_path, multiplier="composable", model="lenet")
