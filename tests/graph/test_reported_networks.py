"""Networks on which rewrites went wrong (`../shared/cases/networks.py`): the right value, or a refusal by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits.graph.equivalence import results_of
from fewbits.quantization import batch_norms

FILE = Path(__file__).parents[2].parent / "shared" / "cases" / "networks.py"

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="needs ../shared/cases, which lie outside the tree")


@pytest.fixture(scope="module")
def cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reported_networks", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spec.loader.exec_module(module)
    return module


def _same(one: nn.Module, other: nn.Module, images: Tensor) -> bool:
    return torch.allclose(results_of(one, images)[0], results_of(other, images)[0], rtol=1e-4, atol=1e-5)


def test_a_norm_over_another_axis_is_not_folded_for_these_images(cases: ModuleType) -> None:
    model, images, _ = cases.linear_with_norm_over_another_axis()
    with pytest.raises(fb.ModelError, match="fails where the model does not"):
        fb.fold_batch_norm(model, images)
    with pytest.raises(fb.ModelError, match="holds for vectors"):
        fb.fold_batch_norm(model)(images)


def test_a_computed_weight_is_left_alone(cases: ModuleType) -> None:
    model, images, _ = cases.computed_weight_before_norm()
    folded = fb.fold_batch_norm(model)
    assert batch_norms(folded) == ("1",)
    assert _same(model, folded, images)


def test_a_tied_weight_is_left_alone(cases: ModuleType) -> None:
    model, images = cases.TiedWeight().eval(), torch.randn(2, 3, 4, 4)
    assert _same(model, fb.fold_batch_norm(model), images)


def test_a_hook_is_named_and_refused(cases: ModuleType) -> None:
    model, images, _ = cases.hook_on_relu()
    quantized = fb.quantize(model, "fixed8")
    assert [entry.name for entry in quantized.skipped] == ["1"]
    fb.calibrate(quantized, images)
    with pytest.raises(fb.ModelError, match=r"'1' .ReLU. .*hook that changes values"):
        fb.lower(quantized, images)


@pytest.mark.parametrize("precision", ["fixed4", "fixed8", "pow2-6/fixed16"])
def test_a_dropped_in_place_call_is_lowered(cases: ModuleType, precision: str) -> None:
    images = torch.randn(32, 6)
    quantized = fb.quantize(cases.DroppedInPlace().eval(), precision)
    fb.calibrate(quantized, images)
    network = fb.lower(quantized, images)
    assert [type(operation).__name__ for operation in network.operations][1:4] == ["Linear", "ReLU", "Rounding"]
    found = fb.first_difference(quantized, network, images)
    assert found is None or found.other_classes == 0


@pytest.mark.parametrize("precision", ["fixed2", "fixed3", "fixed4", "fixed8", "ternary", "binary/fixed4", "float32"])
def test_a_network_that_ends_in_an_average_gives_the_classes_of_the_module(cases: ModuleType, precision: str) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        model, images, _ = cases.ends_with_average()
        quantized = fb.quantize(model.eval(), precision)
        fb.calibrate(quantized, images)
        network = fb.lower(quantized, images)
        with torch.no_grad():
            assert torch.equal(quantized(images).argmax(1), network.run(images).argmax(1))
        if precision != "float32":
            assert fb.first_difference(quantized, network, images) is None


def test_a_gate_keeps_its_values_and_is_refused_by_name(cases: ModuleType) -> None:
    model, images = cases.Gate().eval(), torch.randn(4, 3, 8, 8)
    quantized = fb.quantize(model, "fixed8")
    assert _same(model, quantized, images)
    fb.calibrate(quantized, images)
    with pytest.raises(fb.ModelError, match="cannot be lowered"):
        fb.lower(quantized, images)
