"""Quantized layers with product tables: as the bit-exact network computes, with gradients of exact products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits import HardwareError, ModelError
from fewbits.bitexact import first_difference
from fewbits.quantization import QuantizedModel


def network(precision: str, products: object = None, *, per_channel: bool = False) -> tuple[QuantizedModel, Tensor]:
    torch.manual_seed(0)
    modules = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2, stride=2), nn.Flatten()]
    images = torch.randn(4, 3, 8, 8)
    model = fb.quantize(
        nn.Sequential(*modules, nn.Linear(54, 5)), precision, per_channel=per_channel, products=products
    )
    return fb.calibrate(model, images).eval(), images


@pytest.mark.parametrize(
    ("precision", "per_channel"),
    [
        ("fixed8", False),
        ("ternary/fixed4", True),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (("fixed8", True), ("ternary/fixed4", False), ("pow2-4/fixed8", False))
        ),
        ("pow2-4/fixed8", True),
        ("binary", False),
        ("binary", True),
    ],
)
def test_the_layer_computes_what_the_bit_exact_network_does(precision: str, per_channel: bool) -> None:
    model, images = network(precision, "mitchell", per_channel=per_channel)
    lowered = fb.lower(model, images)
    assert all(layer.products is not None for layer in lowered.layers)
    assert first_difference(model, lowered, images) is None


def test_exact_tables_change_no_digit() -> None:
    model, images = network("fixed8")
    expected = model(images)
    for layer in model.layers.values():
        layer.products = network("fixed8", "exact")[0].layers["0"].products
    assert torch.equal(model(images), expected)


def test_the_gradient_is_that_of_exact_products() -> None:
    """Of one layer, whose inputs are the same with either."""
    torch.manual_seed(0)
    images = torch.randn(6, 10)
    gradients: list[Tensor] = []
    for products in (None, "truncated-8"):
        torch.manual_seed(1)
        model = fb.calibrate(fb.quantize(nn.Sequential(nn.Linear(10, 4)), "fixed8", products=products), images).train()
        model(images).sum().backward()
        gradients.append(model.layers["0"].layer.weight.grad)
    assert torch.equal(*gradients)


def test_training_moves_the_weights_that_the_tables_see() -> None:
    model, images = network("fixed8", "truncated-8")
    target = torch.randn(4, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    losses: list[float] = []
    for _ in range(30):
        loss = (model.train()(images) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_given_products_stand_in_for_those_of_the_layers() -> None:
    model, images = network("fixed8", "truncated-8")
    plain, _ = network("fixed8")
    plain.load_state_dict(model.state_dict())
    exact = fb.lower(plain, images)
    assert torch.equal(fb.lower(model, images, products="exact").run(images), exact.run(images))


@pytest.mark.parametrize(
    ("products", "problem"),
    [
        ("drum-4", "layer '0': no approximation 'drum-4'"),
        ({"conv": "mitchell"}, "no layer 'conv' to give products to"),
        (3, "layer '0': products are an approximation's name"),
    ],
)
def test_products_that_are_none_are_refused(products: object, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        network("fixed8", products)


def test_formats_do_not_change_under_tables() -> None:
    model, _ = network("fixed8", "mitchell")
    with pytest.raises(ModelError, match="computes with product tables of its formats: take them off first"):
        model.layers["4"].set_formats(fb.parse_precision("fixed4"))


def test_a_recipe_with_a_method_of_its_own_is_refused() -> None:
    data = fb.data.load("digits")
    with pytest.raises(ModelError, match="take a recipe that trains by the straight-through estimator alone"):
        fb.train.run_recipe(
            "lsq", fb.models.build("mlp", seed=0), "fixed8", data, fb.train.TrainSettings(epochs=1), products="mitchell"
        )


def test_torch_does_not_capture_tables() -> None:
    model, images = network("fixed8", "mitchell")
    with pytest.raises(Exception, match="computes with product tables, which torch does not capture"):
        torch.export.export(model, (images,))


@pytest.mark.parametrize("kind", ["module", "bit-exact"])
def test_no_exact_cost_is_told_of_a_network_with_other_products(kind: str) -> None:
    model, images = network("fixed8", "truncated-6")
    model.network.input_shape = (3, 8, 8)
    with pytest.raises(HardwareError, match="layer '0' computes with the products 'truncated-6'"):
        fb.cost(model if kind == "module" else fb.lower(model, images), input_shape=(3, 8, 8))
