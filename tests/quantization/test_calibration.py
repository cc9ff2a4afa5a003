"""Claims about calibration: each method's radix points, what is reported, what is refused."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from fewbits import DataError, ModelError, calibrate, parse_format, quantize
from fewbits.quantization import choose_fraction_bits
from fewbits.quantization.layers.radix_point import FURTHEST, saturated_share

FORMATS = ["fixed2", "fixed4", "fixed8", "fixed16", "pow2-3", "pow2-6", "ternary", "binary", "fp8-e4m3", "float-e2m1"]

tensors = st.builds(
    lambda seed, size, scale, tail: (
        (2.0**scale) * torch.randn(size, generator=torch.Generator().manual_seed(seed)) ** tail
    ),
    st.integers(0, 2**31),
    st.integers(1, 60),
    st.integers(-12, 12),
    st.sampled_from([1, 3]),
)


def squared_error(name: str, x: torch.Tensor, fraction_bits: int) -> float:
    return (parse_format(name).quantize(x, fraction_bits).double() - x.double()).square().sum().item()


@pytest.mark.parametrize("name", FORMATS)
@given(x=tensors)
@settings(max_examples=15, deadline=None)
def test_squared_error_is_the_least_of_all_radix_points(name: str, x: torch.Tensor):
    chosen = squared_error(name, x, choose_fraction_bits(parse_format(name), x, "squared-error"))
    least = min(squared_error(name, x, fraction_bits) for fraction_bits in range(-40, 41))
    assert chosen <= least


@pytest.mark.parametrize("name", FORMATS)
@given(x=tensors)
@settings(max_examples=15, deadline=None)
def test_maximum_is_the_largest_radix_point_without_saturation(name: str, x: torch.Tensor):
    number_format = parse_format(name)
    fraction_bits = choose_fraction_bits(number_format, x, "maximum")
    assert saturated_share(number_format, x, fraction_bits) == 0
    assert saturated_share(number_format, x, fraction_bits + 1) > 0


def test_maximum_takes_the_limits_exactly():
    fmt = parse_format("fixed8")
    assert choose_fraction_bits(fmt, torch.tensor([127.0 / 4]), "maximum") == 2
    assert choose_fraction_bits(fmt, torch.tensor([-128.0 / 4]), "maximum") == 2
    assert choose_fraction_bits(fmt, torch.tensor([128.0 / 4]), "maximum") == 1


@given(percentile=st.floats(50, 100), x=tensors)
@example(percentile=100.0, x=torch.arange(1.0, 50.0))
@settings(max_examples=30, deadline=None)
def test_percentile_saturates_no_more_than_its_share(percentile: float, x: torch.Tensor):
    fmt = parse_format("fixed8")
    fraction_bits = choose_fraction_bits(fmt, x.abs(), "percentile", percentile)
    assert saturated_share(fmt, x.abs(), fraction_bits) <= 1 - percentile / 100 + 1e-12
    assert fraction_bits >= choose_fraction_bits(fmt, x.abs(), "maximum")


def test_a_percentile_of_zero_magnitude_falls_back_to_the_maximum():
    x = torch.cat([torch.zeros(99), torch.tensor([100.0])])
    assert choose_fraction_bits(parse_format("fixed8"), x, "percentile", 50) == 0


def test_binary_scale_is_the_power_of_two_near_the_mean_magnitude():
    x = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    scale = 2.0 ** -choose_fraction_bits(parse_format("binary"), x)
    assert scale == 1  # E|x| = 0.798, between 0.5 and 1, nearer to 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("method", ["maximum", "percentile", "squared-error"])
def test_a_tensor_of_zeros_gets_zero(name: str, method: str):
    assert choose_fraction_bits(parse_format(name), torch.zeros(5), method) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "fp8-e5m2"])
def test_wide_floats_get_zero(name: str):
    assert choose_fraction_bits(parse_format(name), torch.tensor([1e-20, 3.0])) == 0


@pytest.mark.parametrize("value", [1e-38, 1e38])
def test_extreme_tensors_keep_the_accumulators_unit_a_normal_float32(value: float):
    assert abs(choose_fraction_bits(parse_format("fixed8"), torch.tensor([value]))) == FURTHEST


def test_a_large_tensor_is_sampled_the_same_way_each_time():
    x = torch.randn(2**18 + 1000, generator=torch.Generator().manual_seed(3))
    fmt = parse_format("fixed4")
    assert choose_fraction_bits(fmt, x) == choose_fraction_bits(fmt, x) == choose_fraction_bits(fmt, x[: 2**18])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_tensor_that_is_no_numbers_is_refused(value: float):
    with pytest.raises(DataError, match="NaN or infinity"):
        choose_fraction_bits(parse_format("fixed8"), torch.tensor([1.0, value]))


def test_an_empty_tensor_is_refused():
    with pytest.raises(DataError, match="empty"):
        choose_fraction_bits(parse_format("fixed8"), torch.tensor([]))


def test_limits_are_the_values_of_codes():
    assert parse_format("fixed8").limits() == (-128, 127)
    assert parse_format("fp8-e4m3").limits() == (-448, 448)


# The whole network


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


def test_each_layer_chooses_from_what_the_quantized_layers_before_it_give():
    q = quantize(network(), "binary/fixed8")
    images = torch.randn(20, 1, 8, 8)
    calibrate(q, images)
    with torch.no_grad():
        inputs = q.network[2](q.network[1](q.network[0](images)))
    assert q.layers["3"].input_fraction_bits == choose_fraction_bits(parse_format("fixed8"), inputs)


def test_the_report_names_points_and_saturation_by_layer():
    q = quantize(network(), "fixed4")
    report = calibrate(q, torch.randn(20, 1, 8, 8), "maximum").calibration
    assert [entry.name for entry in report] == ["0", "3"]
    assert [entry.weight_fraction_bits for entry in report] == [q.layers[e.name].weight_fraction_bits for e in report]
    assert all(entry.weight_saturation == entry.input_saturation == 0 for entry in report)
    report = calibrate(q, torch.randn(20, 1, 8, 8), "percentile", percentile=60).calibration
    assert report[0].input_saturation > 0


def test_batches_and_pairs_give_what_one_tensor_gives():
    images = torch.randn(20, 1, 8, 8)
    q = quantize(network(), "fixed4")
    whole = calibrate(q, images).calibration
    assert calibrate(q, images.split(6)).calibration == whole
    assert calibrate(q, [(part, torch.zeros(len(part))) for part in images.split(6)]).calibration == whole


def test_calibrate_returns_its_model():
    q = quantize(network(), "fixed8")
    assert q.calibration == ()
    assert calibrate(q, torch.randn(20, 1, 8, 8)) is q
    assert [entry.name for entry in q.calibration] == list(q.layers)


def test_the_weights_points_can_be_kept():
    q = quantize(network(), "fixed4")
    calibrate(q, torch.randn(20, 1, 8, 8))
    q.layers["0"].weight_fraction_bits = 1
    calibrate(q, torch.randn(20, 1, 8, 8), weights=False)
    assert q.layers["0"].weight_fraction_bits == 1


def test_calibration_leaves_modes_and_weights_alone():
    q = quantize(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "fixed8").train()
    before = {name: value.clone() for name, value in q.state_dict().items() if "radix" not in name}
    calibrate(q, torch.randn(20, 1, 8, 8))
    assert q.training
    assert q.network[1].training
    assert all(torch.equal(q.state_dict()[name], value) for name, value in before.items())


def test_a_shared_layer_covers_the_inputs_of_all_its_uses():
    shared = nn.Linear(3, 3, bias=False)
    shared.weight.data = 100 * torch.eye(3)
    q = quantize(nn.Sequential(shared, shared), "fixed16")
    x = torch.ones(2, 3)
    calibrate(q, x, "maximum")
    assert q.layers["0"].input_fraction_bits == choose_fraction_bits(
        parse_format("fixed16"), torch.tensor([100.0]), "maximum"
    )


def test_channels_last_images_give_the_same_points():
    images = torch.randn(8, 1, 8, 8)
    q = quantize(network(), "fixed4")
    chosen = calibrate(q, images).calibration
    assert calibrate(q, images.contiguous(memory_format=torch.channels_last)).calibration == chosen


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 8, 8), math.nan), "NaN or infinity"),
        (torch.zeros(0, 1, 8, 8), "at least one image"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "normalized float images, not torch.uint8"),
        ([], "a tensor of images"),
        (["image"], "a tensor of images"),
        (None, "a tensor of images .*, not NoneType"),
    ],
)
def test_images_that_cannot_be_used_are_refused(images: object, message: str):
    with pytest.raises(DataError, match=message):
        calibrate(quantize(network(), "fixed8"), images)  # type: ignore[arg-type]


def test_an_unknown_method_is_refused():
    with pytest.raises(ModelError, match="give one of maximum, percentile, squared-error"):
        calibrate(quantize(network(), "fixed8"), torch.zeros(1, 1, 8, 8), "median")  # type: ignore[arg-type]


@pytest.mark.parametrize("percentile", [0, 101, math.nan])
def test_a_percentile_outside_its_range_is_refused(percentile: float):
    with pytest.raises(ModelError, match="percentile lies above 0"):
        calibrate(quantize(network(), "fixed8"), torch.zeros(1, 1, 8, 8), percentile=percentile)


def test_a_float_model_is_refused():
    with pytest.raises(ModelError, match=r"takes what fewbits\.quantize returns, not Sequential"):
        calibrate(network(), torch.zeros(1, 1, 8, 8))  # type: ignore[arg-type]


def test_weights_that_became_nan_are_named():
    q = quantize(network(), "fixed8")
    q.layers["3"].layer.weight.data[0, 0] = math.nan
    with pytest.raises(ModelError, match="layer '3'"):
        calibrate(q, torch.randn(2, 1, 8, 8))
