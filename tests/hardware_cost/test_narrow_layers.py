"""Layers of narrower formats than their datapath's: memory and traffic at their own width, unpackers counted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import fewbits as fb
from fewbits.cli import main
from fewbits.formats import parse_format
from fewbits.hardware import Cost, Technology, load_technology, workload_of
from fewbits.hardware.costing.packing import Narrow, is_packed
from fewbits.hardware.process.technology import PackingCost
from fewbits.hardware.rtl.packing import Packer, Unpacker

SHAPE = (3, 16, 16)
IMAGES = torch.rand((8, *SHAPE), generator=torch.Generator().manual_seed(0))
PACKING = {"selection": PackingCost(20.0, 0.001, 0.004), "saturation": PackingCost(10.0, 0.002, 0.005)}
WEIGHTS = {"0": 16 * 3 * 9, "2": 16 * 16 * 9, "6": 10 * 256}
INPUTS = {"0": 3 * 16 * 16, "2": 16 * 16 * 16, "6": 256}
BIASES = 16 + 16 + 10


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)),
        *(nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(256, 10)),
    ).eval()


def cost_of(precision: str = "fixed8", table: Technology | None = None, **layers: str) -> Cost:
    """Of the chain; layers: `_2="fixed4"` for layer 2."""
    own = {name.removeprefix("_"): each for name, each in layers.items()}
    model = fb.quantize(chain(), precision, layers=own)
    return fb.cost(model, input_shape=SHAPE, technology=table)


@pytest.fixture(scope="module")
def table() -> Technology:
    return replace(load_technology(), packing=PACKING)


@pytest.fixture(scope="module")
def plain() -> Cost:
    return cost_of()


@given(st.tuples(*[st.integers(2, 8)] * 3))
@settings(max_examples=10, deadline=None)
def test_parameters_and_activations_are_of_each_layers_own_width(widths: tuple[int, int, int]):
    bits = dict(zip(WEIGHTS, widths, strict=True))
    made = cost_of(**{f"_{name}": f"fixed{each}" for name, each in bits.items()})
    accumulator = load_technology().datapath("fixed8").accumulator_bits
    parameters = sum(WEIGHTS[name] * bits[name] for name in bits) + BIASES * accumulator
    convolutions = INPUTS["0"] * bits["0"] + INPUTS["2"] * bits["2"], 2 * INPUTS["2"] * bits["2"]
    pooled = INPUTS["2"] * bits["6"] + INPUTS["6"] * bits["6"]
    convolutions = convolutions[0], INPUTS["2"] * (bits["2"] + bits["6"])
    assert made.parameters_kib * 8192 == pytest.approx(parameters)
    assert made.activations_kib * 8192 == pytest.approx(max(*convolutions, pooled))


def test_all_layers_narrow_move_what_the_narrow_precision_moves_but_for_its_accumulators():
    mixed, narrow = cost_of(_0="fixed4", _2="fixed4", _6="fixed4"), cost_of("fixed4")
    wider = [load_technology().datapath(name).accumulator_bits for name in ("fixed8", "fixed4")]
    outputs = 10
    assert (mixed.traffic_kib - narrow.traffic_kib) * 8192 == pytest.approx((BIASES + outputs) * (wider[0] - wider[1]))


def test_traffic_of_a_layer_shrinks_with_its_own_formats(plain: Cost):
    made = cost_of(_2="fixed4")
    before, after = ({one.name: one.traffic_bits for one in cost.breakdown.layers} for cost in (plain, made))
    assert before["0"] - after["0"] == INPUTS["2"] * 4  # what layer 2 takes
    assert after["6"] == before["6"]
    biases = 16 * load_technology().datapath("fixed8").accumulator_bits
    stored = INPUTS["2"] * 8
    assert 2 * (after["2"] - biases - stored) == before["2"] - biases - stored


def test_what_weights_are_stored_in_decides_and_not_what_multiplies_them(plain: Cost):
    made = cost_of(_2="binary/fixed8")
    assert (plain.parameters_kib - made.parameters_kib) * 8192 == pytest.approx(WEIGHTS["2"] * 7)
    assert made.activations_kib == plain.activations_kib


def test_buffers_and_neurons_stay_those_of_the_datapath(plain: Cost):
    made = cost_of(_2="fixed4", _6="ternary/fixed8", table=replace(load_technology(), packing=None))
    assert (made.cycles, made.area_mm2, made.energy_uj) == (plain.cycles, plain.area_mm2, plain.energy_uj)


def test_unpackers_and_packers_are_on_the_chip(table: Technology, plain: Cost):
    made = cost_of(_2="fixed4", table=table)
    added = {name: made.breakdown.area_mm2[name] - plain.breakdown.area_mm2[name] for name in plain.breakdown.area_mm2}
    expected = {"bin": 16 * 8 * 20.0, "sb": 256 * 8 * 20.0, "bout": 16 * (4 * 20.0 + 8 * 10.0)}
    for name, area in added.items():
        assert area * 1e6 == pytest.approx(expected.get(name, 0.0), abs=1e-3)


def test_what_a_row_of_outputs_passes_takes_energy(table: Technology, plain: Cost):
    made = cost_of(_6="fixed8/fixed4", table=table)  # what the pooling in front of it stores, and the convolution
    added = made.breakdown.dynamic_uj["bout"] - plain.breakdown.dynamic_uj["bout"]
    rows = 256 + 256 + 16  # of the three layers that store anything
    assert added * 1e6 == pytest.approx(rows * 16 * (4 * 0.004 + 8 * 0.005))


def test_each_row_that_passes_takes_energy(table: Technology, plain: Cost):
    made, schedule = cost_of(_2="binary/fixed8", table=table), cost_of(table=table)
    added = made.breakdown.dynamic_uj["sb"] - plain.breakdown.dynamic_uj["sb"]
    rows = 2 + 9 + 16  # chunks of the layers: 27, 144 and 256 synapses by 16, one group of neurons each
    assert added * 1e6 == pytest.approx(rows * 256 * 8 * 0.004)
    assert schedule == plain


def test_each_format_has_its_own_unpacker_and_it_leaks(table: Technology, plain: Cost):
    made = cost_of(_0="fixed4/fixed8", _2="fixed2/fixed8", table=table)
    assert (made.area_mm2 - plain.area_mm2) * 1e6 == pytest.approx(2 * 256 * 8 * 20.0)
    added_uw = (made.breakdown.leakage_uj["sb"] - plain.breakdown.leakage_uj["sb"]) / plain.time_us * 1e6
    assert added_uw * 1e-6 == pytest.approx(2 * 256 * 8 * 0.001 * 1e-6)


def test_a_table_without_unpackers_says_so(plain: Cost):
    made = cost_of(_2="fixed4/fixed8", table=replace(load_technology(), packing=None))
    assert made.area_mm2 == plain.area_mm2
    assert any(note.startswith("unpacker not in this technology table: not counted") for note in made.notes)


def test_notes_say_what_is_narrow_and_what_is_not(table: Technology):
    first, second = cost_of(_2="fixed4", table=table).notes
    assert first == (
        "'2' at fixed4, on the datapath of fixed8: weights and values are stored and transferred at their own width; "
        "biases, buffers, neurons and cycles are those of fixed8"
    )
    assert second.startswith(
        "what unpacks and packs outputs fixed8 to fixed4, weights fixed4 to fixed8, inputs fixed4 to fixed8 is counted "
        "with the buffers: 0.046 mm2"
    )


def test_a_decoder_is_named(table: Technology, plain: Cost):
    made = cost_of(_2="pow2-3/fixed8", table=table)
    assert made.area_mm2 == plain.area_mm2
    assert any(note.startswith("conversion pow2-3 in fixed8 not in this technology table") for note in made.notes)


def test_on_its_own_accelerator_a_layer_is_stored_as_it_is():
    model = fb.quantize(chain(), "binary", layers={"0": "binary/fixed8"})
    made = fb.cost(model, input_shape=SHAPE)
    assert made.own_datapaths == {"0": "ternary/fixed8"}
    assert made.narrower_layers == {"0": "binary/fixed8"}
    accumulators = [load_technology().datapath(name).accumulator_bits for name in ("ternary/fixed8", "binary")]
    biases = 16 * accumulators[0] + 26 * accumulators[1]
    assert made.parameters_kib * 8192 == pytest.approx(sum(WEIGHTS.values()) + biases)


class Residual(nn.Module):
    """Its first result waits while two layers are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(channels, 4, 3, padding=1) for channels in (3, 4, 4))
        self.end = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x))
        return self.end(torch.relu(self.c(torch.relu(self.b(y)))) + y)


def test_what_waits_in_memory_waits_at_the_width_of_those_that_take_it():
    torch.manual_seed(0)
    own = {"c": "fixed8/fixed16"}
    made = fb.quantize(Residual().eval(), "fixed8", layers=own)
    values = 4 * 16 * 16
    # while c is computed: its inputs at 16 bits, its outputs and what waits at 8
    assert fb.cost(made, input_shape=SHAPE).activations_kib * 8192 == values * (16 + 8 + 8)
    held = {layer.name: layer.held_at for layer in workload_of(made, SHAPE).layers}
    assert held["c"] == ((values, frozenset({None})),)


def test_a_lowered_network_costs_what_the_quantized_one_does(table: Technology):
    model = fb.quantize(chain(), "fixed8", layers={"2": "fixed4", "6": "binary/fixed8"})
    fb.calibrate(model, IMAGES)
    assert fb.cost(fb.lower(model, IMAGES[:1]), technology=table) == fb.cost(model, input_shape=SHAPE, technology=table)


@pytest.mark.parametrize(
    ("holds", "stored", "datapath", "expected"),
    [
        ("weights", "fixed4", "fixed8", True),
        ("weights", "ternary", "fixed8", True),
        ("weights", "ternary", "fixed2", False),  # the same codes
        ("weights", "pow2-3", "fixed8", False),
        ("weights", "pow2-3", "pow2-6", True),
        ("weights", "binary", "pow2-6", True),
        ("inputs", "bfloat16", "float32", True),
        ("inputs", "float16", "float32", False),
        ("outputs", "fixed4", "fixed8", True),
        ("outputs", "binary", "fixed8", False),  # it would be rounded twice
    ],
)
def test_what_moves_bits_is_priced(holds: str, stored: str, datapath: str, *, expected: bool):
    assert is_packed(Narrow(holds, parse_format(stored), parse_format(datapath))) is expected


def run(unit: Unpacker | Packer, narrow: int, row: int) -> int:
    found: list[int] = []

    async def bench(ctx: object) -> None:
        ctx.set(unit.narrow, narrow)
        ctx.set(unit.row, row)
        await ctx.delay(1e-9)
        found.append(ctx.get(unit.out))

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    return found[0]


def row_of(values: list[int], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << (bits * lane) for lane, value in enumerate(values))


WIDTHS = st.integers(2, 8).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(1, bits - 1)))


@given(WIDTHS, st.data())
@settings(max_examples=25, deadline=None)
def test_the_circuit_unpacks_what_is_stored_side_by_side(widths: tuple[int, int], data: st.DataObject):
    bits, stored = widths
    values = data.draw(st.lists(st.integers(-(1 << stored - 1), (1 << stored - 1) - 1), min_size=3, max_size=3))
    assert run(Unpacker(3, bits, stored), 1, row_of(values, stored)) == row_of(values, bits)
    assert run(Unpacker(3, bits, stored), 0, row_of(values, bits)) == row_of(values, bits)


@given(WIDTHS, st.data())
@settings(max_examples=25, deadline=None)
def test_the_circuit_saturates_and_packs(widths: tuple[int, int], data: st.DataObject):
    bits, stored = widths
    values = data.draw(st.lists(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1), min_size=3, max_size=3))
    low, high = -(1 << stored - 1), (1 << stored - 1) - 1
    used = (1 << 3 * stored) - 1
    saturated = [min(max(value, low), high) for value in values]
    assert run(Packer(3, bits, stored), 1, row_of(values, bits)) & used == row_of(saturated, stored)
    assert run(Packer(3, bits, stored), 0, row_of(values, bits)) == row_of(values, bits)


def test_a_scaled_table_scales_unpackers_too(table: Technology):
    from fewbits.hardware.process.scaling import scale

    scaled = scale(table, 65.0)
    assert scaled.packing is not None
    assert 0 < scaled.packing["selection"].area_um2 < PACKING["selection"].area_um2
    assert scaled.packing["selection"].leakage_uw == PACKING["selection"].leakage_uw


def test_a_table_keeps_its_unpackers_in_a_file(table: Technology, tmp_path):
    table.save(tmp_path / "table.json")
    assert load_technology(tmp_path / "table.json").packing == PACKING


def test_json_and_table_of_the_command_line_tell_the_notes(tmp_path, capsys, monkeypatch):
    (tmp_path / "net.py").write_text(
        "from torch import nn\nimport fewbits as fb\n"
        "def make():\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 10))\n"
        "    return fb.quantize(net, 'fixed8', layers={'3': 'fixed4'})\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["cost", "net.py:make", "fixed8", "--input", "3x16x16"]
    assert main(arguments) == 0
    assert "fixed8: '3' at fixed4, on the datapath of fixed8: weights and" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["narrower_layers"] == {"3": "fixed4"}
    assert found["notes"][0].startswith("'3' at fixed4, on the datapath of fixed8")
