"""Claims about the straight-through estimator."""

import pytest
import torch
from torch import nn

from fewbits import parse_format, parse_precision
from fewbits.quantization import QuantizedLayer
from fewbits.quantization.layers.straight_through import StraightThrough, mask_gradient


def calibrated_linear(precision: str, weight_bits: int, input_bits: int) -> QuantizedLayer:
    torch.manual_seed(0)
    layer = QuantizedLayer(nn.Linear(4, 3), parse_precision(precision))
    layer.weight_fraction_bits, layer.input_fraction_bits = weight_bits, input_bits
    return layer


def test_values_are_the_formats_values():
    x = torch.randn(50, requires_grad=True)
    fmt = parse_format("fixed4")
    assert torch.equal(StraightThrough.apply(x, fmt, 2), fmt.quantize(x.detach(), 2))


def test_gradient_passes_inside_the_limits_and_at_them_and_stops_outside():
    fmt = parse_format("fixed4")
    low, high = fmt.limits(2)
    x = torch.tensor([low - 0.01, low, -0.3, 0.0, 0.4, high, high + 0.01], requires_grad=True)
    upstream = torch.arange(1.0, 8.0)
    (StraightThrough.apply(x, fmt, 2) * upstream).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 0]


@pytest.mark.parametrize("precision", ["fixed4", "fixed8/fixed4", "pow2-6/fixed16", "binary/fixed16", "ternary/fixed8"])
def test_a_layers_gradients_follow_the_hand_formula(precision: str):
    layer = calibrated_linear(precision, 2, 2)
    x = (3 * torch.randn(5, 4)).requires_grad_()
    upstream = torch.randn(5, 3)
    layer(x).backward(upstream)
    weight = layer.layer.weight
    rounded_x = layer.input_format.quantize(x.detach(), 2)
    low, high = layer.weight_format.limits(2)
    inside = (weight >= low) & (weight <= high)
    torch.testing.assert_close(weight.grad, upstream.T @ rounded_x * inside)
    low, high = layer.input_format.limits(2)
    torch.testing.assert_close(x.grad, upstream @ layer.quantized_weight() * ((x >= low) & (x <= high)))
    torch.testing.assert_close(layer.layer.bias.grad, upstream.sum(0))


def test_frozen_weights_get_no_gradient_but_inputs_do():
    layer = calibrated_linear("fixed8", 5, 5)
    layer.layer.weight.requires_grad_(False)
    x = torch.randn(2, 4, requires_grad=True)
    layer(x).sum().backward()
    assert layer.layer.weight.grad is None
    assert x.grad is not None
    assert layer.layer.bias.grad is not None


def test_the_mask_leaves_the_gradient_alone_when_it_is_differentiated_itself():
    gradient, x = torch.ones(3), torch.tensor([-2.0, 0.0, 2.0])
    with torch.enable_grad():
        masked = mask_gradient(gradient, x, (-1.0, 1.0))
    assert masked.tolist() == [0, 1, 0]
    assert gradient.tolist() == [1, 1, 1]


def test_a_gradient_in_another_memory_order_is_masked_too():
    x = torch.randn(6, 4)
    gradient = torch.randn(4, 6).T
    expected = gradient * ((x >= -1) & (x <= 1))
    with torch.no_grad():
        assert torch.equal(mask_gradient(gradient, x, (-1.0, 1.0)), expected)


def test_channels_last_activations_stay_channels_last():
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    result = StraightThrough.apply(x, parse_format("fixed4"), 2)
    result.sum().backward()
    assert result.stride() == x.grad.stride() == x.stride()


def test_two_forward_passes_before_one_backward_pass_agree_with_two_steps():
    layer = calibrated_linear("fixed8", 5, 5)
    a, b = torch.randn(2, 4), torch.randn(2, 4)
    (layer(a).sum() + layer(b).square().sum()).backward()
    together = layer.layer.weight.grad.clone()
    layer.layer.weight.grad = None
    layer(a).sum().backward()
    layer(b).square().sum().backward()
    torch.testing.assert_close(layer.layer.weight.grad, together)


def test_a_backward_pass_through_changed_weights_is_refused():
    layer = calibrated_linear("fixed8", 5, 5)
    loss = layer(torch.randn(2, 4)).sum()
    with torch.no_grad():
        layer.layer.weight.add_(1)
    layer(torch.randn(2, 4))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
