"""Power of a network from its own operands, on the compiled netlists that the package ships."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork, SumOrder
from fewbits.errors import DataError, HardwareError
from fewbits.hardware import datapath, load_technology
from fewbits.hardware.activity.toggles import Stimulus, bits_of_words, compile_model, count_toggles
from fewbits.hardware.costing.layer_power import half_interval
from fewbits.hardware.costing.network_cost import cost
from fewbits.hardware.costing.network_power import network_power, power_from_operands
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.operands import (
    LayerOperands,
    counted_words,
    layer_operands,
    stream,
    stream_bits,
    stream_words,
)
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.power import Activity, power_of, toggle_costs, uniform_activity
from fewbits.hardware.process.technology import LOGIC_COMPONENTS

TABLE = "ihp-sg13g2"
TILE = Accelerator()
SHIPPED = tuple(name for name, one in load_technology(TABLE).datapaths.items() if one.synapses == 16)
BOOTH = tuple(name for name in SHIPPED if " " not in name)
"""Those of a precision alone: other multipliers are named behind it."""

OF_ONE_MODE = tuple(name for name in SHIPPED if not name.endswith(" composable"))
"""A composable neuron's energy holds the nets of a mode: hardware_cost/test_composable_entries.py."""


def deep_network(precision: str) -> tuple[BitExactNetwork, torch.Tensor]:
    """Its one layer sums 306 products, 20 chunks, at 9 positions."""
    torch.manual_seed(0)
    images = torch.rand(8, 34, 5, 5)
    quantized = fb.quantize(nn.Sequential(nn.Conv2d(34, 20, 3)), precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1]), images


def network(precision: str, products: str | None = None) -> tuple[BitExactNetwork, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 20, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(20 * 16, 10)
    )
    images = torch.rand(8, 2, 8, 8)
    quantized = fb.quantize(model, precision, products=products)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1]), images


def shipped(precision: str) -> CompiledNetlist:
    return read_compiled_netlist(compiled_netlist_path(TABLE, precision))


def accumulators(
    lowered: BitExactNetwork,
    images: torch.Tensor,
    precision: str,
    tile: Accelerator = TILE,
    multiplier: str = "booth",
) -> tuple[list[float], list[float]]:
    """What the netlist's accumulator shows after each last chunk, and the network's value for that output."""
    variant = precision if multiplier == "booth" else f"{precision} {multiplier}"
    netlist, design = shipped(variant), datapath.design(precision, multiplier=multiplier)
    trace = lowered.trace(images)
    seen: list[float] = []
    expected: list[float] = []
    for layer in lowered.layers:
        operands = layer_operands(lowered, layer, trace[layer.inputs[0]], design)
        taken = stream(operands, design, tile, 1, 400, np.random.default_rng(0))
        nets, words = stream_words(netlist.model.ports, stream_bits(design, operands, taken))
        stimulus = Stimulus(nets, words, counted_words(np.ones(400, bool)), np.zeros(len(words), np.int64))
        total = netlist.model.ports["total"][1]
        counts = count_toggles(compile_model(netlist.model), stimulus, watch=total)
        bits = bits_of_words(counts.values)
        ends = np.flatnonzero(taken.last & (np.arange(400) + design.accumulator_delay < 400))
        wanted = np.asarray(trace[layer.name])[1].reshape(len(operands.weights) - 1, -1)
        for end in ends:
            channel, position = int(taken.channel[end]), position_of(operands, taken.inputs, end)
            if channel < len(wanted) and position is not None:
                seen.append(number(bits[end + design.accumulator_delay], design.accumulation == "float32"))
                expected.append(float(wanted[channel, position]))
    return seen, expected


def position_of(operands: LayerOperands, inputs: np.ndarray, end: int) -> int | None:
    """The output position whose last chunk these inputs are, if there is but one."""
    taps = operands.taps[0, :, -1]
    chunk = np.where(taps >= 0, operands.inputs[1][np.maximum(taps, 0)], 0)
    found = np.flatnonzero((chunk == inputs[end]).all(axis=1))
    return int(found[0]) if len(found) == 1 else None


def number(bits: np.ndarray, is_float: bool) -> float:
    value = sum(int(bit) << k for k, bit in enumerate(bits))
    if is_float:
        return float(np.uint32(value).view(np.float32))
    return float(value - (1 << len(bits)) if bits[-1] else value)


@pytest.mark.parametrize("precision", BOOTH)
def test_the_netlist_computes_the_networks_accumulators(precision: str) -> None:
    seen, expected = accumulators(*network(precision), precision)
    assert len(seen) > 10
    assert seen == expected


@pytest.mark.parametrize("multiplier", ["truncated-6", "mitchell"])
def test_the_netlist_of_an_approximate_multiplier_computes_the_networks_accumulators(multiplier: str) -> None:
    seen, expected = accumulators(*network("fixed8", multiplier), "fixed8", multiplier=multiplier)
    assert len(seen) > 10
    assert seen == expected


def test_an_approximate_multiplier_takes_the_power_of_its_own_netlist() -> None:
    lowered, images = network("fixed8", "truncated-6")
    power = power_from_operands(lowered, images, load_technology(TABLE), TABLE, multiplier="truncated-6")
    assert power is not None
    assert power.precision == "fixed8 truncated-6"
    assert fb.cost(lowered, multiplier="truncated-6", activity=power).energy_uj > 0


@pytest.mark.parametrize(
    ("products", "multiplier"), [("mitchell", "booth"), (None, "mitchell"), ("truncated-6", "mitchell")]
)
def test_power_of_a_netlist_of_other_products_is_refused(products: str | None, multiplier: str) -> None:
    lowered, images = network("fixed8", products)
    with pytest.raises(HardwareError, match=f"layer '0' has .*products.*, the netlist the multiplier {multiplier}"):
        power_from_operands(lowered, images, load_technology(TABLE), TABLE, multiplier=multiplier)


@pytest.mark.parametrize("precision", ["fixed8", "fixed32", "binary/fixed16", "bfloat16", "float32"])
def test_the_last_piece_of_a_layer_ends_with_the_networks_accumulators(precision: str) -> None:
    lowered, images = deep_network(precision)
    tile = Accelerator(buffer_rows=12)  # pieces of 12 and 8 chunks, of which the second is drawn
    seen, expected = accumulators(lowered, images, precision, tile)
    assert len(seen) > 10
    assert seen == expected


def test_a_network_of_cut_products_is_refused_on_a_netlist_of_whole_ones() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 6)
    quantized = fb.quantize(nn.Sequential(nn.Linear(6, 3)), "fixed4")
    fb.calibrate(quantized, images)
    cut = fb.lower(quantized, images[:1], product_bits=6)
    with pytest.raises(HardwareError, match="the netlist is of 'fixed4', the network of 'fixed4 product6'"):
        network_power(cut, images, shipped("fixed4"))


def test_a_network_whose_float_sums_have_another_order_is_refused() -> None:
    images = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    quantized = fb.quantize(nn.Sequential(nn.Linear(6, 3)), "float32")
    fb.calibrate(quantized, images)
    other = fb.lower(quantized, images[:1], sum_order=SumOrder(8))
    with pytest.raises(HardwareError, match="adds floats 8 at a time, and neurons of 16 synapses would round its sums"):
        network_power(other, images, shipped("float32"))
    with pytest.raises(HardwareError, match="adds floats 8 at a time, and neurons of 16 synapses would round its sums"):
        cost(other)


def test_every_datapath_of_the_shipped_table_has_its_netlist() -> None:
    assert all(compiled_netlist_path(TABLE, name).exists() for name in SHIPPED)


@pytest.mark.parametrize("precision", OF_ONE_MODE)
def test_shipped_netlists_reproduce_the_table(precision: str) -> None:
    netlist, technology = shipped(precision), load_technology(TABLE)
    cost = technology.datapath(precision)
    power = power_of(netlist.model, uniform_activity(netlist.model, cost.activity))
    clock = power.input_switching_pj[netlist.model.clock_nets].sum()
    ports = {"registers": clock, "rest": power.input_switching_pj.sum() - clock}
    for number_, name in enumerate(LOGIC_COMPONENTS):
        cells = netlist.components == number_
        energy = power.dynamic_pj[cells].sum() + ports.get(name, 0.0)
        assert cells.sum() == cost.components[name].cells
        assert energy == pytest.approx(cost.components[name].energy_pj, rel=1e-5)
        assert power.leakage_uw[cells].sum() == pytest.approx(cost.components[name].leakage_uw, rel=1e-5)
    assert netlist.provenance["rtlil_sha256"] == technology.provenance[f"rtlil_sha256 {precision}"]


def test_shipped_netlists_are_small() -> None:
    assert sum(compiled_netlist_path(TABLE, name).stat().st_size for name in SHIPPED) < 10_000_000


def test_toggle_costs_sum_to_the_power() -> None:
    netlist = shipped("fixed4")
    generator = np.random.default_rng(0)
    activity = Activity(generator.random(netlist.model.net_count), generator.random(netlist.model.net_count))
    power = power_of(netlist.model, activity)
    costs = toggle_costs(netlist.model, activity, netlist.components, len(LOGIC_COMPONENTS))
    total = power.dynamic_pj.sum() + power.input_switching_pj.sum()
    assert (activity.toggles @ costs).sum() == pytest.approx(total)


def test_energy_of_a_network_has_parts_and_an_interval() -> None:
    lowered, images = network("fixed4")
    power = network_power(lowered, images, shipped("fixed4"))
    layer = power.layers[lowered.layers[0].name]
    assert sum(layer.energy_pj.values()) == pytest.approx(layer.images_pj.mean(), rel=1e-6)
    assert layer.toggles > layer.settled_toggles > 0
    cost = fb.cost(lowered, activity=power)
    assert 0 < cost.energy_interval_uj < cost.energy_uj
    assert cost.energy_without_glitches_uj < cost.energy_uj
    assert cost.breakdown.dynamic_uj["clock"] > 0
    for each in cost.breakdown.layers:
        assert sum(each.energy_uj_by_part.values()) == pytest.approx(each.energy_uj)
    assert "own operands" in cost.activity
    assert "assumption" in fb.cost(lowered).activity


def test_quiet_operands_take_less_energy() -> None:
    lowered, images = network("fixed8")
    busy = network_power(lowered, images, shipped("fixed8"))
    quiet = network_power(lowered, torch.zeros_like(images), shipped("fixed8"))
    first = lowered.layers[0].name
    for part in ("multipliers", "adder_tree", "registers"):  # weights go on toggling, and Booth rows of zeros with them
        assert quiet.layers[first].energy_pj[part] < busy.layers[first].energy_pj[part]


def test_a_table_without_netlists_has_no_power_from_operands(tmp_path: Path) -> None:
    lowered, images = network("fixed4")
    technology = load_technology(TABLE)
    assert power_from_operands(lowered, images, technology, tmp_path / "mine.json") is None
    assert power_from_operands(lowered, images, technology, TABLE) is not None


def test_another_networks_activity_is_refused() -> None:
    lowered, images = network("fixed4")
    power = network_power(lowered, images, shipped("fixed4"))
    with pytest.raises(HardwareError, match="'fixed4'"):
        fb.cost(network("fixed8")[0], activity=power)
    with pytest.raises(HardwareError, match="lacks the layer"):
        fb.cost("lenet", "fixed4", activity=power)
    with pytest.raises(HardwareError, match="netlist is of 'fixed8'"):
        network_power(lowered, images, shipped("fixed8"))
    with pytest.raises(DataError, match="at least 2 images"):
        network_power(lowered, images[:1], shipped("fixed4"))


def test_the_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert half_interval(values) == pytest.approx(2.776 * np.sqrt(2.5 / 5), rel=0.01)  # t of 4 degrees of freedom


def test_a_compiled_netlist_is_read_as_it_was_written(tmp_path: Path) -> None:
    netlist = shipped("fixed4")
    netlist.save(tmp_path / "copy.netlist")
    assert (tmp_path / "copy.netlist").read_bytes() == compiled_netlist_path(TABLE, "fixed4").read_bytes()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "net", "pickle"])
def test_hostile_netlists_are_refused(tmp_path: Path, damage: str) -> None:
    good = compiled_netlist_path(TABLE, "fixed4").read_bytes()
    path = tmp_path / "bad.netlist"
    path.write_bytes({"empty": b"", "text": b"hello", "cut": good[:-2000]}.get(damage, b"") or b"")
    if damage in ("net", "pickle"):
        path.write_bytes(rewritten(good, damage))
    with pytest.raises(HardwareError, match="netlist"):
        read_compiled_netlist(path)


def test_a_netlist_that_unpacks_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewbits.hardware.energy.compiled_netlist.MAXIMUM_BYTES", 10_000)
    with pytest.raises(HardwareError, match="over 10000 bytes"):
        shipped("fixed4")


def rewritten(good: bytes, damage: str) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "nets.npy" and damage == "net":
                content = content[:-4] + (10**8).to_bytes(4, "little")
            if name == "nets.npy" and damage == "pickle":
                buffer = io.BytesIO()
                np.save(buffer, np.array([object()]), allow_pickle=True)
                content = buffer.getvalue()
            target.writestr(name, content)
    return result.getvalue()
