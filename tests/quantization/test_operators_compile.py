"""Claims about quantized networks under torch.compile: one graph, the same bits as eager training and evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import fewbits as fb
from fewbits.models import build
from fewbits.quantization import QuantizedModel
from fewbits.quantization.layers.training_method import TrainingMethod, settle
from fewbits.quantization.methods.connect import StochasticSigns, TernaryConnect
from fewbits.quantization.methods.learned_step import FreeWeightSteps, LearnedClipping, LearnedSteps
from fewbits.quantization.methods.scaled_weights import ChannelScales

PRECISIONS = (
    *(("fixed8", False), ("fixed4", True), ("pow2-6/fixed16", False), ("ternary/fixed16", False), ("binary", False)),
    *(("binary/fixed16", False), ("fp8-e4m3", False), ("float-e2m1", False), ("bfloat16", False)),
)
"""With per-channel radix points or not."""

FAST = [("fixed4", True), ("binary", False)]
SLOW = [each for each in PRECISIONS if each not in FAST]

METHODS: dict[str, tuple[str, Callable[..., TrainingMethod]]] = {
    "learned steps": ("fixed4", LearnedSteps),
    "learned steps of floats": ("float-e2m1", LearnedSteps),
    "learned steps of signs": ("binary", LearnedSteps),
    "free steps": ("fixed4", FreeWeightSteps),
    "learned clipping": ("fixed4", lambda layer: LearnedClipping(layer, 1e-3)),
    "channel scales": ("binary/fixed16", ChannelScales),
    "XNOR-Net": ("binary", ChannelScales),
    "stochastic signs": ("binary/fixed16", lambda layer: StochasticSigns()),
    "ternary connect": ("ternary/fixed16", lambda layer: TernaryConnect()),
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test compiles for itself."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def calibrated(network: str, precision: str, per_channel: bool = False) -> tuple[QuantizedModel, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = fb.quantize(build(network, seed=0), precision, per_channel=per_channel)
    shape = fb.models.input_shape(network)
    assert shape is not None
    images = torch.randn(4, *shape, generator=generator)
    fb.calibrate(model, images)
    return model, images, torch.randint(0, 10, (4,), generator=generator)


def step(module: Callable[[Tensor], Tensor], own: QuantizedModel, images: Tensor, labels: Tensor, seed: int) -> Tensor:
    """One step of training; gradients are left in the model."""
    torch.manual_seed(seed)
    own.zero_grad()
    loss = F.cross_entropy(module(images), labels)
    loss.backward()
    with torch.no_grad():
        for parameter in own.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    return loss.detach()


def assert_compiled_equals_eager(model: QuantizedModel, images: Tensor, labels: Tensor, steps: int = 2) -> None:
    eager, twin = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    for seed in range(steps):
        assert torch.equal(step(eager, eager, images, labels, seed), step(compiled, twin, images, labels, seed))
        for (name, expected), found in zip(eager.named_parameters(), twin.parameters(), strict=True):
            assert torch.equal(expected, found), name
    with torch.no_grad():
        assert torch.equal(
            eager.eval()(images), torch.compile(twin.eval(), fullgraph=True, backend="aot_eager")(images)
        )


@pytest.mark.parametrize(
    ("precision", "per_channel"), FAST + [pytest.param(*each, marks=pytest.mark.slow) for each in SLOW]
)
def test_lenet_trains_and_evaluates_in_one_graph_as_it_does_eagerly(precision: str, per_channel: bool) -> None:
    assert_compiled_equals_eager(*calibrated("lenet", precision, per_channel))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "per_channel"), FAST + [pytest.param(*each, marks=pytest.mark.nightly) for each in SLOW]
)
def test_resnet20_trains_and_evaluates_in_one_graph_as_it_does_eagerly(precision: str, per_channel: bool) -> None:
    assert_compiled_equals_eager(*calibrated("resnet20", precision, per_channel))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "free steps" else pytest.mark.slow) for name in METHODS]
)
def test_what_recipes_put_into_layers_trains_in_one_graph_as_it_does_eagerly(name: str) -> None:
    precision, make = METHODS[name]
    model, images, labels = calibrated("lenet", precision)
    for layer in model.layers.values():
        layer.method = make(layer)
    assert_compiled_equals_eager(model, images, labels)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["learned steps", "free steps", "channel scales"])
def test_a_method_trained_in_a_graph_settles_as_it_would_have(name: str) -> None:
    precision, make = METHODS[name]
    model, images, labels = calibrated("lenet", precision)
    for layer in model.layers.values():
        layer.method = make(layer)
    eager, twin = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    step(eager, eager, images, labels, 0)
    step(torch.compile(twin, fullgraph=True, backend="aot_eager"), twin, images, labels, 0)
    for each in (eager, twin):
        settle(each)
    assert torch.equal(fb.lower(eager, images).run(images), fb.lower(twin, images).run(images))


@pytest.mark.parametrize("network", ["lenet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_dynamo_finds_no_graph_breaks(network: str) -> None:
    model, images, _ = calibrated(network, "fixed8")
    found = torch._dynamo.explain(model.train())(images)
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


def test_calibrating_anew_changes_what_is_compiled_without_compiling_again() -> None:
    model, images, _ = calibrated("lenet", "fixed8")
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(model.eval(), fullgraph=True, backend=counter)
    with torch.no_grad():
        for factor in (1.0, 8.0, 0.1):
            fb.calibrate(model, images * factor)
            assert torch.equal(compiled(images), model(images))
    assert counter.frame_count == 1


@pytest.mark.slow
def test_another_batch_size_is_computed_as_eager_does() -> None:
    model, images, _ = calibrated("lenet", "binary")
    compiled = torch.compile(model.eval(), fullgraph=True, backend="aot_eager", dynamic=True)
    with torch.no_grad():
        for count in (4, 3, 2):
            assert torch.equal(compiled(images[:count]), model(images[:count]))


def test_a_network_that_was_not_calibrated_is_refused_when_it_runs() -> None:
    model = fb.quantize(build("lenet", seed=0), "fixed8")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with pytest.raises(fb.FewbitsError, match="calibrate"):
        compiled(torch.randn(1, 1, 28, 28))


def test_nan_in_the_images_is_refused_as_eager_does() -> None:
    model, images, _ = calibrated("lenet", "fixed8")
    images[0, 0, 0, 0] = torch.nan
    with pytest.raises(fb.FormatError, match="NaN"):
        torch.compile(model.eval(), fullgraph=True, backend="aot_eager")(images)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed8", "binary/fixed16"])
def test_inductor_computes_the_same_up_to_float32s_noise(precision: str) -> None:
    """Rounding keeps its bits; what torch multiplies and sums in float32 has another order."""
    model, images, _ = calibrated("lenet", precision)
    with torch.no_grad():
        assert torch.allclose(torch.compile(model.eval(), fullgraph=True)(images), model(images), atol=1e-4)
