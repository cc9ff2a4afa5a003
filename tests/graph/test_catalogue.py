"""The catalogue: what each kind of operation declares holds together, and agrees with torch."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits import graph
from fewbits.errors import DataError, ModelError
from fewbits.extensions import ExtensionError
from fewbits.graph.catalogue import Catalogue, application, catalogue, kind_of
from fewbits.graph.kind import KindOfOperation, Lowering
from fewbits.graph.kinds import OWN
from fewbits.graph.refusals import UnsupportedError
from fewbits.graph.spelling import spelled

WITH_FORM = [kind for kind in OWN.values() if kind.has_form]


@pytest.mark.parametrize("kind", WITH_FORM, ids=lambda kind: kind.name)
def test_a_kind_with_a_form_says_how_it_is_lowered(kind: KindOfOperation) -> None:
    assert type(kind).lower is not KindOfOperation.lower


@pytest.mark.parametrize("kind", OWN.values(), ids=lambda kind: kind.name)
def test_each_meaning_and_spelling_is_found_as_its_kind(kind: KindOfOperation) -> None:
    for meaning in kind.meanings:
        assert catalogue().kind_of_class(meaning) is kind
    for target in kind.calls:
        assert catalogue().reading_of(target) is kind.calls[target]


CALLS: list[tuple[Any, tuple[Any, ...], str]] = [
    (F.relu, (), "relu"),
    ("relu_", (), "relu"),
    (torch.clamp_min, (0,), "relu"),
    ("clamp", (0,), "relu"),
    (F.max_pool2d, (2,), "maximum pooling"),
    (torch.max_pool2d, (2, 1), "maximum pooling"),
    (F.adaptive_max_pool2d, (1,), "maximum pooling"),
    (F.avg_pool2d, (2, 2, 1), "average pooling"),
    (F.adaptive_avg_pool2d, ((2, 4),), "average pooling"),
    (torch.flatten, (1,), "reshaping"),
    ("flatten", (1, 2), "reshaping"),
    ("view", (-1, 96), "reshaping"),
    (torch.reshape, ((-1, 6, 16),), "reshaping"),
    ("unsqueeze", (-1,), "reshaping"),
    ("unflatten", (1, (2, 3)), "reshaping"),
    ("contiguous", (), "vanishing"),
    ("clone", (), "vanishing"),
    (F.dropout, (0.5, False), "vanishing"),
    (F.dropout2d, (0.5, False), "vanishing"),
]


def called(target: Any, *settings: Any) -> tuple[fx.Node, nn.Module]:
    """A node that calls a function or method on one value."""
    traced = fx.Graph()
    source = traced.placeholder("x")
    kind = "call_method" if isinstance(target, str) else "call_function"
    node = traced.create_node(kind, target, (source, *settings))
    traced.output(node)
    return node, fx.GraphModule(nn.Module(), traced)


@pytest.mark.parametrize(
    ("target", "given_settings", "expected"), CALLS, ids=lambda one: getattr(one, "__name__", str(one))
)
def test_a_spelling_is_read_as_its_kind_and_gives_torchs_shape(
    target: Any, given_settings: tuple[Any, ...], expected: str
) -> None:
    node, module = called(target, *given_settings)
    read = application(node, module)
    kind = kind_of(read.meaning)
    assert kind.name == expected
    assert read.sources == (node.args[0],)
    images = torch.randn(2, 6, 4, 4)
    assert kind.shape("call", read.meaning, [(6, 4, 4)]) == tuple(module(images).shape[1:])


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d]),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    ceil_mode=st.booleans(),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_windows_have_torchs_shapes(
    kind: Any, kernel: tuple[int, int], stride: int, padding: int, dilation: int, ceil_mode: bool, size: tuple[int, int]
) -> None:
    if kind is nn.Conv2d:
        module = nn.Conv2d(2, 3, kernel, stride, padding, dilation)
    elif kind is nn.MaxPool2d:
        module = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    else:
        module = nn.AvgPool2d(kernel, stride, padding, ceil_mode)
    try:
        result = module(torch.randn(1, 2, *size))
    except RuntimeError:  # it does not fit, or pads more than half of a window
        return
    try:
        assert kind_of(module).shape("layer", module, [(2, *size)]) == tuple(result.shape[1:])
    except UnsupportedError:  # of padding alone
        assert torch.isinf(result).any()


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.GELU(), "use nn.ReLU in its place, and train the network anew"),
        (nn.PixelShuffle(2), "the order of values stays as the layers make it"),
        (nn.AvgPool3d(2), "only networks over one and two dimensions"),
        (nn.MaxPool2d(2, return_indices=True), "it returns indices, which cannot be lowered"),
        (nn.Conv2d(1, 1, 1, padding_mode="circular"), "padding_mode 'circular': only 'zeros' is quantized"),
        (nn.Flatten(0), "the batch (0) must stay, so start at 1"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_has_no_form_is_refused_in_one_sentence_by_quantize_and_cost(module: nn.Module, reason: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), module, nn.Flatten(), nn.Linear(4, 2))
    skipped = fb.quantize(network, "fixed8").skipped
    assert skipped[0].name == "1"
    assert reason in skipped[0].reason
    with pytest.raises(ModelError) as refusal:
        fb.cost(network, "fixed8", input_shape=(1, 8, 8))
    assert str(refusal.value) == str(skipped[0])


class Doubling(KindOfOperation):
    """A kind that takes what is another's."""

    name = "doubling"
    meanings = (nn.ReLU,)
    calls: ClassVar = {F.silu: spelled(nn.SiLU)}

    def lower(self, call: Lowering) -> None:
        call.pass_on()


def test_two_kinds_of_one_meaning_are_refused_by_name() -> None:
    with pytest.raises(ExtensionError, match=r"'doubling' \(test_catalogue\) takes 'ReLU', which is 'relu' already"):
        Catalogue({**OWN, "doubling": Doubling()}, {})


def test_a_kind_with_a_form_comes_before_one_without() -> None:
    class Curve(KindOfOperation):
        name = "silu"
        meanings = (nn.SiLU,)

    curve = Curve()
    assert kind_of(nn.SiLU()).name == "curves"
    assert Catalogue({"silu": curve, **OWN}, {}).kind_of(nn.SiLU()) is curve


def test_layers_that_are_quantized_are_of_their_layers_kind() -> None:
    quantized = fb.quantize(nn.Sequential(nn.Conv1d(2, 3, 2), nn.Flatten(), nn.Linear(6, 2)), "fixed8")
    assert [kind_of(layer).name for layer in quantized.layers.values()] == ["convolution", "linear"]


def test_a_layer_on_images_of_another_size_says_what_it_takes() -> None:
    layer = nn.Linear(4, 2)
    with pytest.raises(DataError, match="layer 'fc' takes 4 features, its input has shape \\(5,\\)"):
        kind_of(layer).shape("fc", layer, [(5,)])


def test_graph_imports_nothing_of_what_stands_behind_it() -> None:
    behind = ("quantization", "train", "bitexact", "hardware", "study", "report", "cli", "models", "data", "export")
    for path in Path(graph.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.startswith(tuple(f"fewbits.{one}" for one in behind))], path


def test_a_network_of_every_kind_is_read_alike_by_quantize_lower_and_cost() -> None:
    class Every(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
            self.norm, self.fc = nn.BatchNorm2d(4), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.norm(self.a(x)))
            x = F.avg_pool2d(F.dropout(x, 0.1, self.training), 2) + F.max_pool2d(self.b(x), 2)
            return self.fc(torch.cat((x, F.relu(x)), 1).mean((2, 3)))

    torch.manual_seed(0)
    network, images = Every().eval(), torch.randn(4, 2, 8, 8)
    folded = fb.fold_batch_norm(network)
    quantized = fb.quantize(folded, "fixed8")
    fb.calibrate(quantized, images)
    lowered = fb.lower(quantized, images)
    costs = [fb.cost(one, "fixed8", input_shape=(2, 8, 8)) for one in (network, folded, quantized, lowered)]
    assert quantized.skipped == ()
    assert len({(cost.cycles, cost.traffic_kib, cost.parameters_kib) for cost in costs}) == 1
