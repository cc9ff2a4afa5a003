"""Blocks as people write them: each rewrite computes what the module does, `cost` answers as `lower` does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.errors import FewbitsError
from fewbits.graph.equivalence import results_of

SHAPE = (3, 8, 8)


def conv(inputs: int, outputs: int, **settings: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **settings)


def norm(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    for values in (made.running_mean, made.weight.data, made.bias.data):
        assert values is not None
        values.normal_()
    return made


class Block(nn.Module):
    """A forward pass as a function of the module, and its parts; a linear layer at the end."""

    def __init__(self, body: Callable[[Block, Tensor], Tensor], features: int = 256, **parts: nn.Module) -> None:
        super().__init__()
        self.body = body
        for name, part in parts.items():
            self.add_module(name, part)
        self.head = nn.Linear(features, 4)
        self.input_shape = SHAPE

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, x).flatten(1))


def inverted_residual() -> Block:
    wide = [nn.Conv2d(4, 8, 1), norm(8), nn.ReLU(), conv(8, 8, groups=8), norm(8), nn.ReLU(), nn.Conv2d(8, 4, 1)]

    def body(net: Block, x: Tensor) -> Tensor:
        x = net.stem(x)
        return x + net.wide(x)

    return Block(body, stem=conv(3, 4), wide=nn.Sequential(*wide))


def densely_connected() -> Block:
    def body(net: Block, x: Tensor) -> Tensor:
        values = [F.relu(net.norm(net.stem(x)))]
        for layer in net.layers:
            values.append(F.relu(layer(torch.cat(values, 1))))
        return F.avg_pool2d(torch.cat(values, 1), 8)

    return Block(body, 12, stem=conv(3, 4), norm=norm(4), layers=nn.ModuleList([conv(4, 4), conv(8, 4)]))


def aliases_in_a_list_and_a_dict() -> Block:
    def body(net: Block, x: Tensor) -> Tensor:
        values, named = [x], {}
        for number, layer in enumerate(net.layers):
            named[number] = layer(values[-1])
            values.append(named[number])
            values[-1].relu_()
        named[0] += named[1]
        return values[1] + values[2]

    return Block(body, layers=nn.ModuleList([conv(3, 4), conv(4, 4)]))


def parallel_in_two_places() -> Block:
    layer = conv(3, 3)

    def body(net: Block, x: Tensor) -> Tensor:
        return net.again(F.relu(net.layer(x)))

    return Block(body, 192, layer=layer, again=nn.DataParallel(nn.DataParallel(layer)))


def shared_norm() -> Block:
    def body(net: Block, x: Tensor) -> Tensor:
        x = net.norm(net.first(x))
        return x + net.norm(net.second(F.relu(x)))

    return Block(body, first=conv(3, 4), second=conv(4, 4, groups=4), norm=norm(4))


def tied_around_a_norm() -> Block:
    def body(net: Block, x: Tensor) -> Tensor:
        return net.second(F.relu(net.norm(net.first(x))))

    made = Block(body, 192, first=conv(3, 3), second=conv(3, 3), norm=norm(3))
    made.second.weight = made.first.weight
    return made


def functional_dropout() -> Block:
    def body(net: Block, x: Tensor) -> Tensor:
        x = F.relu(net.first(x))
        return F.dropout(x + net.second(x), 0.5, net.training)

    return Block(body, first=conv(3, 4), second=conv(4, 4))


def hook_that_overwrites() -> Block:
    made = Block(lambda net, x: net.act(net.same(net.first(x))), first=conv(3, 4), same=nn.Identity(), act=nn.ReLU())

    def double(module: nn.Module, inputs: object, output: Tensor) -> None:
        output.mul_(2)

    made.same.register_forward_hook(double)
    return made


COMPUTED = (
    inverted_residual,
    densely_connected,
    aliases_in_a_list_and_a_dict,
    parallel_in_two_places,
    functional_dropout,
)
REFUSED = {
    shared_norm: "layer 'norm' .* is used more than once",
    tied_around_a_norm: "layer 'norm' .*tied weights",
    hook_that_overwrites: "layer 'same' .* hook that changes values",
}


def _near(expected: Tensor, found: Tensor) -> bool:
    return torch.allclose(expected.double(), found.double(), rtol=1e-4, atol=1e-4)


def _refusal(request: Callable[[], object]) -> str | None:
    try:
        request()
    except FewbitsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("make", [*COMPUTED, *REFUSED], ids=lambda make: make.__name__)
def test_folding_and_quantizing_a_block_keeps_what_it_computes(make: Callable[[], Block]) -> None:
    torch.manual_seed(0)
    block, images = make().eval(), torch.randn(4, *SHAPE)
    (expected,) = results_of(block, images)
    folded = fb.fold_batch_norm(block)
    assert _near(expected, results_of(folded, images)[0])
    assert _near(expected, results_of(fb.quantize(folded, "fixed8"), images)[0])
    assert torch.equal(expected, results_of(block, images)[0])


@pytest.mark.parametrize("make", COMPUTED, ids=lambda make: make.__name__)
def test_a_block_lowered_at_24_bits_computes_what_the_module_does(make: Callable[[], Block]) -> None:
    torch.manual_seed(0)
    block, images = make().eval(), torch.randn(4, *SHAPE)
    quantized = fb.quantize(fb.fold_batch_norm(block), "fixed24")
    fb.calibrate(quantized, images, "maximum")
    assert _near(results_of(block, images)[0], fb.lower(quantized, images).run(images))
    assert fb.cost(block, "fixed8", input_shape=SHAPE).cycles > 0


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_a_block_that_cannot_be_lowered_has_no_cost_either(make: Callable[[], Block]) -> None:
    block = make().eval()
    quantized = fb.quantize(fb.fold_batch_norm(block), "fixed8")
    refusals = {
        _refusal(lambda: fb.lower(quantized, torch.zeros(SHAPE))),
        _refusal(lambda: fb.cost(block, "fixed8", input_shape=SHAPE)),
        _refusal(lambda: fb.cost(quantized, input_shape=SHAPE)),
    }
    (sentence,) = refusals
    with pytest.raises(FewbitsError, match=REFUSED[make]):
        fb.lower(quantized, torch.zeros(SHAPE))
    assert sentence is not None


def test_sums_of_images_before_a_flattening_are_computed_by_all() -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(192, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head((F.relu(x).view(-1, *SHAPE) + x).flatten(1))

    model, images = Sums().eval(), torch.randn(4, *SHAPE)
    quantized = fb.quantize(model, "fixed24")
    assert quantized.skipped == ()
    fb.calibrate(quantized, images, "maximum")
    assert _near(results_of(model, images)[0], fb.lower(quantized, images).run(images))
    assert fb.cost(model, "fixed8", input_shape=SHAPE).cycles > 0


class KeepsItsMode(nn.Module):
    """Keeps the mode under a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.deployed = conv(3, 3), conv(3, 3), False

    def train(self, mode: bool = True) -> KeepsItsMode:
        self.deployed = not mode
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.second(x)
        return F.relu(x) if self.deployed else x


@pytest.mark.parametrize("training", [True, False])
def test_a_mode_kept_by_another_name_is_as_it_was(training: bool) -> None:
    model = KeepsItsMode().train(training)
    for rewrite in (fb.fold_batch_norm, lambda given: fb.quantize(given, "fixed8")):
        rewrite(model)
        assert model.deployed is (not training)


def test_a_forward_pass_that_keeps_its_mode_elsewhere_is_refused_by_cost_and_lower() -> None:
    quantized = fb.quantize(KeepsItsMode().eval(), "fixed8")
    (skipped,) = quantized.skipped
    assert "does other things in training" in skipped.reason
    assert _refusal(lambda: fb.cost(KeepsItsMode(), "fixed8", input_shape=SHAPE)) == str(skipped)


class Counted(nn.Module):
    """Counts its forward passes; needs roundings."""

    def __init__(self, asks: bool) -> None:
        super().__init__()
        self.first, self.second, self.asks, self.count = conv(3, 3), conv(3, 3), asks, 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        x = self.first(x)
        return F.dropout(x + self.second(x), 0.5, self.training if self.asks else False)


@pytest.mark.parametrize(("asks", "times"), [(False, 1), (True, 2)])
def test_cost_traces_the_other_mode_only_where_the_forward_pass_asks_for_it(asks: bool, times: int) -> None:
    model = Counted(asks)
    fb.cost(model, "fixed8", input_shape=SHAPE)
    assert model.count == times


def test_wrapped_networks_are_costed_and_lowered_and_scripted_ones_refused_in_the_same_words() -> None:
    plain = nn.Sequential(conv(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2)).eval()
    expected = fb.cost(plain, "fixed8", input_shape=SHAPE).cycles
    nested = nn.Sequential(nn.DataParallel(plain[0]), *plain[1:])
    for wrapped in (nn.DataParallel(plain), torch.compile(plain), nested):
        assert fb.cost(wrapped, "fixed8", input_shape=SHAPE).cycles == expected
    images = torch.randn(2, *SHAPE)
    quantized = fb.quantize(plain, "fixed8")
    fb.calibrate(quantized, images)
    for wrapped in (nn.DataParallel(quantized), torch.compile(quantized)):
        assert torch.equal(fb.lower(wrapped, images).run(images), fb.lower(quantized, images).run(images))
        assert fb.cost(wrapped, input_shape=SHAPE).cycles == expected
    scripted = torch.jit.script(plain)
    refusals = {
        _refusal(lambda: fb.cost(scripted, "fixed8", input_shape=SHAPE)),
        _refusal(lambda: fb.lower(scripted, images)),
        _refusal(lambda: fb.quantize(scripted, "fixed8")),
        _refusal(lambda: fb.fold_batch_norm(scripted)),
        _refusal(lambda: fb.equalize_channels(scripted)),
    }
    assert refusals == {"the model is scripted by torch.jit, which hides its layers: give the model before scripting"}


def test_the_draws_of_the_user_go_on_after_a_self_check() -> None:
    model = nn.Sequential(conv(3, 4)).eval()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fb.quantize(model, "fixed8")
    assert torch.equal(torch.rand(3), expected)
