"""Lowering: where rounding goes, what vanishes, functional networks, and one clear error for what cannot be lowered."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.bitexact import BitExactNetwork, Convolution, Rounding
from fewbits.bitexact.lowering import operations_of
from fewbits.graph.tracing import IMAGES as INPUT
from fewbits.graph.tracing import Call, Trace
from fewbits.models import build
from fewbits.quantization import QuantizedModel

IMAGES = torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))


def _quantized(*modules: nn.Module, images: Tensor = IMAGES, precision: str = "fixed8") -> QuantizedModel:
    model = fb.quantize(nn.Sequential(*modules), precision)
    fb.calibrate(model, images)
    return model


def _kinds(network: BitExactNetwork) -> list[str]:
    return [type(operation).__name__ for operation in network.operations]


def _message(model: QuantizedModel, images: Tensor = IMAGES) -> str:
    with pytest.raises(fb.ModelError) as caught:
        fb.lower(model, images)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rounding_follows_the_relu_and_precedes_pooling() -> None:
    model = _quantized(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3))
    expected = ["InputRounding", "Convolution", "ReLU", "Rounding", "MaxPool", "Convolution"]
    assert _kinds(fb.lower(model, IMAGES)) == expected


def test_rounding_follows_the_layer_where_pooling_comes_before_the_relu() -> None:
    model = _quantized(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3))
    expected = ["InputRounding", "Convolution", "Rounding", "MaxPool", "ReLU", "Convolution"]
    assert _kinds(fb.lower(model, IMAGES)) == expected


def test_the_last_layer_is_not_rounded_whatever_follows() -> None:
    model = _quantized(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten())
    assert _kinds(fb.lower(model, IMAGES)) == ["InputRounding", "Convolution", "ReLU", "AveragePool", "Flatten"]


def test_dropout_and_identity_vanish() -> None:
    model = _quantized(nn.Conv2d(1, 2, 3), nn.Dropout2d(), nn.ReLU(), nn.Identity(), nn.Conv2d(2, 2, 3))
    expected = ["InputRounding", "Convolution", "ReLU", "Rounding", "Convolution"]
    assert _kinds(fb.lower(model.train(), IMAGES)) == expected


def test_lenet_has_its_names_shapes_and_radix_points() -> None:
    images = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = fb.quantize(build("lenet", seed=0), "fixed8")
    fb.calibrate(model, images)
    network = fb.lower(model, images)
    by_name = {operation.name: operation for operation in network.operations}
    assert list(by_name)[:5] == ["input", "conv1", "relu1", "conv1.rounding", "pool1"]
    assert by_name["pool1"].output_shape == (20, 12, 12)
    assert network.output_shape == (10,)
    rounding, conv2 = by_name["conv1.rounding"], by_name["conv2"]
    assert isinstance(rounding, Rounding)
    assert isinstance(conv2, Convolution)
    assert rounding.fraction_bits == conv2.input_fraction_bits == model.layers["conv2"].input_fraction_bits
    assert conv2.synapses == 500
    assert network.logits_fraction_bits == model.layers["fc2"].accumulator_fraction_bits


def test_operations_are_frozen_and_weights_read_only() -> None:
    layer = fb.lower(_quantized(nn.Conv2d(1, 2, 3)), IMAGES).layers[0]
    assert layer.weight.integers.dtype == "int8"
    with pytest.raises(AttributeError):
        layer.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        layer.weight.integers[0] = 0


def test_lowering_leaves_the_network_as_it_was() -> None:
    model = _quantized(nn.Conv2d(1, 2, 3), nn.Dropout(), nn.Conv2d(2, 2, 3)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fb.lower(model, IMAGES)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("example", [IMAGES, IMAGES[0], IMAGES[:1]], ids=["batch", "image", "one"])
def test_an_example_is_an_image_or_a_batch(example: Tensor) -> None:
    assert fb.lower(_quantized(nn.Conv2d(1, 2, 3)), example).input_shape == (1, 12, 12)
    flat = _quantized(nn.Flatten(), nn.Linear(144, 2))
    assert fb.lower(flat, example).input_shape == (1, 12, 12)
    assert fb.lower(_quantized(nn.Linear(3, 2), images=torch.ones(2, 3)), torch.ones(3)).input_shape == (3,)


class Functional(nn.Module):
    """A network as users write it: functions, views, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3)
        self.fc1, self.fc2 = nn.Linear(4, 6), nn.Linear(6, 2)
        self.drop = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.relu(self.conv2(x)), kernel_size=(3, 3))
        x = x.view(x.size(0), -1)
        x = F.dropout(self.fc1(x).relu(), training=self.training)
        return self.fc2(self.drop(x))


class Modular(nn.Module):
    """The same as modules."""

    def __init__(self, functional: Functional) -> None:
        super().__init__()
        self.chain = nn.Sequential(
            *(functional.conv1, nn.ReLU(), nn.MaxPool2d(2), functional.conv2, nn.ReLU(), nn.AvgPool2d(3)),
            *(nn.Flatten(), functional.fc1, nn.ReLU(), functional.fc2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.chain(x)


def test_functional_calls_mean_what_modules_mean() -> None:
    functional = Functional()
    networks: list[BitExactNetwork] = []
    for module in (functional, Modular(functional)):
        model = fb.quantize(module, "fixed8")
        fb.calibrate(model, IMAGES)
        networks.append(fb.lower(model, IMAGES))
    assert _kinds(networks[0]) == _kinds(networks[1])
    assert torch.equal(networks[0].accumulators(IMAGES), networks[1].accumulators(IMAGES))


class Branches(nn.Module):
    """Two layers share an input; only the first counts."""

    def __init__(self, result: str) -> None:
        super().__init__()
        self.first, self.left, self.right = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)
        self.result = result

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        left, right = self.left(x), self.right(x)
        if self.result == "sum":
            return left + right
        return left if self.result == "left" else self.right(x)


def test_what_the_result_does_not_need_is_left_out() -> None:
    model = fb.quantize(Branches("left"), "fixed8")
    fb.calibrate(model, IMAGES)
    assert [layer.name for layer in fb.lower(model, IMAGES).layers] == ["first", "left"]


class Twice(nn.Module):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x))


def test_a_layer_used_twice_is_two_operations() -> None:
    model = fb.quantize(Twice(), "fixed8")
    fb.calibrate(model, IMAGES)
    network = fb.lower(model, IMAGES)
    assert [layer.name for layer in network.layers] == ["conv", "conv_1"]
    assert len(network.run(IMAGES)) == len(IMAGES)


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        ((nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), "layer '1' (BatchNorm2d)"),
        ((nn.Conv2d(1, 2, 3), nn.Softmax(1)), "layer '1' (Softmax)"),
        ((nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Conv2d(2, 1, 1)), "layer '1' (Sigmoid)"),
        ((nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), nn.Conv2d(2, 1, 1)), "layer '0' (Conv2d)"),
        ((nn.ZeroPad2d(1), nn.Conv2d(1, 2, 3)), "layer '0' (ZeroPad2d)"),
        ((nn.Conv2d(1, 2, 3), nn.Flatten(0)), "layer '1' (Flatten) cannot be lowered: it flattens"),
        ((nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(3)), "layer '1' (AdaptiveAvgPool2d) cannot be lowered: it adapts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_module_that_cannot_be_lowered_is_named(modules: tuple[nn.Module, ...], named: str) -> None:
    assert named in _message(_quantized(*modules))


def test_an_error_gives_the_reason_for_which_the_layer_stayed_float() -> None:
    assert "'zeros' is quantized" in _message(
        _quantized(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Conv2d(2, 1, 1))
    )


def test_layers_that_share_an_input_in_different_formats_are_named() -> None:
    with pytest.raises(fb.ModelError, match="'left' and 'right' share an input but want it as fixed8 and fixed4"):
        fb.quantize(Branches("sum"), "fixed8", layers={"right": "fixed4"})


def test_layers_that_share_an_input_at_different_radix_points_are_named() -> None:
    layers = {name: _quantized(nn.Conv2d(1, 1, 3, padding=1)).layers["0"] for name in ("first", "left", "right")}
    layers["right"].input_fraction_bits += 1
    calls = (
        Call("first", (INPUT,), layers["first"]),
        *(Call(name, ("first",), layers[name]) for name in ("left", "right")),
    )
    with pytest.raises(fb.ModelError, match="layers 'left' and 'right' share an input but want it as fixed8 with"):
        operations_of(Trace(calls, "right"), (1, 12, 12))


def test_a_result_that_is_an_input_too_is_named() -> None:
    layers = _quantized(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)).layers
    calls = (Call("first", (INPUT,), layers["0"]), Call("left", ("first",), layers["1"]))
    with pytest.raises(fb.ModelError, match="'first' is the network's result and the input of 'left' too"):
        operations_of(Trace(calls, "first"), (1, 12, 12))


def test_what_is_not_quantized_not_calibrated_or_not_a_number_is_refused() -> None:
    assert "takes what fewbits.quantize returns" in _message(nn.Conv2d(1, 2, 3))  # type: ignore[arg-type]
    assert "no radix points" in _message(fb.quantize(nn.Conv2d(1, 2, 3), "fixed8"))
    model = _quantized(nn.Conv2d(1, 2, 3))
    model.layers["0"].layer.weight.data[0, 0, 0, 0] = torch.nan
    assert "layer '0': a weight is NaN" in _message(model)


def test_a_float_with_an_integer_format_is_refused() -> None:
    assert "weights float32 with inputs fixed8" in _message(_quantized(nn.Conv2d(1, 2, 3), precision="float32/fixed8"))


def test_layers_that_share_an_input_take_integers_or_floats_alike() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.left(x) + self.right(x)

    with pytest.raises(fb.ModelError, match="layers 'left' and 'right' share an input but want it as fixed8 and fp8"):
        fb.quantize(Both(), "fixed8", layers={"right": "fp8-e4m3"})


class Wayward(nn.Module):
    """A network with one thing that cannot be lowered."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv, self.way = nn.Conv2d(1, 1, 3), way
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        result = self.conv(x)
        match self.way:
            case "branch":
                return result if result.sum() > 0 else x
            case "pair":
                return result, x
            case "times":
                return F.relu(result) * 2
            case "view":
                return result.view(5, -1)
            case "features":
                return result.view(result.size(0), 50)
            case "dropout":
                return F.dropout(result)
            case "tensor":
                return F.relu(self.scale)
            case "keep":
                return x
        return torch.sigmoid(result)


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("branch", "cannot be traced by torch.fx"),
        ("pair", "Wayward cannot be lowered: it returns several results"),
        ("times", "(mul) cannot be lowered"),
        ("view", "only views that keep the batch"),
        ("features", "views 100 values of an image as 50"),
        ("dropout", "drops values even in evaluation"),
        ("tensor", "the network's own tensor 'scale'"),
        ("keep", "nothing to lower"),
        ("sigmoid", "(sigmoid) cannot be lowered"),
    ],
)
def test_functional_code_that_cannot_be_lowered_is_explained(way: str, message: str) -> None:
    model = fb.quantize(Wayward(way), "fixed8")
    for layer in model.layers.values():
        layer.weight_fraction_bits = layer.input_fraction_bits = 4
    assert message in _message(model)


def test_pooling_with_indices_is_refused() -> None:
    model = _quantized(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2))
    model.network[1].return_indices = True  # type: ignore[union-attr,index]
    assert "returns indices" in _message(model)


def test_a_window_of_padding_alone_is_refused() -> None:
    model = _quantized(nn.Conv2d(1, 2, 11), nn.MaxPool2d(2, dilation=3, padding=1))
    assert "a window holds padding alone" in _message(model)


@pytest.mark.parametrize(
    ("modules", "shape", "message"),
    [
        ((nn.Conv2d(1, 2, 3),), (12, 12), "give one image of 3 dimensions"),
        ((nn.Conv2d(1, 2, 3),), (4, 2, 12, 12), "takes 1 channels"),
        ((nn.Conv2d(1, 2, 3),), (4, 1, 2, 12), "does not fit"),
        ((nn.Flatten(), nn.Linear(144, 2)), (4, 1, 12, 13), "give an image of 144 values"),
        ((nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(100, 2)), (1, 13, 13), "takes 100 features"),
        ((nn.Conv2d(1, 1, 3), nn.AvgPool2d(10)), (1, 11, 11), "window (10, 10) does not fit"),
    ],
)
def test_an_example_that_does_not_fit_is_a_data_error(
    modules: tuple[nn.Module, ...], shape: tuple[int, ...], message: str
) -> None:
    model = _quantized(*modules)
    with pytest.raises(fb.DataError) as caught:
        fb.lower(model, torch.zeros(shape))
    assert message in str(caught.value)


def test_an_example_without_an_image_is_a_data_error() -> None:
    with pytest.raises(fb.DataError, match="which holds no image"):
        fb.lower(_quantized(nn.Conv2d(1, 2, 3)), torch.zeros(0, 1, 8, 8))


def test_an_example_must_be_a_tensor() -> None:
    with pytest.raises(fb.DataError, match="an example is a tensor"):
        fb.lower(_quantized(nn.Conv2d(1, 2, 3)), [1])  # type: ignore[arg-type]


def test_a_single_layer_after_a_pooling_of_images_is_rounded_first() -> None:
    network = fb.lower(_quantized(nn.MaxPool2d(2), nn.Conv2d(1, 2, 3)), IMAGES)
    assert _kinds(network) == ["InputRounding", "MaxPool", "Convolution"]
