"""Claims about `quantize`: what is replaced, what is named as skipped, what is refused."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fewbits import FormatError, ModelError, calibrate, quantize
from fewbits.quantization import QuantizedLayer


class Block(nn.Module):
    """A user's own container with own arithmetic in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bn(self.conv(x))


class Gain(nn.Module):
    """A user's own module with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


class Square(nn.Module):
    """A user's own leaf without parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x


class MyLinear(nn.Linear):
    """A kind derived from Linear."""


def skipped(model: nn.Module) -> dict[str, tuple[str, str]]:
    return {entry.name: (entry.kind, entry.reason) for entry in quantize(model, "fixed8").skipped}


def chain(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), *modules)


def test_convolutions_and_linear_layers_are_replaced_by_name():
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)))
    q = quantize(model, "fixed8")
    assert list(q.layers) == ["0", "1.2"]
    assert q.skipped == ()
    assert q.precision.name == "fixed8"


def test_the_users_model_stays_as_it_is():
    model = nn.Sequential(nn.Linear(3, 2))
    q = quantize(model, "fixed8")
    calibrate(q, torch.randn(4, 3))
    with torch.no_grad():
        q.layers["0"].layer.weight.zero_()
    assert isinstance(model[0], nn.Linear)
    assert model[0].weight.any()


@pytest.mark.parametrize(
    "module",
    [
        nn.BatchNorm1d(4),
        nn.LSTM(4, 4),
        nn.ConvTranspose1d(4, 4, 3),
        nn.Embedding(4, 4),
        nn.LayerNorm(4),
        nn.Softmax(1),
        nn.Sigmoid(),
        nn.PReLU(),
        nn.ReLU6(),
        nn.MultiheadAttention(4, 2),
        nn.TransformerEncoderLayer(4, 2, 8),
        nn.Conv3d(4, 4, 3),
        nn.Bilinear(4, 4, 2),
        Gain(),
        Square(),
        MyLinear(4, 4),
        nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_module_that_computes_in_float_is_named_with_its_kind_and_a_reason(module: nn.Module):
    entries = skipped(chain(module))
    assert list(entries) == ["1"]
    assert entries["1"][0] == type(module).__name__
    assert entries["1"][1]


@pytest.mark.parametrize(
    "module",
    [nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Identity()],
    ids=lambda module: type(module).__name__,
)
def test_a_module_that_needs_no_format_is_not_named(module: nn.Module):
    assert skipped(chain(module)) == {}


def test_layers_inside_the_users_own_container_are_quantized_and_its_other_modules_named():
    q = quantize(nn.Sequential(Block(), nn.Conv2d(3, 2, 1)), "fixed8")
    assert list(q.layers) == ["0.conv", "1"]
    assert [entry.name for entry in q.skipped] == ["0.bn"]


def test_computed_weights_are_named():
    layer = parametrizations.weight_norm(nn.Linear(4, 4))
    entries = skipped(chain(layer))
    assert "1" in entries


def test_layers_with_hooks_are_named():
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda module, inputs, output: output * 2)
    assert "hooks" in skipped(chain(layer))["1"][1]


def test_a_module_used_twice_stays_one():
    shared = nn.Linear(3, 3)
    q = quantize(nn.Sequential(shared, nn.ReLU(), shared), "fixed8")
    assert q.network[0] is q.network[2]
    assert list(q.layers) == ["0"]


def test_tied_parameters_stay_tied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    q = quantize(model, "fixed8")
    assert q.layers["0"].layer.weight is q.layers["1"].layer.weight


def test_a_single_layer_becomes_a_chain_of_one():
    q = quantize(nn.Linear(3, 2), "float32")
    assert list(q.layers) == ["layer"]
    assert q(torch.randn(1, 3)).shape == (1, 2)


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16", "fp8-e5m2"])
def test_wide_floats_need_no_calibration(precision: str):
    assert quantize(nn.Sequential(nn.Linear(3, 2)), precision)(torch.randn(1, 3)).shape == (1, 2)


def test_an_uncalibrated_model_says_what_to_do():
    q = quantize(nn.Sequential(nn.Linear(3, 2)), "fixed8")
    with pytest.raises(ModelError, match=r"'0' has no radix points yet: call fewbits\.calibrate"):
        q(torch.randn(1, 3))


def test_training_mode_is_kept():
    assert not quantize(nn.Sequential(nn.Linear(3, 2)).eval(), "fixed8").layers["0"].training
    assert quantize(nn.Sequential(nn.Linear(3, 2)), "fixed8").layers["0"].training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_weights_that_are_no_numbers_are_refused_by_name(part: str, value: float):
    model = nn.Sequential(nn.Linear(3, 2))
    getattr(model[0], part).data.view(-1)[0] = value
    with pytest.raises(ModelError, match=f"layer '0': a {part} is NaN or infinite"):
        quantize(model, "fixed8")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.ReLU()), "no layer to quantize"),
        (nn.Sequential(nn.BatchNorm1d(3)), "0: its arithmetic stays float"),
        ("lenet", "takes a torch.nn.Module, not str"),
        (nn.Sequential(nn.LazyLinear(3)), "layer '0' is not initialized"),
    ],
)
def test_models_that_cannot_be_quantized_are_refused(model: nn.Module, message: str):
    with pytest.raises(ModelError, match=message):
        quantize(model, "fixed8")


def test_a_model_that_cannot_be_copied_is_refused():
    model = nn.Sequential(nn.Linear(2, 2))
    model.grown = model[0].weight * 2  # type: ignore[assignment]
    with pytest.raises(ModelError, match="Sequential cannot be copied"):
        quantize(model, "fixed8")


def test_a_quantized_model_is_refused():
    q = quantize(nn.Sequential(nn.Linear(3, 2)), "fixed8")
    with pytest.raises(ModelError, match="quantized already"):
        quantize(q, "fixed4")


def test_an_unknown_precision_is_refused():
    with pytest.raises(FormatError):
        quantize(nn.Sequential(nn.Linear(3, 2)), "fixed99x")


def test_a_quantized_model_trains_with_a_plain_torch_loop():
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    target = x @ torch.randn(4, 2)
    q = quantize(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)), "fixed8")
    calibrate(q, x)
    optimizer = torch.optim.Adam(q.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (q(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_the_layers_are_quantized_layers_with_their_radix_points():
    q = quantize(nn.Sequential(nn.Linear(3, 2)), "pow2-6/fixed16")
    calibrate(q, torch.randn(4, 3))
    layer = q.layers["0"]
    assert isinstance(layer, QuantizedLayer)
    assert (layer.weight_format.name, layer.input_format.name) == ("pow2-6", "fixed16")
    assert layer.accumulator_fraction_bits == layer.weight_fraction_bits + layer.input_fraction_bits


def test_a_traced_network_is_the_users_own():
    q = quantize(torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 2), nn.ReLU())), "float32")
    assert list(q.layers) == ["0"]


@pytest.mark.parametrize("precision", [8, None, ("fixed8", "fixed8")])
def test_a_precision_that_is_no_name_is_refused(precision: object):
    with pytest.raises(FormatError, match="a precision is a name such as 'fixed8'"):
        quantize(nn.Linear(2, 2), precision)
    with pytest.raises(FormatError, match="a precision is a name such as 'fixed8'"):
        quantize(nn.Linear(2, 2), "fixed8", layers={"layer": precision})


def test_layers_without_precisions_are_refused():
    with pytest.raises(ModelError, match=r"layers takes precisions by a layer's name.*not \['layer'\]"):
        quantize(nn.Linear(2, 2), "fixed8", layers=["layer"])
