"""Networks whose layers are integers here and floats there: only a rounding leads from one to the other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from random_networks import Case, lowered, networks
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact.executors import choose_executor
from fewbits.bitexact.mixed import MixedExecutor
from fewbits.bitexact.reference import reference_values
from fewbits.bitexact.sum_order import DEFAULT
from fewbits.graph.operations import Rounding, arithmetics

RANDOM = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
FAMILIES = ("fixed8", "pow2-5/fixed8", "ternary/fixed4", "binary", "fixed32", "fp8-e4m3", "float-e2m1", "float32")


def _assert_equals_reference(network: fb.BitExactNetwork, images: Tensor) -> None:
    trace = network.trace(images)
    for index, image in enumerate(images):
        expected = reference_values(network.operations, np.array(image.tolist(), dtype=object))
        for name, values in expected.items():
            found = trace[name][index]
            numbers = found.tolist() if isinstance(found, Tensor) else found
            assert np.array(numbers, dtype=object).tolist() == values.tolist(), name


@RANDOM
@given(networks(FAMILIES, mixed=True))
def test_networks_of_several_families_equal_the_reference_at_every_operation(case: Case) -> None:
    _assert_equals_reference(lowered(case), case.images)


def _chain(*precisions: str) -> fb.BitExactNetwork:
    torch.manual_seed(len(precisions))
    layers: list[nn.Module] = []
    for _ in precisions:
        layers += [nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()]
    names = {str(2 * number): one for number, one in enumerate(precisions)}
    model = fb.quantize(nn.Sequential(*layers[:-1]), precisions[0], layers=names)
    return fb.lower(fb.calibrate(model, torch.randn(8, 2, 6, 6)), torch.zeros(2, 6, 6))


@pytest.mark.parametrize(
    "precisions",
    [
        ("fixed8", "fp8-e4m3"),
        ("fp8-e4m3", "fixed8"),
        ("fixed32", "float32", "fixed32"),
        ("float16", "ternary/fixed8", "bfloat16", "pow2-4/fixed16"),
        ("fixed8", "fixed8", "float-e2m1", "float-e2m1", "binary"),
    ],
)
def test_a_rounding_leads_from_integers_to_floats_and_back(precisions: tuple[str, ...]) -> None:
    network = _chain(*precisions)
    assert set(arithmetics(network.operations).values()) == {"integer", "float32"}
    images = torch.randn(2, 2, 6, 6)
    _assert_equals_reference(network, images)
    assert isinstance(choose_executor(network.operations, torch.device("cpu"), DEFAULT), MixedExecutor)


def test_the_fake_quantized_network_agrees_where_its_sums_are_exact() -> None:
    torch.manual_seed(0)
    model = fb.quantize(
        nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)), "fixed4", layers={"2": "float-e2m1"}
    )
    images = torch.randn(64, 8)
    network = fb.lower(fb.calibrate(model, images), images[:1])
    assert torch.equal(network.run(images), model.eval()(images).double())


def test_a_wide_sum_is_rounded_once_on_its_way_to_a_float() -> None:
    network = _chain("fixed32", "float32")
    images = torch.randn(1, 2, 6, 6) * 100
    trace = network.trace(images)
    (rounding,) = [one for one in network.operations if isinstance(one, Rounding)]
    sums = trace[rounding.inputs[0]]
    found = trace[rounding.name]
    assert isinstance(found, Tensor)
    for whole, number in zip(np.asarray(sums).flat, found.flatten().tolist(), strict=True):
        exact = Fraction(int(whole)) / Fraction(2) ** rounding.shift
        assert number == float(rounding.number_format.quantize_scalar(exact))


def test_a_saved_network_of_both_computes_the_same(tmp_path) -> None:
    network = _chain("fixed8", "fp8-e4m3", "fixed4")
    network.save(tmp_path / "net.safetensors")
    images = torch.randn(3, 2, 6, 6)
    assert torch.equal(fb.load(tmp_path / "net.safetensors").run(images), network.run(images))


def test_logits_are_of_the_last_layers_arithmetic() -> None:
    images = torch.randn(3, 2, 6, 6)
    assert _chain("fp8-e4m3", "fixed8").accumulators(images).dtype == torch.int64
    assert _chain("fixed8", "fp8-e4m3").accumulators(images).dtype == torch.float32


def test_a_network_of_both_has_a_cost_on_two_datapaths() -> None:
    cost = fb.cost(_chain("fixed8", "fp8-e4m3", "fixed8"))
    assert cost.own_datapaths == {"2": "fp8-e4m3"}


def test_an_accelerator_of_one_datapath_refuses_it_by_name(tmp_path) -> None:
    from fewbits.hardware.dataflow.accelerator import Accelerator
    from fewbits.hardware.dataflow.diannao.compiler import compile_network
    from fewbits.hardware.datapath.neuron_design import design

    with pytest.raises(fb.HardwareError, match="rounds to fp8-e4m3, which the outputs of fixed8 are not"):
        compile_network(_chain("fixed8", "fp8-e4m3", "fixed8"), design("fixed8"), Accelerator())


def test_floats_of_another_order_of_sums_are_refused_by_the_cost() -> None:
    model = fb.quantize(nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4)), "fixed8", layers={"0": "fp8-e4m3"})
    fb.calibrate(model, torch.randn(8, 64))
    network = fb.lower(model, torch.zeros(1, 64), sum_order=fb.bitexact.SumOrder(1))
    with pytest.raises(fb.HardwareError, match="adds floats"):
        fb.cost(network)
