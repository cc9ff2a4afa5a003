"""Claims about quantized networks under torch's other captures and transforms: the same results, or one clear line."""

from __future__ import annotations

import copy
import io
import pickle
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F
from torch.onnx._internal.exporter import _flags

import fewbits as fb
from fewbits.quantization import QuantizedModel
from fewbits.quantization.methods.learned_step import LearnedSteps
from fewbits.quantization.rounded_graph import RoundedGraph


class Residual(nn.Module):
    """A padded convolution, an addition, an average: roundings between layers, padding that binary rounds to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = F.relu(self.second(x) + x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


FAST = ("fixed4 per channel", "binary")
SLOW = ("fixed8", "pow2-6/fixed16", "fp8-e4m3")


@pytest.fixture(params=[*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def model(request: pytest.FixtureRequest) -> QuantizedModel:
    torch._dynamo.reset()
    return quantized(*request.param.split(" ", 1))


def quantized(precision: str, per_channel: str = "") -> QuantizedModel:
    torch.manual_seed(0)
    found = fb.quantize(Residual(), precision, per_channel=bool(per_channel))
    fb.calibrate(found, IMAGES)
    return found.eval()


IMAGES = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0))
OTHERS = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_exported_program_computes_the_same_and_takes_its_images(model: QuantizedModel, strict: bool) -> None:
    batch = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(model.network, (IMAGES,), dynamic_shapes=(batch,), strict=strict)
    assert len(program.graph_signature.user_inputs) == 1
    many = torch.cat([IMAGES, OTHERS])
    assert torch.equal(program.module()(many), model(many))


def test_an_exported_program_is_stored_and_read(model: QuantizedModel) -> None:
    memory = io.BytesIO()
    torch.export.save(torch.export.export(model, (IMAGES,)), memory)
    memory.seek(0)
    assert torch.equal(torch.export.load(memory).module()(OTHERS), model(OTHERS))


@pytest.mark.parametrize("gradients", [False, True])
def test_a_jit_trace_computes_the_same_on_other_images_and_after_it_is_stored(
    model: QuantizedModel, gradients: bool
) -> None:
    memory = io.BytesIO()
    with torch.set_grad_enabled(gradients):
        torch.jit.save(torch.jit.trace(model, IMAGES), memory)
    memory.seek(0)
    assert torch.equal(torch.jit.load(memory)(OTHERS), model(OTHERS))


def test_torch_jit_script_is_refused_with_a_line() -> None:
    with pytest.raises(fb.ModelError, match=r"torch\.jit\.script does not take .* use torch\.jit\.trace"):
        torch.jit.script(quantized("fixed8"))


@pytest.mark.parametrize("precision", ["fixed8", "fixed4 per channel", "ternary/fixed16", "binary", "binary/fixed16"])
def test_an_onnx_file_has_its_images_as_input_and_computes_the_same(precision: str, tmp_path: Path) -> None:
    model = quantized(*precision.split(" ", 1))
    path = tmp_path / "net.onnx"
    torch.onnx.export(model, (IMAGES,), str(path), dynamo=False, dynamic_axes={"x": [0]}, input_names=["x"])
    session = onnxruntime.InferenceSession(str(path))
    assert [each.name for each in session.get_inputs()] == ["x"]
    with torch.no_grad():
        expected = model(OTHERS).numpy()
    np.testing.assert_allclose(session.run(None, {"x": OTHERS.numpy()})[0], expected, atol=1e-5)


def test_what_the_newer_onnx_exporter_captures_holds_torchs_own_operators_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That exporter needs the package onnxscript; what it translates is an exported program that is made like this."""
    model = quantized("fixed4", "per channel")
    monkeypatch.setattr(_flags, "_is_onnx_exporting", True)
    program = torch.export.export(model, (IMAGES,), strict=False)
    monkeypatch.setattr(_flags, "_is_onnx_exporting", False)
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert called
    assert not [name for name in called if "fewbits" in name]
    assert torch.equal(program.module()(OTHERS), model(OTHERS))


@pytest.mark.parametrize("precision", ["pow2-6/fixed16", "fp8-e4m3", "float16"])
def test_formats_without_an_onnx_form_are_refused_with_a_line(precision: str, tmp_path: Path) -> None:
    with pytest.raises(fb.ModelError, match=r"has no ONNX form: use torch\.export"):
        torch.onnx.export(quantized(precision), (IMAGES,), str(tmp_path / "net.onnx"), dynamo=False)


def test_a_layer_that_a_recipe_trains_is_refused_as_onnx(tmp_path: Path) -> None:
    model = quantized("fixed8")
    model.layers["first"].method = LearnedSteps(model.layers["first"])
    with pytest.raises(fb.ModelError, match="layer 'first' is trained by a recipe's method, which has no ONNX form"):
        torch.onnx.export(model, (IMAGES,), str(tmp_path / "net.onnx"), dynamo=False)


def test_symbolic_tracing_of_the_network_computes_the_same(model: QuantizedModel) -> None:
    assert torch.equal(fx.symbolic_trace(model.network)(OTHERS), model(OTHERS))


def test_symbolic_tracing_of_the_model_is_refused_with_a_line() -> None:
    with pytest.raises(fb.ModelError, match=r"give symbolic_trace\(model\.network\)"):
        fx.symbolic_trace(quantized("fixed8"))


def test_make_fx_computes_the_same(model: QuantizedModel) -> None:
    assert torch.equal(make_fx(model)(IMAGES)(OTHERS), model(OTHERS))


def test_vmap_over_images_computes_the_same(model: QuantizedModel) -> None:
    assert torch.allclose(torch.func.vmap(lambda image: model(image[None])[0])(IMAGES), model(IMAGES), atol=1e-6)


def test_functional_gradients_are_those_of_backward(model: QuantizedModel) -> None:
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def loss(given: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, given, (images,)), labels)

    found = torch.func.grad(loss)(parameters, IMAGES, LABELS)
    F.cross_entropy(model(IMAGES), LABELS).backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(found[name], parameter.grad), name
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, IMAGES[:, None], LABELS[:, None])
    for name, gradient in each.items():
        assert torch.allclose(gradient.mean(0), found[name], atol=1e-5), name


def test_an_ensemble_of_networks_is_computed_by_vmap(model: QuantizedModel) -> None:
    members = [copy.deepcopy(model) for _ in range(2)]
    with torch.no_grad():
        for parameter in members[1].parameters():
            parameter.mul_(0.7)
    fb.calibrate(members[1], IMAGES)
    states = torch.func.stack_module_state(members)
    results = torch.func.vmap(lambda *state: torch.func.functional_call(model, state, (IMAGES,)))(*states)
    for member, result in zip(members, results, strict=True):
        assert torch.allclose(member(IMAGES), result, atol=1e-6)


def test_forward_mode_gives_the_slope_that_backward_gives() -> None:
    model = quantized("fixed8")
    _, slope = torch.func.jvp(lambda x: model(x).sum(), (IMAGES,), (OTHERS,))
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(images).sum(), images)
    assert torch.allclose(slope, (gradient * OTHERS).sum(), rtol=1e-4)
    assert slope != 0


def test_copies_and_stored_models_compute_the_same(model: QuantizedModel) -> None:
    memory = io.BytesIO()
    torch.save(model, memory)
    memory.seek(0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(memory, weights_only=False)):
        assert isinstance(twin.network, RoundedGraph)
        assert torch.equal(twin(OTHERS), model(OTHERS))
        assert torch.equal(twin.train()(OTHERS), copy.deepcopy(model).train()(OTHERS))
        assert torch.equal(fb.lower(twin.eval(), IMAGES).run(OTHERS), fb.lower(model, IMAGES).run(OTHERS))


def test_replicas_in_threads_do_not_share_rounded_weights() -> None:
    """As DataParallel makes them: shallow copies, each with parameters of its own device, run at the same time."""
    model = quantized("fixed8")
    layer = model.layers["first"]
    replicas = [layer._replicate_for_data_parallel() for _ in range(2)]
    for number, replica in enumerate(replicas):
        replica.layer = copy.deepcopy(layer.layer)
        with torch.no_grad():
            replica.layer.weight.mul_(1 + number)
    results: dict[int, list[Tensor]] = {0: [], 1: []}

    def work(number: int) -> None:
        for _ in range(50):
            results[number].append(replicas[number](IMAGES).detach())

    threads = [threading.Thread(target=work, args=(number,)) for number in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replicas[0].rounded is not layer.rounded
    for found in results.values():
        assert len(found) == 50
        assert all(torch.equal(found[0], other) for other in found)
    assert not torch.equal(results[0][0], results[1][0])


def test_autocast_gives_the_same_compiled_as_eagerly(model: QuantizedModel) -> None:
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(IMAGES).dtype is torch.float32
        assert torch.equal(compiled(IMAGES), model(IMAGES))
