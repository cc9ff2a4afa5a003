"""What is left float is named with its cause and a way out; `skipped` holds what is executed, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb

IMAGES = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0))


class BatchNormAct2d(nn.BatchNorm2d):
    """timm's: a normalization with its activation inside."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(x.ndim == 4, "four dimensions")
        args = (self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps)
        return self.act(F.batch_norm(x, *args))


class Conv2dSame(nn.Conv2d):
    """timm's: padding as TensorFlow has it."""

    def forward(self, x: Tensor) -> Tensor:
        height = x.size()[-2]
        rows = max((math.ceil(height / self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - height, 0)
        return F.conv2d(F.pad(x, [rows // 2, rows - rows // 2] * 2), self.weight, self.bias, self.stride)


class StdConv2d(nn.Conv2d):
    """timm's: weights that are normalized in each call."""

    def forward(self, x: Tensor) -> Tensor:
        weight = F.layer_norm(self.weight.flatten(1), (self.weight[0].numel(),)).view_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias).permute(0, 3, 1, 2)


class DropPath(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(0.9)


class LayerScale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ChannelPad(nn.Module):
    """The shortcut of the first residual networks."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 2, 2))


class MyReLU(nn.Module):
    """A user's own kind that computes only what has a form."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class PatchEmbedding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 8, f"images of {x.shape[2]} rows"
        return x


class Counted(nn.Module):
    """The old tutorial's way to flatten."""

    def forward(self, x: Tensor) -> Tensor:
        features = 1
        for size in x.size()[1:]:
            features *= size
        return x.view(-1, features).view(-1, 4, 8, 8)


class Block(nn.Module):
    """A residual block around a module, in a network with heads that are never called."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.conv, self.part, self.fc = nn.Conv2d(3, 4, 3, padding=1), part, nn.Linear(4, 3)
        self.head, self.norm = nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), nn.BatchNorm2d(4)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        return self.fc((self.part(x) + x).mean((2, 3)))


def named(model: nn.Module) -> list[tuple[str, str, str]]:
    return [(entry.name, entry.kind, entry.reason) for entry in fb.quantize(model.eval(), "fixed8").skipped]


@pytest.mark.parametrize(
    ("part", "name", "kind", "cause", "mend"),
    [
        (BatchNormAct2d(4), "part", "BatchNormAct2d", "derived from BatchNorm2d", "use nn.BatchNorm2d itself"),
        (Conv2dSame(4, 4, 3), "", "Block", "decides on a shape", "leave the check out"),
        (StdConv2d(4, 4, 3, padding=1), "part", "StdConv2d", "derived from Conv2d", "use nn.Conv2d itself"),
        (LayerNorm2d(4), "part", "LayerNorm2d", "derived from LayerNorm", "use nn.BatchNorm2d"),
        (DropPath(), "", "Block", "other things in training than in evaluation, first in 'part' (DropPath)", "Dropout"),
        (LayerScale(4), "part", "LayerScale", "parameters that its own forward pass uses", "make them the weight"),
        (ChannelPad(), "part", "ChannelPad", "calls 'pad'", "its own padding="),
        (PatchEmbedding(), "", "Block", "decides on a shape", "torch._assert"),
        (Counted(), "", "Block", "loops over a shape", "torch.flatten(x, 1)"),
        (nn.BatchNorm2d(4), "part", "BatchNorm2d", "it normalizes relu", "directly behind one"),
        (nn.GroupNorm(2, 4), "part", "GroupNorm", "each image's own statistics", "nn.BatchNorm2d"),
        (nn.Hardswish(), "part", "Hardswish", "no bit-exact form", "use nn.ReLU"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_each_is_named_with_its_cause_and_a_way_out(part: nn.Module, name: str, kind: str, cause: str, mend: str):
    first, *_ = named(Block(part))
    assert first[:2] == (name, kind)
    assert cause in first[2]
    assert mend in first[2]


def test_a_refusal_of_the_forward_pass_says_where_it_stands():
    (entry, *_) = named(Block(PatchEmbedding()))
    assert "test_refusals.py, line" in entry[2]
    assert "assert x.shape[2] == 8" in entry[2]


def test_what_is_never_called_is_not_named():
    assert named(Block(MyReLU())) == []
    assert [name for name, _, _ in named(Block(nn.ReLU6()))] == ["part"]


def test_what_is_called_twice_is_named_once():
    act = nn.ReLU6()
    assert [name for name, _, _ in named(Block(nn.Sequential(act, nn.Conv2d(4, 4, 1), act)))] == ["part.0"]


class Normalized(nn.Module):
    """A convolution, its normalization, and what else takes the convolution's result."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor], norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm, self.join, self.last = nn.Conv2d(3, 4, 3), norm, join, nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.last(self.join(self.norm(x), x))


@pytest.mark.parametrize(
    ("join", "norm", "cause"),
    [
        (lambda normalized, _: normalized, nn.BatchNorm2d(4), "fold it into layer 'conv' by fewbits.fold_batch_norm"),
        (lambda normalized, x: normalized + x, nn.BatchNorm2d(4), "others take that layer's result too"),
        (lambda normalized, _: normalized, nn.BatchNorm2d(4, track_running_stats=False), "no running statistics"),
    ],
    ids=["foldable", "shared", "no statistics"],
)
def test_folding_is_advised_only_where_it_helps(join, norm: nn.Module, cause: str):
    ((name, _, reason),) = named(Normalized(join, norm))
    assert name == "norm"
    assert cause in reason
    assert ("fewbits.fold_batch_norm" in reason) == ("fold it into" in cause)


def _tied(network: Normalized) -> None:
    network.last = nn.Conv2d(3, 4, 3)
    network.last.weight = network.conv.weight


def _weight_normed(network: Normalized) -> None:
    nn.utils.parametrizations.weight_norm(network.conv)


def _watched(network: Normalized) -> None:
    network.norm.register_forward_hook(lambda module, inputs, output: None)


@pytest.mark.parametrize(
    ("change", "cause"),
    [(_tied, "tied weights"), (_weight_normed, "its weight is computed"), (_watched, "it has hooks")],
)
@pytest.mark.parametrize(
    "prepare",
    [
        lambda network: fb.quantize(network, "fixed8"),
        lambda network: fb.quantize(fb.fold_batch_norm(network), "fixed8"),
        lambda network: fb.fold_batch_norm(fb.quantize(network, "fixed8")),
    ],
    ids=["quantized", "folded before", "folded after"],
)
def test_folding_is_not_advised_where_fold_batch_norm_leaves_the_norm(change, cause: str, prepare):
    class Straight(Normalized):
        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x))

    network = Straight(lambda x, _: x, nn.BatchNorm2d(4)).eval()
    change(network)
    network.input_shape = (3, 6, 6)
    skipped = prepare(network).skipped
    (reason,) = (entry.reason for entry in skipped if entry.name == "norm")
    assert cause in reason
    assert "fewbits.fold_batch_norm" not in reason


def test_a_layer_whose_weight_is_read_by_the_forward_pass_is_one_clear_line():
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.a.weight)

    with pytest.raises(fb.ModelError, match=r"layer 'a': the network's forward pass reads its weight itself") as caught:
        fb.calibrate(fb.quantize(Reads(), "fixed8"), IMAGES)
    assert "\n" not in str(caught.value)


def test_an_input_that_is_given_by_name_is_refused_in_one_sentence():
    class Named(Block):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(input=x).mean((2, 3)))

    quantized = fb.quantize(Named(nn.Identity()), "float32")
    sentences: set[str] = set()
    for refused in (
        lambda: fb.lower(quantized, IMAGES),
        lambda: fb.cost(quantized, input_shape=(3, 8, 8)),
        lambda: fb.cost(Named(nn.Identity()), "float32", input_shape=(3, 8, 8)),
    ):
        with pytest.raises(fb.ModelError, match=r"layer 'conv' \(Conv2d\) .* its input by name") as caught:
            refused()
        sentences.add(str(caught.value))
    assert sentences == {str(quantized.skipped[0])}


def test_a_quantized_layer_has_the_sizes_of_its_float_layer_and_not_its_weight():
    layer = fb.quantize(nn.Conv2d(3, 4, 3), "fixed8").layers["layer"]
    assert (layer.in_channels, layer.kernel_size) == (3, (3, 3))
    assert not hasattr(layer, "weight")


def test_layers_of_a_network_that_differs_in_training_are_not_told_to_agree():
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.aux = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x) + self.b(F.max_pool2d(x, 3, 1, 1))
            return x + self.aux(x[:, :3]) if self.training else x

    quantized = fb.quantize(Auxiliary(), "fixed8")
    fb.calibrate(quantized, IMAGES)
    with pytest.raises(fb.ModelError, match="other things in training than in evaluation"):
        fb.lower(quantized, IMAGES)


def test_what_depends_on_the_size_of_images_is_known_after_calibration():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 2))
    quantized = fb.quantize(model, "fixed8")
    assert quantized.skipped == ()
    fb.calibrate(quantized, IMAGES)
    (entry,) = quantized.skipped
    assert entry.name == "1"
    assert "choose a size that divides" in entry.reason
    with pytest.raises(fb.ModelError) as caught:
        fb.lower(quantized, IMAGES)
    assert str(caught.value) == str(entry)
    fitting = fb.quantize(model, "fixed8")
    fb.calibrate(fitting, torch.rand(4, 3, 9, 9))
    assert fitting.skipped == ()


def test_a_sum_that_fits_at_some_size_is_not_named():
    class Pools(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, stride=32, padding=1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.fc((F.avg_pool2d(x, 7) + F.adaptive_max_pool2d(x, 1)).flatten(1))

    assert named(Pools()) == []


def tied() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    network[0].weight = network[2].weight
    return network


def over_positions() -> nn.Module:
    return nn.Sequential(nn.Flatten(2), nn.Linear(64, 7), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(21, 2))


def with_a_hook() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    network[1].register_forward_hook(lambda *_: None)
    return network


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (tied, "folded into layer '0' before it, whose weights others use too (tied weights)"),
        (over_positions, "layer '1' before it, as it normalizes 3 channels and that makes 7"),
        (with_a_hook, "it has hooks, which folding would lose; remove them"),
    ],
)
def test_what_folding_leaves_is_named_with_what_kept_it(make: Callable[[], nn.Module], cause: str):
    folded = fb.fold_batch_norm(make().eval())
    reasons = [reason for _, kind, reason in named(folded) if kind.startswith("BatchNorm")]
    assert reasons
    assert all("fold it into layer" not in reason for reason in reasons)
    assert cause in reasons[0]


class Derived(nn.BatchNorm2d):
    """A kind of a user's own that adds nothing."""


class Doubled(nn.BatchNorm2d):
    """A kind of a user's own that adds something to torch's forward pass, which asks for the number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


def test_a_derived_normalization_is_named_as_one_and_the_rest_is_quantized():
    quantized = fb.quantize(fb.fold_batch_norm(Block(Derived(4)).eval()), "fixed8")
    entry = quantized.skipped[0]
    assert set(quantized.layers) == {"conv", "fc"}
    assert (entry.name, entry.kind) == ("part", "Derived")
    assert "use nn.BatchNorm2d itself" in entry.reason


def test_a_derived_normalization_that_cannot_be_traced_is_the_reason_given():
    with pytest.raises(fb.ModelError, match=r"layer 'part' \(Doubled\) is a kind derived from BatchNorm2d.* use nn"):
        fb.fold_batch_norm(Block(Doubled(4)).eval())
