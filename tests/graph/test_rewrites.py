"""Rewrites prove themselves: what they make computes what they were given, or they say which module differs."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import fewbits as fb
from fewbits.graph.equivalence import results_of
from fewbits.graph.tracing import TraceError, graph_of
from fewbits.quantization import batch_norms

IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def _same(one: nn.Module, other: nn.Module, images: Tensor = IMAGES) -> bool:
    (expected,), (found,) = results_of(one, images), results_of(other, images)
    return expected.shape == found.shape and torch.allclose(expected, found, rtol=1e-4, atol=1e-5)


def _norm(channels: int) -> nn.BatchNorm2d:
    """A normalization that changes much."""
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.fill_(0.5)
    norm.weight.data.fill_(3.0)
    return norm


def _pruned() -> nn.Conv2d:
    conv = nn.Conv2d(3, 4, 3)
    prune.random_unstructured(conv, "bias", 0.5)
    return conv


def _hooked() -> nn.Conv2d:
    conv = nn.Conv2d(3, 4, 3)
    conv.register_forward_hook(lambda module, inputs, output: output * 0.25)
    return conv


def _patched() -> nn.Conv2d:
    conv = nn.Conv2d(3, 4, 3)
    conv.forward = lambda x: 2 * F.conv2d(x, conv.weight, conv.bias)
    return conv


class Doubled(nn.Conv2d):
    """A kind with a forward pass of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) ** 2


NOT_ITS_OWN = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
    "old weight norm": lambda: weight_norm(nn.Conv2d(3, 4, 3)),
    "spectral norm": lambda: spectral_norm(nn.Conv2d(3, 4, 3)).eval(),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Conv2d(3, 4, 3)),
    "pruned bias": _pruned,
    "hook": _hooked,
    "patched": _patched,
    "derived": lambda: Doubled(3, 4, 3),
}


@pytest.mark.parametrize("kind", NOT_ITS_OWN)
def test_a_layer_whose_weights_are_not_its_own_is_left_by_folding_and_equalizing(kind: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(NOT_ITS_OWN[kind](), _norm(4)).eval()
    folded = fb.fold_batch_norm(model)
    assert batch_norms(folded) == ("1",)
    assert _same(model, folded)
    pair = nn.Sequential(NOT_ITS_OWN[kind](), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(fb.ModelError, match=r"'0.*cannot be lowered: "):  # by name, with the reason
        fb.equalize_channels(pair)


@pytest.mark.parametrize("rewrite", [fb.fold_batch_norm, fb.equalize_channels])
def test_tied_weights_stay_as_they_are(rewrite: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), _norm(3), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)).eval()
    model[2].weight = model[0].weight
    if rewrite is fb.equalize_channels:
        model[1] = nn.ReLU()
    made = rewrite(model)
    assert _same(model, made)
    assert made[2].weight is made[0].weight


class ReadsWeight(nn.Module):
    """Uses a layer's weight behind its back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), _norm(3)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.norm(self.conv(x)), self.conv.weight)


def test_a_fold_that_computes_something_else_is_named() -> None:
    with pytest.raises(
        fb.ModelError, match=r"'norm' folded into 'conv' differs, by up to .* where values reach"
    ) as caught:
        fb.fold_batch_norm(ReadsWeight().eval())
    assert "\n" not in str(caught.value)


def test_a_norm_over_another_axis_than_the_layers_is_not_folded() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)).eval()
    model[1].running_mean.copy_(torch.arange(5.0))
    folded = fb.fold_batch_norm(model)
    assert _same(model, folded, torch.randn(4, 3))
    with pytest.raises(fb.ModelError, match=r"holds for vectors \(N, features\)"):
        folded(torch.randn(2, 5, 3))
    with pytest.raises(fb.ModelError, match="fails where the model does not"):
        fb.fold_batch_norm(model, torch.randn(2, 5, 3))


def test_vectors_that_the_graph_tells_are_folded_to_an_identity() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)).eval()
    assert type(fb.fold_batch_norm(model)[2]) is nn.Identity


def test_a_rewrite_that_cannot_be_compared_asks_for_images() -> None:
    class Pair(nn.Module):
        """Takes two images."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), _norm(4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.norm(self.conv(x + y))

    with pytest.raises(fb.ModelError, match=r"give some, fold_batch_norm\(model, images\)"):
        fb.fold_batch_norm(Pair().eval())


IN_PLACE: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {}


def _way(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    IN_PLACE[function.__name__] = function
    return function


class Net(nn.Module):
    """Two layers and a function."""

    def __init__(self, way: Callable[..., Tensor]) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.relu, self.elu, self.same = nn.ReLU(inplace=True), nn.ELU(inplace=True), nn.Identity()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


@_way
def dropped_relu(net, x):
    y = net.a(x)
    y.relu_()
    return net.b(y)


@_way
def dropped_function(net, x):
    y = net.a(x)
    F.relu(y, True)
    return net.b(y)


@_way
def dropped_module(net, x):
    y = net.a(x)
    net.relu(y)
    return net.b(y) + y


@_way
def alias_of_a_sum(net, x):
    y = z = net.a(x)
    y += x
    return net.b(z)


@_way
def alias_of_an_identity(net, x):
    y = net.a(x)
    net.relu(net.same(y))
    return net.b(y)


@_way
def view_of_what_is_overwritten(net, x):
    y = net.a(x)
    z = y.flatten(1)
    net.elu(y)
    return net.b(y).flatten(1) + z


@_way
def whole_through_a_view(net, x):
    y = net.a(x)
    net.elu(y.view(-1, 3, 36))
    return net.b(y)


@_way
def out(net, x):
    y = net.a(x)
    z = net.b(y)
    torch.add(y, x, out=z)
    return net.b(z)


@_way
def result_overwritten(net, x):
    y = net.b(net.a(x))
    y.relu_()
    return y


@_way
def images_overwritten(net, x):
    x.relu_()
    return net.b(net.a(x)) + x


@_way
def several(net, x):
    y = net.a(x)
    y *= 2
    y.add_(1).clamp_(max=1.5)
    torch.relu_(y)
    return net.b(y)


@pytest.mark.parametrize("way", IN_PLACE)
def test_the_traced_graph_computes_what_in_place_calls_do(way: str) -> None:
    torch.manual_seed(0)
    net = Net(IN_PLACE[way]).eval()
    traced = torch.fx.GraphModule(net, graph_of(net))
    with torch.no_grad():
        assert torch.equal(net(IMAGES.clone()), traced(IMAGES.clone()))


REFUSED = {
    "view_of_what_is_overwritten": "'elu' \\(ELU\\) cannot be lowered",
    "whole_through_a_view": "'elu' \\(ELU\\) cannot be lowered",
    "several": "\\(mul\\) cannot be lowered",
}
"""What has no bit-exact form."""


@pytest.mark.parametrize("way", IN_PLACE)
def test_in_place_calls_are_lowered_to_what_they_do_or_refused(way: str) -> None:
    torch.manual_seed(0)
    model = fb.quantize(Net(IN_PLACE[way]).eval(), "fixed8")
    fb.calibrate(model, IMAGES)
    if way in REFUSED:
        with pytest.raises(fb.ModelError, match=REFUSED[way]):
            fb.lower(model, IMAGES)
        return
    network = fb.lower(model, IMAGES)
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(model).double()(IMAGES.double()), network.run(IMAGES.double()))


def test_a_write_into_a_part_is_not_traced() -> None:
    def way(net: nn.Module, x: Tensor) -> Tensor:
        y = net.a(x)
        y[:, 0].relu_()
        return net.b(y)

    net = Net(way).eval()
    with pytest.raises(TraceError, match="writes into a part or another view of a tensor"):
        graph_of(net)
    assert any("writes into a part" in entry.reason for entry in fb.quantize(net, "fixed8").skipped)


def test_hooks_of_the_network_itself_are_traced() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    net.register_forward_hook(lambda module, inputs, output: F.relu(output - 0.5))
    net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    traced = torch.fx.GraphModule(net, graph_of(net))
    x = torch.randn(3, 4)
    assert torch.equal(net(x), traced(x))


def test_parallel_and_compiled_networks_are_unwrapped_and_scripted_ones_refused() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), _norm(4)).eval()
    for wrapped in (nn.DataParallel(inner), torch.compile(inner), torch.compile(nn.DataParallel(inner))):
        assert batch_norms(fb.fold_batch_norm(wrapped)) == ()
        assert list(fb.quantize(wrapped, "fixed8").layers) == ["0"]
    nested = nn.Sequential(nn.DataParallel(inner), nn.ReLU()).eval()
    assert list(fb.quantize(nested, "fixed8").layers) == ["0.0"]
    assert isinstance(nested[0], nn.DataParallel)
    with pytest.raises(fb.ModelError, match="is scripted by"):
        fb.quantize(torch.jit.script(inner), "fixed8")


def test_calibration_refuses_images_of_another_type_or_size() -> None:
    model = fb.quantize(nn.Conv2d(3, 4, 3), "fixed8")
    with pytest.raises(fb.DataError, match="does not take calibration images of shape"):
        fb.calibrate(model, torch.randn(2, 1, 6, 6))
    with pytest.raises(fb.DataError, match=r"float64, the model computes in torch.float32: give images.to"):
        fb.calibrate(model, IMAGES.double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_types_without_room_for_sums_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(fb.ModelError, match=r"parameter 'weight' is .*: give model.float\(\)"):
        fb.quantize(nn.Linear(3, 2).to(dtype), "fixed8")


def test_a_quantized_network_in_another_type_is_refused() -> None:
    model = fb.quantize(nn.Linear(3, 2), "fixed8")
    fb.calibrate(model, torch.randn(4, 3))
    for call in (lambda: fb.lower(model.half(), torch.randn(3)), lambda: fb.calibrate(model, torch.randn(4, 3).half())):
        with pytest.raises(fb.ModelError, match="float16, which has no room"):
            call()


def test_parameters_of_several_types_are_refused() -> None:
    with pytest.raises(fb.ModelError, match=r"'1.weight' is torch.float64, '0.weight' is torch.float32"):
        fb.quantize(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).double()), "fixed8")


@pytest.mark.parametrize("precision", ["fixed4", "fixed16", "pow2-6/fixed16", "binary/fixed8"])
def test_a_float64_network_equals_its_bit_exact_one(precision: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(16, 3, 8, 8, dtype=torch.float64)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 3)).double()
    model = fb.quantize(network, precision)
    fb.calibrate(model, images)
    with torch.no_grad():
        assert torch.equal(model(images), fb.lower(model, images).run(images))


def test_zeros_of_a_format_without_zero_are_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
    network[0].weight.data[1:3] = 0
    (notice,) = fb.quantize(network, "binary/fixed8").notices
    assert notice.startswith(
        "layer '0': 6 of 12 weights are zero (2 of 4 outputs have no other), and binary has no zero"
    )
    assert notice in repr(fb.quantize(network, "binary/fixed8"))
    assert notice in fb.cost(fb.quantize(network, "binary/fixed16"), input_shape=(3, 4, 4)).notes
    assert fb.quantize(network, "ternary/fixed8").notices == ()


def test_a_state_of_another_precision_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    state = fb.quantize(network, "fixed4").state_dict()
    with pytest.raises(fb.ModelError, match="'0' was quantized to fixed8, the state is of fixed4: quantize") as caught:
        fb.quantize(network, "fixed8").load_state_dict(state)
    assert "\n" not in str(caught.value)
    with pytest.raises(fb.ModelError, match="'2' was quantized to fixed4, the state is of fixed8"):
        fb.quantize(network, "fixed4").load_state_dict(
            fb.quantize(network, "fixed4", layers={"2": "fixed8"}).state_dict()
        )


def test_a_state_that_tells_no_precision_is_taken() -> None:
    network = nn.Conv2d(3, 4, 1)
    state = {name: value for name, value in fb.quantize(network, "fixed4").state_dict().items() if "text" not in name}
    fb.quantize(network, "fixed4").load_state_dict(state)


def test_a_network_of_unknown_input_is_compared_when_it_is_calibrated() -> None:
    class Signal(nn.Module):
        """Takes a tensor of no usual shape."""

        def __init__(self) -> None:
            super().__init__()
            self.fc, self.scale = nn.Linear(6, 6), 2

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(F.relu(x.view(-1, 2, 3, 5).amax(3).flatten(1)))

    model = fb.quantize(Signal(), "fixed8")
    model.layers["fc"].layer.weight.data.mul_(2)  # as training would
    fb.calibrate(copy.deepcopy(model), torch.randn(4, 30))
    model.layers["fc"].forward = lambda x: x  # type: ignore[method-assign]
    model.network.fc = nn.Identity()
    with pytest.raises(fb.ModelError, match="quantizing Signal does not compute what the model does"):
        model.prove(torch.randn(4, 30))
