"""Where inputs may be unsigned, and what becomes of them elsewhere: refused by name, or signed where that is asked."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits import FormatError, ModelError
from fewbits.bitexact import BitExactNetwork
from fewbits.models import build
from fewbits.quantization import QuantizedModel

PIXELS = torch.rand(16, 2, 8, 8, generator=torch.Generator().manual_seed(0))
NORMALIZED = PIXELS - 0.5


class Net(nn.Module):
    """Convolutions, and between them whatever a test puts there."""

    def __init__(self, between: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (nn.Conv2d(2, 4, 3, padding=1) for _ in range(2))
        self.last = nn.LazyConv2d(3, 1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self, x))


def net(between: Callable[[Net, Tensor], Tensor]) -> Net:
    made = Net(between)
    made(PIXELS)
    return made


def calibrated(
    model: nn.Module, precision: str = "fixed4/ufixed4", images: Tensor = PIXELS, **options
) -> QuantizedModel:
    return fb.calibrate(fb.quantize(model, precision, **options), images).eval()


def formats(model: QuantizedModel) -> dict[str, str]:
    return {name: layer.input_format.name for name, layer in model.layers.items()}


def agree(model: QuantizedModel, images: Tensor = PIXELS) -> bool:
    """Whether the network in float64, the bit-exact one and its reference give the same numbers."""
    network = fb.lower(model, images)
    double = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        return torch.equal(double(images.double()), network.run(images.double()))


UNSIGNED = {
    "a ReLU": lambda n, x: F.relu(n.first(x)),
    "a clamp at zero": lambda n, x: n.first(x).clamp(min=0),
    "a clamp in place": lambda n, x: n.first(x).clamp_(0),
    "maximum pooling": lambda n, x: F.max_pool2d(F.relu(n.first(x)), 2),
    "maximum pooling before the ReLU": lambda n, x: F.relu(F.max_pool2d(n.first(x), 2)),
    "average pooling": lambda n, x: F.avg_pool2d(F.relu(n.first(x)), 2),
    "a concatenation": lambda n, x: torch.cat([F.relu(n.first(x)), F.relu(n.second(x))], 1),
    "a concatenation with the images": lambda n, x: torch.cat([F.relu(n.first(x)), x], 1),
    "an addition": lambda n, x: F.relu(n.first(x)) + F.relu(n.second(x)),
    "a ReLU that several take": lambda n, x: (lambda y: y + F.max_pool2d(y, 3, 1, 1))(F.relu(n.first(x))),
    "dropout": lambda n, x: F.dropout(F.relu(n.first(x)), training=n.training),
    "a mean": lambda n, x: F.adaptive_avg_pool2d(F.relu(n.first(x)), 1),
}

SIGNED = {
    "a convolution alone": lambda n, x: n.first(x),
    "tanh": lambda n, x: torch.tanh(n.first(x)),
    "LeakyReLU": lambda n, x: F.leaky_relu(n.first(x)),
    "an average before the ReLU": lambda n, x: F.relu(F.avg_pool2d(n.first(x), 2)),
    "a clamp below zero": lambda n, x: n.first(x).clamp(min=-1),
    "a concatenation with a convolution": lambda n, x: torch.cat([F.relu(n.first(x)), n.second(x)], 1),
    "an addition of a convolution": lambda n, x: n.first(x) + F.relu(n.second(x)),
    "maximum pooling alone": lambda n, x: F.max_pool2d(n.first(x), 2),
}


@pytest.mark.parametrize("between", UNSIGNED.values(), ids=UNSIGNED)
def test_inputs_may_be_unsigned_behind(between: Callable[[Net, Tensor], Tensor]):
    model = calibrated(net(between))
    assert set(formats(model).values()) == {"ufixed4"}
    assert model.notices == ()
    assert agree(model)


@pytest.mark.parametrize("between", SIGNED.values(), ids=SIGNED)
def test_unsigned_inputs_are_refused_behind(between: Callable[[Net, Tensor], Tensor]):
    with pytest.raises(ModelError, match=r"takes values that may be negative.*put a ReLU before it") as caught:
        fb.quantize(net(between), "fixed4/ufixed4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("between", SIGNED.values(), ids=SIGNED)
def test_auto_sign_gives_inputs_a_sign_behind(between: Callable[[Net, Tensor], Tensor]):
    model = calibrated(net(between), inputs="auto-sign")
    assert "fixed4" in {*formats(model).values(), *(one.number_format.name for one in model.roundings.values())}
    assert any("fixed4 in place of ufixed4" in notice for notice in model.notices)
    assert model.skipped or agree(model)


def test_auto_sign_leaves_unsigned_what_may_be():
    model = calibrated(_three(), inputs="auto-sign")
    assert formats(model) == {"0": "ufixed4", "1": "fixed4", "3": "ufixed4"}
    (notice,) = model.notices
    assert notice.startswith("layer '1' takes values that may be negative")


def _three() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))


def test_a_layer_may_be_signed_by_its_own_precision():
    model = calibrated(_three(), layers={"1": "fixed4"})
    assert formats(model) == {"0": "ufixed4", "1": "fixed4", "3": "ufixed4"}
    assert agree(model)


def test_normalized_images_are_refused_by_the_layer_that_takes_them():
    with pytest.raises(ModelError, match=r"layer 'first' takes the images, whose least value is -0.5.*mean 0"):
        calibrated(net(UNSIGNED["a ReLU"]), images=NORMALIZED)


def test_auto_sign_gives_a_sign_to_normalized_images_alone():
    model = calibrated(net(UNSIGNED["a ReLU"]), "fixed4/ufixed4:auto-sign", NORMALIZED)
    taken = formats(model)
    assert (taken["first"], taken["last"]) == ("fixed4", "ufixed4")
    assert agree(model, NORMALIZED)


def test_images_that_an_addition_takes_settle_its_format():
    residual = net(lambda n, x: F.relu(n.first(x)) + torch.cat([x, x], 1))
    assert calibrated(residual, inputs="auto-sign").notices == ()
    signed = calibrated(residual, inputs="auto-sign", images=NORMALIZED)
    assert "fixed4" in {one.number_format.name for one in signed.roundings.values()}
    assert agree(signed, NORMALIZED)


def test_a_width_without_a_signed_format_is_refused():
    with pytest.raises(ModelError, match="ufixed1 has no signed format of its width: take a wider one"):
        fb.quantize(_three(), "fixed4/ufixed1:auto-sign")


def test_a_network_that_cannot_be_traced_is_refused_or_signed():
    class Untraced(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if float(x.sum()) > 0 else -x)

    network = Untraced(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    with pytest.raises(ModelError, match=r"cannot be traced.*takes values that may be negative"):
        fb.quantize(network, "fixed4/ufixed4")
    assert set(formats(fb.quantize(network, "fixed4/ufixed4:auto-sign")).values()) == {"fixed4"}


@pytest.mark.parametrize("wrong", ["auto", "signed", True, 4, ""])
def test_another_option_of_inputs_is_refused(wrong: object):
    with pytest.raises(ModelError, match=r"inputs takes 'auto-sign' or None"):
        fb.quantize(_three(), "fixed4/ufixed4", inputs=wrong)  # pyright: ignore[reportArgumentType]


def test_auto_sign_changes_nothing_of_signed_inputs():
    assert fb.quantize(_three(), "fixed4", inputs="auto-sign").precision.name == "fixed4"


def test_unsigned_weights_are_refused_however_they_are_given():
    four = fb.parse_format("ufixed4")
    with pytest.raises(FormatError, match="weights need a sign, which ufixed4 has not"):
        fb.quantize(_three(), fb.formats.Precision(four, four))


def test_a_state_of_settled_signs_is_taken():
    model = calibrated(net(UNSIGNED["a ReLU"]), "fixed4/ufixed4:auto-sign", NORMALIZED)
    fresh = fb.quantize(net(UNSIGNED["a ReLU"]), "fixed4/ufixed4:auto-sign")
    fresh.load_state_dict(model.state_dict())
    assert formats(fresh) == formats(model)
    assert fresh.notices == model.notices
    assert "layer 'first' takes the images, which have negatives: these are fixed4" in fresh.notices[0]
    assert torch.equal(fresh.eval()(NORMALIZED), model(NORMALIZED))


def test_a_network_that_shares_values_keeps_its_state():
    model = calibrated(net(UNSIGNED["an addition"]), "ternary/ufixed3", PIXELS)
    fresh = fb.quantize(net(UNSIGNED["an addition"]), "ternary/ufixed3")
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.eval()(PIXELS), model(PIXELS))


def test_a_residual_network_takes_unsigned_inputs_but_for_what_is_added():
    model = fb.quantize(build("resnet8", seed=0), "fixed4/ufixed4:auto-sign")
    assert set(formats(model).values()) == {"ufixed4"}
    assert any("operation 'add'" in notice for notice in model.notices)


def test_gradients_pass_between_zero_and_the_largest_value():
    model = calibrated(nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1)))
    layer = model.layers["2"]
    layer.input_fraction_bits = 0
    x = torch.tensor([-1.0, 0.5, 14.0, 16.0]).view(1, 1, 2, 2).expand(1, 2, 2, 2).clone().requires_grad_()
    layer.rounded_input(x).sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0].flatten().tolist() == [0.0, 1.0, 1.0, 0.0]


@given(
    st.sampled_from(("fixed4/ufixed4", "ternary/ufixed8", "pow2-4/ufixed4", "binary/ufixed2", "binary/ufixed1")),
    st.integers(0, 99),
)
@settings(max_examples=10, deadline=None)
def test_a_saved_network_computes_the_same(tmp_path_factory: pytest.TempPathFactory, precision: str, seed: int):
    torch.manual_seed(seed)
    network = fb.lower(calibrated(net(UNSIGNED["average pooling"]), precision), PIXELS[:1])
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    network.save(path)
    loaded = fb.load(path)
    assert isinstance(loaded, BitExactNetwork)
    assert torch.equal(loaded.run(PIXELS), network.run(PIXELS))


def test_the_first_difference_is_found_in_unsigned_values():
    model = calibrated(net(UNSIGNED["maximum pooling"]))
    network = fb.lower(model, PIXELS)
    assert fb.first_difference(model, network, PIXELS) is None


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7, 8])
def test_rounding_is_that_of_onnx_with_zero_point_zero(bits: int):
    onnx = pytest.importorskip("onnx", reason="the oracle is ONNX's reference")
    from onnx.reference import ReferenceEvaluator

    values = np.concatenate([np.arange(-3, 2**bits + 3, 0.25), [0.5, 1.5, 2.5, -0.5]]).astype(np.float32)
    node = onnx.helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
    inputs = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None])]
    outputs = [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [None])]
    constants = [
        onnx.numpy_helper.from_array(np.array(0.25, np.float32), "scale"),
        onnx.numpy_helper.from_array(np.array(0, np.uint8), "zero"),
    ]
    graph = onnx.helper.make_graph([node], "quantize", inputs, outputs, constants)
    evaluated = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": values / 4})[0]
    expected = np.minimum(evaluated, 2**bits - 1)  # ONNX has 8 bits
    assert np.array_equal(fb.parse_format(f"ufixed{bits}").encode(torch.tensor(values / 4), 2).numpy(), expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 22, 23, 24, 31, 32])
def test_rounding_is_that_of_numpy(bits: int):
    generator = np.random.default_rng(bits)
    values = generator.uniform(-(2.0 ** (bits - 2)), 2.0 ** (bits + 1), 10_000)
    values[:100] = np.arange(100) + 0.5
    values = values.astype(np.float32)
    expected = np.clip(np.rint(values.astype(np.float64)), 0, 2**bits - 1).astype(np.int64)
    got = fb.parse_format(f"ufixed{bits}").encode(torch.tensor(values, dtype=torch.float64)).numpy()
    assert np.array_equal(got, expected)
