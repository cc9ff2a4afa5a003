"""One call that measures defects: plans, curves, memories of every arithmetic, retraining, repair, undervolting."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork
from fewbits.errors import HardwareError
from fewbits.formats import parse_format
from fewbits.hardware.defects import (
    PLACES,
    DefectCurve,
    DefectiveNetwork,
    DefectPlan,
    ErrorRates,
    FaultyInputs,
    StuckAt,
    highest_rate,
    measure_defects,
    read_error_rates,
)
from fewbits.hardware.defects.known_faults import neuron_tables
from fewbits.hardware.defects.memory import with_held_bits, wrong_cells
from fewbits.hardware.defects.places import _MAKERS  # pyright: ignore[reportPrivateUsage]
from fewbits.hardware.defects.repair import price_with
from fewbits.quantization import KnownDefects

Trained = tuple[fb.quantization.QuantizedModel, BitExactNetwork, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(40, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def quantized_at(precision: str, images: torch.Tensor) -> fb.quantization.QuantizedModel:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, 5))
    return fb.calibrate(fb.quantize(model, precision), images).eval()


def network_at(precision: str, images: torch.Tensor) -> BitExactNetwork:
    return fb.lower(quantized_at(precision, images), images[:1])


def test_every_place_of_a_plan_is_computed() -> None:
    assert list(_MAKERS) == list(PLACES)


@pytest.mark.parametrize("where", PLACES)
def test_no_defects_are_bit_exact(where: str, images: torch.Tensor) -> None:
    network = network_at("fixed4", images)
    plan = DefectPlan(where, **{PLACES[where]: [0]}, draws=2)
    curve = measure_defects(network, images, network.predict(images), plan)
    assert curve.exact_percent == 100
    assert curve.rows[0].faulty.percent == (100, 100)


@pytest.mark.parametrize("precision", ["fixed8", "pow2-4/fixed8", "ternary/fixed8", "binary", "fp8-e4m3", "bfloat16"])
@pytest.mark.parametrize("where", ["weights-memory", "inputs-memory"])
def test_memories_of_every_arithmetic_take_wrong_bits(where: str, precision: str, images: torch.Tensor) -> None:
    network = network_at(precision, images)
    curve = measure_defects(network, images, network.predict(images), DefectPlan(where, rates=[0, 0.2], draws=3))
    assert curve.rows[0].faulty.mean_percent == 100
    assert curve.rows[1].faulty.mean_percent < 95


def test_a_wrong_input_bit_is_the_image_with_that_bit_flipped(images: torch.Tensor) -> None:
    """All bits of all inputs wrong: the one layer computes what it does of the images whose codes are inverted."""
    torch.manual_seed(0)
    quantized = fb.calibrate(fb.quantize(nn.Sequential(nn.Flatten(), nn.Linear(72, 5)), "fixed8"), images)
    network = fb.lower(quantized.eval(), images[:1])
    point, fixed8 = network.layers[0].input_fraction_bits, parse_format("fixed8")
    inverted = fixed8.decode(fixed8.encode(images, point) ^ 255, point, torch.float32)
    assert torch.equal(FaultyInputs(network, 1.0).predict(images), network.predict(inverted))


@pytest.mark.parametrize(
    ("name", "code", "number"),
    [("fp8-e4m3", 0x7F, 480), ("fp8-e5m2", 0x7C, 65536), ("pow2-4", 8, 0), ("ternary", 2, 0), ("fixed4", 8, -8)],
)
def test_codes_that_no_encoder_makes_are_numbers(name: str, code: int, number: float) -> None:
    assert parse_format(name).read_numbers(torch.tensor([code])).tolist() == [number]


def test_float32_reads_an_infinity_as_its_largest_number() -> None:
    largest = torch.finfo(torch.float32).max
    found = parse_format("float32").read_numbers(torch.tensor([0x7F800000, 0xFFC00000]))
    assert found.tolist() == [largest, -largest]


def test_held_cells_read_what_the_errors_read(images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    held = wrong_cells(network, 0.01, 3)
    faulty = with_held_bits(network, held)
    for before, after in zip(network.layers, faulty.layers, strict=True):
        assert np.array_equal(before.weight.codes ^ after.weight.codes, held[before.name].mask)


def test_a_curve_goes_to_json_and_back(images: torch.Tensor) -> None:
    network = network_at("fixed4", images)
    plan = DefectPlan("datapath", counts=[1, 5], draws=2, repair="others")
    curve = measure_defects(network, images, network.predict(images), plan)
    assert DefectCurve.from_json(json.loads(json.dumps(curve.to_json()))) == curve


def test_repair_by_others_gives_all_digits_back_for_cycles(images: torch.Tensor) -> None:
    network = network_at("fixed4", images)
    plan = DefectPlan("datapath", counts=[4], draws=3, repair="others")
    row = measure_defects(network, images, network.predict(images), plan).rows[0]
    assert row.repaired is not None
    assert row.repaired.percent == (100, 100, 100)
    assert row.price is not None
    assert row.price.cycles > row.price.cycles_before
    assert row.price.energy_uj > row.price.energy_before_uj


def test_the_price_of_no_repair_is_the_cost_of_the_network(images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    cost, price = fb.cost(network), price_with(network, fb.hardware.Accelerator(), 0)
    assert (price.cycles, price.energy_uj) == (cost.cycles, cost.energy_uj)
    assert price.area_um2 == pytest.approx(cost.area_mm2 * 1e6)


@pytest.mark.parametrize("disabled", [1, 7, 15])
def test_a_repaired_machine_takes_the_cycles_of_one_with_as_many_neurons(disabled: int, images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    smaller = fb.cost(network, accelerator=fb.hardware.Accelerator(neurons=16 - disabled))
    price = price_with(network, fb.hardware.Accelerator(), disabled)
    assert price.cycles == smaller.cycles
    assert price.area_um2 == pytest.approx(fb.cost(network).area_mm2 * 1e6)  # a disabled neuron stays on the chip


def test_the_tables_of_a_neuron_without_faults_are_exact(images: torch.Tensor) -> None:
    defective = DefectiveNetwork(network_at("fixed2", images), ())
    found = neuron_tables(defective.netlist, defective.design, ())
    assert found is not None
    assert all(table.is_exact for table in found.lanes)


def test_tables_compute_what_the_faulty_multiplier_computes(images: torch.Tensor) -> None:
    """The weights' lowest bit of lane 0 enters one cell's net: a fault behind it is a product table."""
    network = network_at("fixed2", images)
    sound = DefectiveNetwork(network, ())
    sites = fb.hardware.defects.fault_sites(sound.netlist, "datapath")
    for net in sites.nets.tolist():
        found = neuron_tables(sound.netlist, sound.design, [(net, 1)])
        if found is not None and not all(table.is_exact for table in found.lanes):
            break
    else:
        pytest.fail("no net of the neuron lies in a multiplier")
    faults = [StuckAt(neuron, net, 1) for neuron in range(16)]
    (layer,) = network_one_layer("fixed2", images).layers
    single = network_one_layer("fixed2", images)
    lanes = np.arange(layer.synapses) % 16
    choice = np.tile(lanes, (len(layer.weight), 1))
    by_tables = single.with_products({layer.name: fb.formats.LayerProducts(found.lanes, choice)})
    padded = -layer.synapses % 16
    extra = sum(int(found.lanes[lane].values[0, 0]) for lane in range(16 - padded, 16)) if padded else 0
    expected = by_tables.accumulators(images) + extra
    assert torch.equal(DefectiveNetwork(single, faults).logits(images).long(), expected)


def network_one_layer(precision: str, images: torch.Tensor) -> BitExactNetwork:
    torch.manual_seed(0)
    quantized = fb.calibrate(fb.quantize(nn.Sequential(nn.Flatten(), nn.Linear(72, 20)), precision), images)
    return fb.lower(quantized.eval(), images[:1])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"where": "wires", "counts": [1]}, "not in 'wires'"),
        ({"where": ["datapath"], "counts": [1]}, "defects lie in one of"),
        ({"where": "datapath", "counts": [-1]}, "an integer from 0, not -1"),
        ({"where": "datapath", "counts": [True]}, "an integer from 0, not True"),
        ({"where": "datapath", "counts": [0.5]}, "an integer from 0, not 0.5"),
        ({"where": "datapath", "rates": [0.1]}, "told by counts"),
        ({"where": "datapath", "counts": []}, "one at least"),
        ({"where": "datapath", "counts": [1, 1]}, "twice"),
        ({"where": "datapath", "counts": "12"}, "a list of numbers"),
        ({"where": "weights-memory", "rates": [1.5]}, "from 0 to 1, not 1.5"),
        ({"where": "weights-memory", "rates": [float("nan")]}, "from 0 to 1, not nan"),
        ({"where": "weights-memory", "rates": [0.1], "draws": 1}, "at least 2 draws"),
        ({"where": "weights-memory", "rates": [0.1], "seed": -1}, "a seed is an integer from 0"),
        ({"where": "weights-memory", "rates": [0.1], "repair": "others"}, "a repair disables a neuron"),
        ({"where": "inputs-memory", "rates": [0.1], "retrain_epochs": 1}, "not of the inputs-memory"),
        ({"where": "datapath", "counts": [1], "retrain_epochs": 0}, "1 to 1000 epochs, not 0"),
        ({"where": "datapath", "counts": [1], "repair": "glue"}, "one of others, dropped, not 'glue'"),
    ],
)
def test_bad_plans_are_refused_in_a_line(given: dict[str, object], says: str) -> None:
    with pytest.raises(HardwareError, match=says) as refusal:
        DefectPlan(**given)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "values", [{}, [], None, {"plan": 3}, {"plan": {"where": "wires"}}, {"plan": {"where": "datapath", "counts": [1]}}]
)
def test_what_is_no_curve_is_refused_in_a_line(values: object) -> None:
    with pytest.raises(HardwareError, match="no curve of defects") as refusal:
        DefectCurve.from_json(values)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_float_neurons_are_refused_in_a_line(images: torch.Tensor) -> None:
    network = network_at("fp8-e4m3", images)
    with pytest.raises(HardwareError, match="stuck nets are simulated in neurons of integers"):
        measure_defects(network, images, network.predict(images), DefectPlan("datapath", counts=[1]))


def test_the_highest_rate_keeps_the_loss_and_the_next_does_not(images: torch.Tensor) -> None:
    network = network_at("fixed8", images)
    found = highest_rate(network, images, network.predict(images), 5.0, draws=4)
    kept = [row.amount for row in found.tried if row.faulty.mean_percent >= found.exact_percent - 5]
    lost = [row.amount for row in found.tried if row.amount not in kept]
    assert found.rate == max(kept)
    assert min(lost) <= found.rate * 1.25


TOML = 'source = "an example, measured nowhere"\npoints = [[0.5, 1e-2], [0.6, 1e-4], [0.7, 0]]\n'
CSV = "# source: an example, measured nowhere\nvoltage,bit_error_rate\n0.5,1e-2\n0.6, 1e-4\n0.7,0\n"


@pytest.mark.parametrize(("name", "text"), [("rates.toml", TOML), ("rates.csv", CSV)])
def test_tables_of_error_rates_are_read(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = read_error_rates(tmp_path / name)
    assert found == ErrorRates("an example, measured nowhere", ((0.7, 0), (0.6, 1e-4), (0.5, 1e-2)))
    assert [found.lowest_voltage(rate) for rate in (0.1, 1e-3, 0)] == [0.5, 0.6, 0.7]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "points = [[0.5, 0.1]]", "source"),
        ("a.toml", 'source = " "\npoints = [[0.5, 0.1]]', "needs its source"),
        ("a.toml", 'source = "x"\npoints = []', "1 to 1000 rows"),
        ("a.toml", 'source = "x"\npoints = [[0.5]]', "points"),
        ("a.toml", 'source = "x"\npoints = [[0.5, 2]]', "from 0 to 1, not 2"),
        ("a.toml", 'source = "x"\npoints = [[0.5, nan]]', "from 0 to 1, not nan"),
        ("a.toml", 'source = "x"\npoints = [[600, 0.1]]', "number of volts"),
        ("a.toml", 'source = "x"\npoints = [[0.5, 0.1], [0.5, 0.2]]', "twice"),
        ("a.toml", 'source = "x"\npoints = [[0.5, 0.1], [0.6, 0.2]]', "check the columns"),
        ("a.toml", "source = [", "malformed TOML"),
        ("a.csv", "voltage,bit_error_rate\n0.5,0.1\n", "first line tells the source"),
        ("a.csv", "# source: x\n0.5,0.1\n", "names the columns"),
        ("a.csv", "# source: x\nvoltage,bit_error_rate\n0.5,0.1,3\n", "a row is a voltage and a rate"),
        ("a.csv", "# source: x\nvoltage,bit_error_rate\nlow,0.1\n", "a row is a voltage and a rate"),
        ("a.csv", "", "first line tells the source"),
    ],
)  # fmt: skip
def test_bad_tables_of_error_rates_are_refused_in_a_line(name: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(HardwareError, match=says) as refusal:
        read_error_rates(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a" * (2**20 + 1), None])
def test_unreadable_tables_of_error_rates_are_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "rates.toml").write_bytes(content)
    with pytest.raises(HardwareError, match="cannot read bit error rates"):
        read_error_rates(tmp_path / "rates.toml")


@pytest.fixture(scope="module")
def lenet() -> Trained:
    data = fb.data.load("digits")
    model = fb.models.build("lenet", seed=0)
    fb.train.train_float(model, data, fb.train.TrainSettings(epochs=3), seed=0)
    quantized, _ = fb.train.run_recipe("post-training", model, "fixed4", data)
    images, labels = data.inputs(data.validation.images[:200]), data.validation.labels[:200]
    return quantized, fb.lower(quantized, images[:1]), images, labels


@pytest.mark.slow
def test_mean_accuracy_of_a_trained_network_does_not_rise_with_the_rate(lenet: Trained) -> None:
    """LeNet at fixed4 on 200 images, 20 draws; tolerance: 0.5 points, one image of 200."""
    _, network, images, labels = lenet
    plan = DefectPlan("weights-memory", rates=[0, 1e-2, 1e-1, 0.3], draws=20)
    means = [row.faulty.mean_percent for row in measure_defects(network, images, labels, plan).rows]
    assert all(after <= before + 0.5 for before, after in itertools.pairwise(means))
    assert means[-1] < means[0] - 10


@pytest.mark.slow
def test_mean_accuracy_of_a_trained_network_does_not_rise_with_the_number_of_faults(lenet: Trained) -> None:
    """LeNet at fixed4 on 64 images, 20 draws, whose faults grow; tolerance: 1 point, the interval's order."""
    _, network, images, labels = lenet
    plan = DefectPlan("datapath", counts=[0, 2, 16], draws=20)
    means = [row.faulty.mean_percent for row in measure_defects(network, images[:64], labels[:64], plan).rows]
    assert all(after <= before + 1 for before, after in itertools.pairwise(means))
    assert means[-1] < means[0] - 5


@pytest.mark.slow
def test_retraining_around_held_bits_recovers(lenet: Trained) -> None:
    quantized, network, images, labels = lenet
    plan = DefectPlan("weights-memory", rates=[0.2], draws=2, retrain_epochs=1)
    retrain = fb.train.retraining_with_defects(quantized, fb.data.load("digits"))
    row = measure_defects(network, images, labels, plan, retrain=retrain).rows[0]
    assert row.retrained is not None
    assert row.retrained.mean_percent > row.faulty.mean_percent + 2


def test_retraining_with_nothing_known_is_fine_tuning(images: torch.Tensor) -> None:
    data = fb.data.load("digits")
    quantized, _ = fb.train.run_recipe("post-training", fb.models.build("mlp", seed=0), "fixed8", data)
    settings = fb.train.TrainSettings(epochs=1)
    retrained = fb.train.retraining_with_defects(quantized, data, settings)(KnownDefects(), 1, 0)
    assert all(layer.method is None for layer in retrained.layers.values())
