"""The RTL computes what exact arithmetic and the bit-exact network say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import fewbits as fb
from fewbits import HardwareError
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.dataflow.diannao.export import export_verilog
from fewbits.hardware.datapath import NeuronDesign, design, to_rtlil
from fewbits.hardware.datapath.simulation import Operands, Simulator, Trace, pack, unpack
from fewbits.hardware.datapath.vectors import flushed, make_vectors

OTHER_WIDTHS = ("fixed2", "fixed3", "fixed5", "fixed6", "fixed7", "fixed10", "fixed12", "fixed20", "fixed24")
"""Of fixed point, beside those of the study."""

QUICK = ("fixed4", "fixed8", "binary/fixed16", "binary")
SHIPPED = (
    *STUDY_PRECISIONS,
    *("ternary/fixed8", "binary", "fixed8/fixed16", "fixed4/fixed8", "fp8-e4m3", "bfloat16", "pow2-4/fixed8"),
    *("fp8-e4m3:exact", "fp8-e5m2:exact"),
    *OTHER_WIDTHS,
)
UNSIGNED = (
    *("fixed2/ufixed2", "fixed3/ufixed3", "fixed8/ufixed8", "fixed4/ufixed8", "fixed12/ufixed16", "fixed16/ufixed16"),
    *("ternary/ufixed8", "ternary/ufixed4", "binary/ufixed1", "binary/ufixed2", "pow2-4/ufixed4", "pow2-6/ufixed16"),
)
ON_DEMAND = (
    *("fixed2/fixed32", "fixed32/fixed2", "fixed9/fixed13", "fixed13/fixed9", "fixed31/fixed17", "fixed12/fixed11"),
    *("fp8-e5m2", "float16", "float-e2m1", "float-e3m2", "bfloat16/fp8-e4m3", "fp8-e4m3/float16"),
    *("float-e2m1:exact", "float-e2m3:exact", "float-e3m2:exact/float-e2m1:exact"),
)
FURTHER_UNSIGNED = ("fixed32/ufixed32", "fixed2/ufixed32", "fixed32/ufixed1", "pow2-2/ufixed1", "binary/ufixed32")
CHUNKS, ROUNDS = 2500, 4
"""Four settings of shift and ReLU, 2,500 chunks each: 10,000 vectors a precision."""


def marked(names: tuple[str, ...]) -> list[object]:
    """Compiling the wide ones takes over ten seconds; other widths repeat what the study's say."""
    marks = {name: pytest.mark.nightly if name in OTHER_WIDTHS else pytest.mark.slow for name in names}
    return [pytest.param(name, marks=[] if name in QUICK else marks[name]) for name in names]


_compiled: dict[str, Simulator] = {}


def simulator(precision: str) -> Simulator:
    """One for each precision and process."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    if precision not in _compiled:
        _compiled[precision] = Simulator(design(precision))
    return _compiled[precision]


def totals(trace: Trace, made: NeuronDesign, count: int) -> list[int]:
    """The accumulator after each of so many chunks; a float32's bits are unsigned."""
    shown = trace.total[made.accumulator_delay :][:count]
    return unpack(shown, made.accumulator_bits, signed=made.accumulation != "float32")


def outputs(trace: Trace, made: NeuronDesign, count: int) -> list[int]:
    """The output's code after each of so many chunks."""
    assert trace.valid[made.pipeline_stages :][:count].all()
    shown = trace.output[made.pipeline_stages :][:count]
    return unpack(shown, made.output_bits, signed=False)


def assert_equals_vectors(built: Simulator) -> None:
    """Accumulators and outputs of ten thousand vectors, at four settings of shift and ReLU."""
    made = built.design
    for seed in range(ROUNDS):
        vectors = make_vectors(made, CHUNKS, seed)
        trace = built.run(vectors.operands(made))
        assert totals(trace, made, CHUNKS) == vectors.totals
        assert outputs(trace, made, CHUNKS) == vectors.outputs


@pytest.mark.parametrize("precision", marked(SHIPPED))
def test_rtl_equals_exact_arithmetic_on_ten_thousand_vectors(precision: str):
    assert_equals_vectors(simulator(precision))


@pytest.mark.parametrize("precision", ["fixed4/ufixed4", *marked(UNSIGNED)])
def test_rtl_of_unsigned_inputs_equals_exact_arithmetic(precision: str):
    assert_equals_vectors(simulator(precision))


@pytest.mark.slow
@pytest.mark.parametrize("multiplier", ["array", "operator"])
@pytest.mark.parametrize("precision", ["fixed4/ufixed4", "fixed8/ufixed8", "fixed12/ufixed16"])
def test_rtl_of_unsigned_inputs_with_other_multipliers_equals_exact_arithmetic(precision: str, multiplier: str):
    assert_equals_vectors(Simulator(design(precision, multiplier=multiplier)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "product_bits"), [("fixed4/ufixed4", 5), ("fixed16/ufixed16", 18), ("ternary/ufixed8", 6)]
)
def test_truncated_products_of_unsigned_inputs_equal_exact_arithmetic(precision: str, product_bits: int):
    assert_equals_vectors(Simulator(design(precision, product_bits=product_bits)))


@pytest.mark.slow
@pytest.mark.parametrize("stages", ["short", "long", "longest"])
def test_unsigned_inputs_in_any_pipelining_equal_exact_arithmetic(stages: str):
    assert_equals_vectors(Simulator(design("fixed16/ufixed16", stages=stages)))


@pytest.mark.parametrize(
    ("precision", "synapses"),
    [
        ("binary", 5),
        ("fixed4", 12),
        pytest.param("fixed12", 1, marks=pytest.mark.slow),
        pytest.param("fixed13", 7, marks=pytest.mark.slow),
        pytest.param("fixed16", 24, marks=pytest.mark.slow),
        pytest.param("pow2-6/fixed16", 48, marks=pytest.mark.nightly),
        pytest.param("fixed32", 12, marks=pytest.mark.nightly),
    ],
)
def test_rtl_of_any_number_of_synapses_equals_exact_arithmetic(precision: str, synapses: int):
    assert_equals_vectors(Simulator(design(precision, synapses)))


def test_floats_have_no_tree_of_other_numbers_than_powers_of_two():
    with pytest.raises(HardwareError, match="neurons of 12 synapses have no tree of floats: give a power of two"):
        to_rtlil(design("bfloat16", 12))


@pytest.mark.nightly
@pytest.mark.parametrize("precision", [*ON_DEMAND, *FURTHER_UNSIGNED])
def test_rtl_of_any_precision_equals_exact_arithmetic(precision: str):
    assert_equals_vectors(simulator(precision))


OTHER_MULTIPLIERS = (
    pytest.param("fixed4", "operator"),
    *(
        pytest.param(precision, multiplier, marks=pytest.mark.slow)
        for multiplier in ("array", "operator")
        for precision in ("fixed5/fixed7", "fixed12", "fp8-e4m3")
    ),
    *(
        pytest.param(precision, "operator", marks=mark)
        for mark, precisions in (
            (pytest.mark.slow, ("fixed8", "fixed16", "float32")),
            (pytest.mark.nightly, ("fixed2", "fixed8/fixed16", "fixed32")),
        )
        for precision in precisions
    ),
)


@pytest.mark.parametrize(("precision", "multiplier"), OTHER_MULTIPLIERS)
def test_rtl_with_other_multipliers_equals_exact_arithmetic(precision: str, multiplier: str):
    assert_equals_vectors(Simulator(design(precision, multiplier=multiplier)))


@pytest.mark.slow
@pytest.mark.parametrize("stages", ["short", "long", "longest"])
@pytest.mark.parametrize("product_bits", [None, 20])
def test_a_plain_product_in_any_pipelining_equals_exact_arithmetic(product_bits: int | None, stages: str):
    made = design("fixed16", product_bits=product_bits, multiplier="operator", stages=stages)
    assert_equals_vectors(Simulator(made))


@pytest.mark.parametrize(
    ("precision", "product_bits"),
    [
        ("fixed4", 5),
        pytest.param("fp8-e4m3:exact", 24, marks=pytest.mark.slow),
        pytest.param("fixed16", 18, marks=pytest.mark.slow),
        pytest.param("pow2-4/fixed8", 9, marks=pytest.mark.slow),
        pytest.param("binary/fixed16", 10, marks=pytest.mark.slow),
    ],
)
def test_rtl_cuts_products_to_their_top_bits(precision: str, product_bits: int):
    assert_equals_vectors(Simulator(design(precision, product_bits=product_bits)))


STAGED = (
    *(pytest.param("fixed4", stages) for stages in ("short", "long", "longest")),
    *(
        pytest.param(precision, stages, marks=mark)
        for mark, precisions in (
            (pytest.mark.slow, ("fixed8", "fixed16", "pow2-6/fixed16", "binary")),
            (pytest.mark.nightly, ("fixed2", "fixed32", "binary/fixed16")),
        )
        for precision in precisions
        for stages in ("short", "long", "longest")
    ),
)


@pytest.mark.parametrize(("precision", "stages"), STAGED)
def test_rtl_of_any_pipelining_equals_exact_arithmetic(precision: str, stages: str):
    assert_equals_vectors(Simulator(design(precision, stages=stages)))


@pytest.mark.slow
@pytest.mark.parametrize("stages", ["short", "longest"])
def test_rtl_of_any_pipelining_cuts_products(stages: str):
    assert_equals_vectors(Simulator(design("fixed8", product_bits=9, multiplier="array", stages=stages)))


def test_a_longer_pipelining_has_more_stages():
    stages = [design("fixed16", stages=stages).pipeline_stages for stages in ("short", "standard", "long", "longest")]
    assert stages == sorted(set(stages))


def test_an_unknown_pipelining_is_refused():
    with pytest.raises(HardwareError, match="no pipelining 'none': use short, standard, long, longest"):
        design("fixed8", stages="none")
    with pytest.raises(HardwareError, match="float32 has one pipeline"):
        design("float32", stages="long")


def chunks_of(codes: torch.Tensor, bits: int, synapses: int = 16) -> np.ndarray:
    """One row of codes, filled up with zero codes, as words of chunks."""
    filled = torch.nn.functional.pad(codes, (0, -len(codes) % synapses)).reshape(-1, synapses)
    return pack([sum(int(c) << (bits * i) for i, c in enumerate(row)) for row in filled.tolist()], bits * synapses)


@pytest.mark.parametrize(
    "precision", marked((*STUDY_PRECISIONS, "binary", "ternary/fixed8", "fp8-e4m3", "fp8-e4m3:exact", "bfloat16"))
)
def test_rtl_equals_the_bit_exact_network(precision: str):
    assert_equals_network(simulator(precision))


@pytest.mark.parametrize(
    ("precision", "product_bits"), [("fixed4", 5), pytest.param("fixed16", 20, marks=pytest.mark.slow)]
)
def test_rtl_with_cut_products_equals_the_bit_exact_network(precision: str, product_bits: int):
    assert_equals_network(Simulator(design(precision, product_bits=product_bits)))


def assert_equals_network(built: Simulator) -> None:
    """The accumulator of one linear layer on random images, its last chunk short."""
    made = built.design
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(50, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(1, 50, generator=generator))
    images = torch.randn(20, 50, generator=generator)
    quantized = fb.quantize(torch.nn.Sequential(layer), made.precision)
    fb.calibrate(quantized, images)
    network = fb.lower(quantized, images[:1], product_bits=made.kept_product_bits)
    (lowered,) = network.layers
    accumulators = network.accumulators(images).reshape(-1)
    weight_codes = lowered.weight_format.encode(quantized.layers["0"].layer.weight[0], lowered.weight_fraction_bits)
    bias = (lowered.bias[0] if lowered.bias is not None else 0) - made.lane_padding(lowered.synapses)
    code = int(np.float32(bias).view(np.uint32)) if made.accumulation == "float32" else int(bias)
    for image, expected in zip(images, accumulators.tolist(), strict=True):
        inputs = chunks_of(lowered.input_format.encode(image, lowered.input_fraction_bits), made.output_bits)
        weights = chunks_of(weight_codes, made.precision.weights.bits)
        gap = made.accumulate_cycles  # chunks of one output come as far apart as the accumulator's latency
        count, cycles = len(inputs), len(inputs) * gap + made.pipeline_stages
        spread = [np.zeros((cycles, words.shape[1]), np.uint32) for words in (weights, inputs)]
        for target, words in zip(spread, (weights, inputs), strict=True):
            target[: count * gap : gap] = words
        first = np.zeros(cycles, bool)
        first[0] = True
        biases = np.roll(pack([code] + [0] * (cycles - 1), made.accumulator_bits), made.bias_delay, axis=0)
        trace = built.run(Operands(spread[0], spread[1], first, np.zeros(cycles, bool), biases))
        shown = trace.total[(count - 1) * gap + made.accumulator_delay :][:1]
        if made.accumulation == "float32":
            assert shown[0, 0] == np.float32(expected).view(np.uint32)
        else:
            assert unpack(shown, made.accumulator_bits) == [int(expected)]


@pytest.mark.slow
def test_float_products_about_the_smallest_normal_number_round_as_documented():
    made = design("float32")
    generator = np.random.default_rng(0)
    count = 4000
    below_one = np.uint32(0x3F7FFF80) + generator.integers(0, 128, (count, 16)).astype(np.uint32)
    smallest = np.uint32(0x00800000) + generator.integers(0, 128, (count, 16)).astype(np.uint32)
    a, b = below_one.view(np.float32), smallest.view(np.float32).copy()
    b[:, 1:] = 0
    first = np.ones(count, bool)
    empty = np.zeros((made.pipeline_stages, 16), np.float32)
    trace = simulator("float32").run(
        Operands(
            np.concatenate([a, empty]).view(np.uint32),
            np.concatenate([b, empty]).view(np.uint32),
            np.concatenate([first, empty[:, 0] > 0]),
            np.zeros(count + len(empty), bool),
            np.zeros((count + len(empty), 1), np.uint32),
        )
    )
    expected = flushed(flushed(a[:, 0]) * flushed(b[:, 0]))
    got = trace.total[made.accumulator_delay :][:count, 0]
    assert np.array_equal(got, (expected + np.float32(0)).view(np.uint32))
    assert (expected == np.float32(2.0**-126)).any()
    assert (expected == 0).any()


@pytest.mark.parametrize(
    "precision", ["fixed4", "fixed4/ufixed4", pytest.param("binary/fixed16", marks=pytest.mark.slow)]
)
def test_exported_bench_passes_in_icarus(precision: str, tmp_path: Path):
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    files = export_verilog(precision, tmp_path)
    assert all(path.is_file() for path in files)
    subprocess.run(["iverilog", "-g2012", "-o", "bench", "neuron_bench.v", "neuron.v"], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "PASS: 1000 chunks" in said


@pytest.mark.slow
def test_exported_accelerator_runs_a_network_in_icarus(tmp_path: Path):
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    export_verilog("fixed4", tmp_path)
    circuit = ["accelerator_bench.v", "accelerator.v", "buffers.v", "tile.v", "neuron.v"]
    subprocess.run(["iverilog", "-g2012", "-o", "bench", *circuit], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said.startswith("PASS")


def test_bench_fails_on_a_wrong_vector(tmp_path: Path):
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    export_verilog("fixed4", tmp_path)
    lines = (tmp_path / "total.hex").read_text().splitlines()
    lines[7] = f"{int(lines[7], 16) ^ 1:x}"
    (tmp_path / "total.hex").write_text("\n".join(lines) + "\n")
    subprocess.run(["iverilog", "-g2012", "-o", "bench", "neuron_bench.v", "neuron.v"], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "FAIL: 1 errors" in said


def test_export_to_a_file_is_refused(tmp_path: Path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(HardwareError, match="is a file: give a folder"):
        export_verilog("fixed4", tmp_path / "taken")


@pytest.mark.parametrize("precision", ["float-e5m15", "fixed8/float32", "fixed8/binary", "pow2-8/fixed16"])
def test_a_precision_without_datapath_is_refused(precision: str):
    with pytest.raises(HardwareError, match="no datapath"):
        design(precision)


@pytest.mark.parametrize(("synapses", "largest"), [(-1, 64), (0, 64), (16, 8)])
def test_senseless_sizes_are_refused(synapses: int, largest: int):
    with pytest.raises(HardwareError):
        design("fixed8", synapses, largest)


@pytest.mark.parametrize("product_bits", [1, 17, True])
def test_senseless_product_widths_are_refused(product_bits: int):
    with pytest.raises(HardwareError, match="product_bits must be from 2 to 16"):
        design("fixed8", product_bits=product_bits)


def test_a_cut_float_product_is_refused():
    with pytest.raises(HardwareError, match="cannot be truncated"):
        design("fp8-e4m3", product_bits=8)


def test_an_unknown_multiplier_is_refused():
    with pytest.raises(HardwareError, match="'booth', 'array', 'operator', 'composable'"):
        design("fixed8", multiplier="wallace")


def test_descriptions_state_multiplier_and_product_width():
    assert design("fixed8").multiplier == "radix-4 Booth, full product"
    assert design("fixed8", multiplier="array").multiplier == "array, full product"
    assert design("fixed8", multiplier="operator").multiplier == "multiplication left to synthesis, full product"
    cut = design("fixed16", product_bits=20)
    assert cut.multiplier == "radix-4 Booth, product cut to the top 20 of 32 bits"
    assert cut.name == "fixed16 product20"
    assert design("binary").multiplier == "XNOR and population count"


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HardwareError, match=r"g\+\+"):
        Simulator(design("fixed4"))


def test_operands_of_a_wrong_shape_are_refused():
    vectors = make_vectors(design("fixed4"), 10)
    operands = vectors.operands(design("fixed8"))
    with pytest.raises(HardwareError, match="rows"):
        simulator("fixed4").run(operands)


def test_accumulator_holds_the_largest_layer():
    for precision in STUDY_PRECISIONS[1:]:
        made = design(precision)
        worst = made.maximum_synapses * max(abs(limit) for limit in made.product_limits)
        assert worst < 2 ** (made.accumulator_bits - 1)


def test_rtlil_is_the_same_each_time():
    assert to_rtlil(design("fixed4")) == to_rtlil(design("fixed4"))
