"""What a network gives: logits, classes, traces; batches, devices' settings, threads, copies; bad images."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact import Convolution
from fewbits.bitexact.exact_arithmetic import exact_arithmetic
from fewbits.bitexact.layer_sums import Float32Sums, Float64Sums, WideSums, layer_sums
from fewbits.models import build

IMAGES = torch.randn(150, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def _lenet(precision: str) -> fb.BitExactNetwork:
    model = fb.quantize(build("lenet", seed=0), precision)
    fb.calibrate(model, IMAGES[:16])
    return fb.lower(model, IMAGES)


@pytest.fixture(scope="module", params=["fixed8", "fixed16", "fixed32", "float32"])
def lenet(request: pytest.FixtureRequest) -> fb.BitExactNetwork:
    return _lenet(request.param)


def test_logits_do_not_depend_on_the_batch(lenet: fb.BitExactNetwork) -> None:
    whole = lenet.run(IMAGES[:70])
    assert torch.equal(whole, lenet.run(IMAGES[:70], batch_size=7))
    assert torch.equal(whole[3], lenet.run(IMAGES[3:4])[0])


def test_logits_are_near_those_of_the_quantized_model() -> None:
    model = fb.quantize(build("lenet", seed=0), "fixed16").eval()
    fb.calibrate(model, IMAGES[:16])
    with torch.no_grad():
        assert torch.allclose(fb.lower(model, IMAGES).run(IMAGES).float(), model(IMAGES), atol=1e-3)


def test_every_layout_of_images_gives_the_same(lenet: fb.BitExactNetwork) -> None:
    images = IMAGES[:4].repeat(1, 1, 1, 2)[..., ::2]
    expected = lenet.accumulators(images.contiguous())
    assert bool((lenet.accumulators(images) == expected).all())
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert bool((lenet.accumulators(channels_last) == expected).all())
    assert bool((lenet.accumulators(images.double()) == expected).all())


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_network_trained_channels_last_computes_the_same(kernel: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, kernel), nn.ReLU(), nn.Conv2d(4, 5, kernel), nn.Flatten(), nn.LazyLinear(2))
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    model(images)
    logits = []
    for layout in (torch.contiguous_format, torch.channels_last):
        quantized = fb.quantize(model.to(memory_format=layout), "fixed8")
        fb.calibrate(quantized, images)
        logits.append(fb.lower(quantized, images).accumulators(images))
    assert torch.equal(*logits)


def test_no_images_give_no_logits(lenet: fb.BitExactNetwork) -> None:
    assert lenet.run(IMAGES[:0]).shape == (0, 10)
    assert lenet.predict(IMAGES[:0]).shape == (0,)


def test_trace_ends_with_the_accumulators(lenet: fb.BitExactNetwork) -> None:
    trace = lenet.trace(IMAGES[:3])
    assert list(trace) == [operation.name for operation in lenet.operations]
    assert bool((trace["fc2"] == lenet.accumulators(IMAGES[:3])).all())
    assert all(tuple(trace[op.name].shape[1:]) == op.output_shape for op in lenet.operations)


def test_classes_are_those_of_the_largest_logits(lenet: fb.BitExactNetwork) -> None:
    assert torch.equal(lenet.predict(IMAGES), lenet.run(IMAGES).argmax(dim=1))


@pytest.mark.parametrize("precision", ["fixed8", "fixed32", "float32"])
def test_of_equal_logits_the_first_wins(precision: str) -> None:
    model = fb.quantize(nn.Sequential(nn.Linear(1, 4, bias=False)), precision)
    for layer in model.layers.values():
        layer.layer.weight.data.copy_(torch.tensor([[-1.0], [1.0], [1.0], [0.0]]))
        if precision != "float32":
            layer.weight_fraction_bits = 30 if precision == "fixed32" else 6
            layer.input_fraction_bits = 30 if precision == "fixed32" else 6
    assert fb.lower(model, torch.ones(1)).predict(torch.ones(2, 1)).tolist() == [1, 1]


def test_classes_come_from_exact_accumulators_where_float64_sees_a_tie() -> None:
    model = fb.quantize(nn.Sequential(nn.Linear(2, 2, bias=False)).double(), "fixed32")
    (layer,) = model.layers.values()
    layer.layer.weight.data.copy_(torch.tensor([[2.0**31 - 1, 0], [2.0**31 - 1, 1]], dtype=torch.float64))
    layer.weight_fraction_bits = layer.input_fraction_bits = 0
    images = torch.tensor([[2.0**31 - 1, 1.0]], dtype=torch.float64)
    network = fb.lower(model, images)
    logits = network.run(images)
    assert logits[0, 0] == logits[0, 1]
    assert network.predict(images).item() == 1


def test_integer_networks_take_infinities_as_the_largest_codes() -> None:
    network = _lenet("fixed8")
    images = torch.full((1, 1, 28, 28), torch.inf)
    assert torch.equal(network.run(images), network.run(torch.full((1, 1, 28, 28), 1e9)))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 28, 28), "images have shape (1, 28, 28): this network takes (N, 1, 28, 28)"),
        (torch.zeros(2, 3, 28, 28), "this network takes (N, 1, 28, 28)"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "normalized floats"),
        ([1.0], "must be a tensor"),
    ],
    ids=["image", "channels", "bytes", "list"],
)
def test_images_that_do_not_fit_are_a_data_error(images: Tensor, message: str) -> None:
    network = _lenet("fixed8")
    for method in (network.run, network.predict, network.trace, network.accumulators):
        with pytest.raises(fb.DataError) as caught:
            method(images)
        assert message in str(caught.value)


def test_a_batch_size_below_one_is_a_data_error() -> None:
    with pytest.raises(fb.DataError, match="at least 1, not 0"):
        _lenet("fixed8").run(IMAGES, batch_size=0)


@pytest.mark.parametrize("precision", ["fixed8", "fixed8/pow2-4", "fixed32/pow2-3"])
def test_images_may_not_be_nan(precision: str) -> None:
    images = IMAGES[:2].clone()
    images[1, 0, 3, 3] = torch.nan
    with pytest.raises(fb.FormatError, match="NaN"):
        _lenet(precision).run(images)


def test_settings_for_speed_change_nothing() -> None:
    network = _lenet("fixed8")
    expected = network.accumulators(IMAGES)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu"), torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(network.accumulators(IMAGES), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_settings_for_speed_come_back_after_the_last_thread() -> None:
    conv = torch.backends.mkldnn.conv
    before = conv.fp32_precision
    with exact_arithmetic("cpu"), exact_arithmetic("cpu"):
        assert conv.fp32_precision == "ieee"
    assert conv.fp32_precision == before
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("precision", ["fixed8", "fixed16"])
def test_threads_share_a_network(precision: str) -> None:
    network = _lenet(precision)
    expected = network.accumulators(IMAGES)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(network.accumulators, [IMAGES] * 8))
    assert all(torch.equal(result, expected) for result in results)


def test_copies_and_pickles_compute_the_same(lenet: fb.BitExactNetwork) -> None:
    expected = lenet.run(IMAGES[:2])
    assert torch.equal(copy.deepcopy(lenet).run(IMAGES[:2]), expected)
    assert torch.equal(pickle.loads(pickle.dumps(lenet)).run(IMAGES[:2]), expected)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("groups", [1, 4, 16])
def test_float32_convolutions_are_exact_up_to_the_last_integer(kernel: int, groups: int) -> None:
    convolution = nn.Conv2d(16, 16, kernel, padding=kernel // 2, groups=groups, bias=False)
    model = fb.quantize(nn.Sequential(convolution), "fixed16/fixed8")
    (layer,) = model.layers.values()
    limit = (2**24 - 1) // (128 * 16 // groups * kernel**2)  # the largest weight whose sums all stay below 2**24
    weights = torch.randint(-limit, limit + 1, convolution.weight.shape, generator=torch.Generator().manual_seed(1))
    layer.layer.weight.data.copy_(weights.clamp(-(2**15), 2**15 - 1))
    layer.weight_fraction_bits = layer.input_fraction_bits = 0
    images = torch.randint(-128, 128, (8, 16, 20, 20), generator=torch.Generator().manual_seed(2)).float()
    network = fb.lower(model, images)
    (operation,) = network.layers
    assert isinstance(operation, Convolution)
    sums = layer_sums(operation, (-128, 127))
    assert isinstance(sums, Float32Sums)
    with torch.inference_mode():
        assert torch.equal(sums.maps(images).to(torch.int64), network.accumulators(images))


@pytest.mark.parametrize(
    ("precision", "kind"), [("fixed8", Float32Sums), ("fixed16", Float64Sums), ("fixed32", WideSums)]
)
def test_the_narrowest_exact_type_is_chosen(precision: str, kind: type) -> None:
    network = _lenet(precision)
    layer = network.layers[1]
    assert isinstance(layer_sums(layer, layer.input_format.integer_limits), kind)


def test_an_inexact_convolution_of_the_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = _lenet("fixed8").layers[1]
    monkeypatch.setattr(Float32Sums, "agrees", lambda self, inputs: False)
    assert isinstance(layer_sums(layer, (0, 127)), Float64Sums)
