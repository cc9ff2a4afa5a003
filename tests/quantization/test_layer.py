"""Claims about one quantized layer."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fewbits import FormatError, ModelError, parse_precision
from fewbits.quantization import QuantizedLayer

CONVOLUTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"padding": "valid"},
    {"groups": 2, "padding": (2, 1)},
    {"bias": False},
]


def make(layer: nn.Module, precision: str = "fixed8", weight_bits: int = 6, input_bits: int = 4) -> QuantizedLayer:
    quantized = QuantizedLayer(layer, parse_precision(precision), "conv")  # type: ignore[arg-type]
    quantized.weight_fraction_bits, quantized.input_fraction_bits = weight_bits, input_bits
    return quantized


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_convolutions_equal_torchs_on_quantized_tensors(kind: type[nn.Module], options: dict[str, object]):
    torch.manual_seed(1)
    if kind is nn.Conv1d and options.get("padding") == (2, 1):
        options = {**options, "padding": 2}
    conv = kind(4, 6, 3, **options)
    layer = make(conv)
    x = 3 * torch.randn(2, 4, *([9] * (1 if kind is nn.Conv1d else 2)))
    rounded = (x * 2**4).round().clamp(-128, 127) / 2**4
    weight = (conv.weight * 2**6).round().clamp(-128, 127) / 2**6
    bias = None if conv.bias is None else (conv.bias * 2**10).round() / 2**10
    operation = F.conv1d if kind is nn.Conv1d else F.conv2d
    expected = operation(rounded, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    assert torch.equal(layer(x), expected)


def test_the_bias_lies_at_the_accumulators_radix_point():
    layer = make(nn.Linear(2, 3))
    layer.layer.bias.data = torch.tensor([0.5 / 1024, 1.5 / 1024, -300.3])
    assert layer.accumulator_fraction_bits == 10
    assert layer.quantized_bias().tolist() == [0, 2 / 1024, round(-300.3 * 1024) / 1024]


@pytest.mark.parametrize("precision", ["fp8-e4m3", "float32/fixed8", "fixed8/float32"])
def test_the_bias_stays_float32_where_a_format_is_float(precision: str):
    layer = make(nn.Linear(2, 3), precision)
    assert torch.equal(layer.quantized_bias(), layer.layer.bias)


def test_float32_is_the_float_layer():
    conv = nn.Conv2d(2, 3, 3)
    layer = QuantizedLayer(conv, parse_precision("float32"))
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(layer(x), conv(x))
    assert torch.equal(layer.quantized_weight(), conv.weight)


def test_training_and_evaluation_and_no_grad_give_the_same_values():
    layer = make(nn.Conv2d(2, 3, 3))
    x = torch.randn(1, 2, 5, 5, requires_grad=True)
    trained = layer.train()(x)
    with torch.no_grad():
        without = layer(x)
        evaluated = layer.eval()(x)
    assert torch.equal(trained, without)
    assert torch.equal(trained, evaluated)


def test_evaluation_sees_new_weights():
    layer = make(nn.Linear(3, 2)).eval()
    x = torch.randn(1, 3)
    with torch.no_grad():
        before = layer(x)
        layer.layer.weight.neg_()
        layer.layer.bias.neg_()
        assert torch.equal(layer(x), -before)


def test_evaluation_sees_new_radix_points():
    layer = make(nn.Linear(3, 2)).eval()
    x = torch.randn(1, 3)
    with torch.no_grad():
        before = layer(x)
        layer.weight_fraction_bits = 1
        assert not torch.equal(layer(x), before)


def test_training_sees_weights_changed_behind_autograds_back():
    layer = make(nn.Linear(3, 2, bias=False))
    x = torch.randn(1, 3)
    with torch.no_grad():
        before = layer(x)
        layer.layer.weight.data.neg_()
        assert torch.equal(layer(x), -before)


def test_inference_mode_then_training_works():
    layer = make(nn.Linear(3, 2))
    with torch.inference_mode():
        layer(torch.randn(1, 3))
    layer(torch.randn(1, 3)).sum().backward()
    assert layer.layer.weight.grad is not None


def test_use_before_calibration_says_what_to_do():
    layer = QuantizedLayer(nn.Linear(3, 2), parse_precision("fixed8"), "fc1")
    for use in (lambda: layer(torch.randn(1, 3)), layer.quantized_weight, lambda: layer.accumulator_fraction_bits):
        with pytest.raises(ModelError, match=r"layer 'fc1' has no radix points yet: call fewbits\.calibrate"):
            use()


def test_nan_inputs_are_refused():
    with pytest.raises(FormatError):
        make(nn.Linear(3, 2))(torch.tensor([[float("nan"), 0.0, 0.0]]))


@pytest.mark.parametrize("point", [1.0, "3", True])
def test_a_radix_point_must_be_an_integer(point: object):
    with pytest.raises(ModelError, match="fraction_bits must be an integer"):
        make(nn.Linear(3, 2)).weight_fraction_bits = point  # type: ignore[assignment]


def test_state_dict_carries_the_radix_points():
    source, target = make(nn.Linear(3, 2)), QuantizedLayer(nn.Linear(3, 2), parse_precision("fixed8"))
    assert source.state_dict()["weight_radix_point"].dtype == torch.int64
    target.load_state_dict(source.state_dict())
    assert (target.weight_fraction_bits, target.input_fraction_bits) == (6, 4)
    x = torch.randn(2, 3)
    assert torch.equal(source(x), target(x))


def test_copies_and_stored_layers_share_no_memory_with_the_original():
    layer = make(nn.Linear(3, 2)).eval()
    x = torch.randn(2, 3)
    with torch.no_grad():
        before = layer(x)
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
            other.layer.weight.neg_()
            other(x)
            assert torch.equal(layer(x), before)


def test_printing_names_formats_and_radix_points():
    assert "fixed8/fixed8, 2**-6 / 2**-4" in repr(make(nn.Linear(3, 2)))
    assert "not calibrated" in repr(QuantizedLayer(nn.Linear(3, 2), parse_precision("fixed8")))
