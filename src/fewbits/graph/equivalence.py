"""The proof of a rewrite: what it made gives, with roundings off, what the network that it was given gives."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from fewbits.errors import FewbitsError, ModelError
from fewbits.graph.float_layer import ValueRounding, WrappedLayer
from fewbits.graph.input_shapes import shapes
from fewbits.graph.modes import in_mode
from fewbits.graph.wrappers import copied

_Step = TypeVar("_Step")

IMAGES = 2
"""Images on which a rewrite is compared: more than one, so that mixing images shows."""

_FLOAT32_NOISE = 2.0**-16
"""Share of the largest result by which float32 results may differ before they are compared in float64: sums of a few
thousand terms in another order stay below it."""

_FLOAT64_NOISE = 2.0**-36
"""The same for float64, as many places above the type's last."""

_MEND = (
    "its forward pass does what a graph of calls does not tell (a hook, a forward pass of an instance's own, a weight "
    "that others use, a write into a part of a tensor): write it as plain calls of modules"
)


@dataclass(frozen=True)
class Sample:
    """Inputs, and what the given network makes of them."""

    images: Tensor
    results: list[Any]


class DiffersError(ModelError):
    """A rewrite that computes something else."""


def sample(network: nn.Module, images: Tensor | None = None, *, weights: bool = False) -> Sample | None:
    """Images that a network takes and its results on them; None if none are given and none are found.

    images: some to take it from; without them they are drawn, in the shape that the network's attribute
    `input_shape` says, or in one that it takes. weights: see `results_of`.
    """
    if images is not None:
        chosen = images[:IMAGES].detach()
        return Sample(chosen, results_of(network, chosen, weights=weights))
    for shape in shapes(network):
        drawn = drawn_images(network, shape)
        try:
            return Sample(drawn, results_of(network, drawn, weights=weights))
        except Exception as error:  # whatever a network says to images that are not of its size
            if isinstance(error, FewbitsError):
                raise
    return None


def drawn_images(network: nn.Module, shape: tuple[int, ...], count: int = IMAGES) -> Tensor:
    """Normally distributed images, the same each time, in the network's type and on its device."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((count, *shape), generator=generator)
    parameter = next((one for one in network.parameters() if one.is_floating_point()), images)
    return images.to(parameter.device, parameter.dtype)


def prove(
    given: nn.Module,
    made: nn.Module,
    found: Sample,
    action: str,
    *,
    remake: Callable[[nn.Module], nn.Module] | None = None,
    blame: Callable[[nn.Module, Tensor], str | None] | None = None,
    weights: bool = False,
) -> None:
    """Raise DiffersError, naming the first module, unless a rewritten network gives the sample's results.

    What differs by more than float32's noise is compared in float64, where a rewrite is exact to many more places.
    given, made: the network before and after. action: what was done, as a sentence's subject. remake: the rewrite,
    made anew of a float64 copy of the network, where it computes weights. blame: the module to name, given a float64
    copy of the network and images for it; the first one whose result differs if None. weights: see `results_of`.
    """
    try:
        results = results_of(made, found.images, weights=weights)
    except Exception as error:
        raise DiffersError(f"{action} fails where the model does not: {_one_line(error)}; {_MEND}") from error
    if _agree(found.results, results, _FLOAT32_NOISE):
        return
    try:
        exact = _in_float64(given, rounded=weights)
        images = found.images.double()
        remade = copied(made).double() if remake is None else remake(exact)
        expected, results = (results_of(network, images, weights=weights) for network in (exact, remade))
        if _agree(expected, results, _FLOAT64_NOISE):
            return
        named = _first_module(exact, remade, images) if blame is None else blame(exact, images)
    except FewbitsError:
        raise
    except Exception:  # a forward pass that insists on float32
        expected, named = found.results, _first_module(given, made, found.images) if blame is None else None
    raise DiffersError(
        f"{action} does not compute what the model does: {named or 'its result'} differs, "
        f"{_distance(expected, results)} with roundings off; {_MEND}"
    )


def _in_float64(network: nn.Module, *, rounded: bool) -> nn.Module:
    """A copy in float64; rounded: with the weights that the network's own type rounds its weights to."""
    network = copied(network)
    for module in network.modules() if rounded else ():
        if isinstance(module, WrappedLayer):
            module.keep_rounded_weight()
    return network.double()


def prove_steps(
    given: nn.Module,
    made: nn.Module,
    images: Tensor | None,
    steps: list[_Step],
    rewrite: Callable[[nn.Module, list[_Step]], nn.Module],
    *,
    call: str,
    action: str,
) -> None:
    """See `prove`; for a rewrite of a network's weights in steps, each of which alone keeps what it computes.

    images: some that the network takes; without them they are drawn. rewrite: a copy after some of the steps.
    call: the function that the user calls. action: what is done to it, as a sentence's subject without the network.
    Raises DiffersError, naming the first step that changes something; ModelError where no images are found.
    """
    if not steps:
        return
    kind = type(given).__name__
    if (found := sample(given, images)) is None:
        raise ModelError(
            f"{kind} takes no images of a shape that could be found by trying, so that its rewrite cannot be compared "
            f"with it: give some, {call}(model, images), or an attribute input_shape such as (3, 32, 32)"
        )

    def first_wrong(exact: nn.Module, exact_images: Tensor) -> str | None:
        expected = results_of(exact, exact_images)[0]
        for step in steps:
            if not agrees(expected, results_of(rewrite(exact, [step]), exact_images)[0]):
                return str(step)
        return None

    prove(given, made, found, f"{action} {kind}", remake=lambda exact: rewrite(exact, steps), blame=first_wrong)


def agrees(expected: Tensor, found: Tensor) -> bool:
    """Whether float64 results are the same up to float noise."""
    return _agree([expected], [found], _FLOAT64_NOISE)


def results_of(network: nn.Module, images: Tensor, *, weights: bool = False) -> list[Any]:
    """What a network returns, in evaluation mode, roundings off, without gradients: its tensors and other values.

    weights: leave the roundings of weights and biases on.
    """
    with (
        in_mode(network, training=False),
        without_roundings(network, weights=weights),
        torch.no_grad(),
        _drawing_the_same(images.device),
    ):
        leaves: list[Any] = pytree.tree_leaves(network(images.clone()))
    return leaves


@contextmanager
def _drawing_the_same(device: torch.device) -> Generator[None]:
    """Let what draws by chance draw the same each time, for a while; the user's draws go on behind it."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would seed every GPU too, for good
        if on_gpu:
            torch.cuda.default_generators[device.index or 0].manual_seed(0)
        yield


@contextmanager
def without_roundings(network: nn.Module, *, weights: bool = False) -> Generator[None]:
    """Let quantized layers be the float layers that they hold, and roundings nothing, for a while.

    weights: leave the roundings of weights and biases on, so that values alone are not rounded.
    """
    layers = [module for module in network.modules() if isinstance(module, WrappedLayer)]
    roundings = [module for module in network.modules() if isinstance(module, ValueRounding)]
    rounded_inputs = [layer.rounds_inputs for layer in layers]
    rounds = [rounding.rounds for rounding in roundings]
    try:
        for layer in layers:
            if weights:
                layer.rounds_inputs, layer.multiplies_exactly = False, True
            else:
                layer.__dict__["forward"] = layer.layer.forward
        for rounding in roundings:
            rounding.rounds = False
        yield
    finally:
        for layer, before in zip(layers, rounded_inputs, strict=True):
            layer.rounds_inputs, layer.multiplies_exactly = before, False
            layer.__dict__.pop("forward", None)
        for rounding, before in zip(roundings, rounds, strict=True):
            rounding.rounds = before


def _agree(expected: list[Any], found: list[Any], noise: float) -> bool:
    if len(expected) != len(found):
        return False
    return all(_same(one, other, noise) for one, other in zip(expected, found, strict=True))


def _same(expected: Any, found: Any, noise: float) -> bool:
    """Whether two results are equal up to a share of the largest value; infinities and NaN where they were."""
    if not isinstance(expected, Tensor) or not isinstance(found, Tensor):
        return type(expected) is type(found) and bool(expected == found)
    if expected.shape != found.shape:
        return False
    if expected.numel() == 0 or torch.equal(expected, found):
        return True
    if not expected.is_floating_point():
        return False
    finite = expected.isfinite()
    if not torch.equal(finite, found.isfinite()) or not torch.equal(
        expected[~finite].nan_to_num(), found[~finite].nan_to_num()
    ):
        return False
    distance = (expected - found)[finite].abs()
    largest = expected[finite].abs()
    floor = torch.finfo(torch.float64).eps if expected.dtype == torch.float64 else 0.0  # zeros that noise makes
    return distance.numel() == 0 or bool(distance.max() <= noise * largest.max() + floor)


def _first_module(given: nn.Module, made: nn.Module, images: Tensor) -> str | None:
    """The first module, in the order of the given network's calls, whose results differ."""
    before, after = recorded(given, images), recorded(getattr(made, "network", made), images)
    for name, results in before.items():
        if name in after and not _agree(results, after[name], _FLOAT64_NOISE):
            return f"{name!r} ({type(given.get_submodule(name)).__name__})"
    return None


def recorded(network: nn.Module, images: Tensor, *, weights: bool = False) -> dict[str, list[Any]]:
    """What each module returns, by name, in the order of calls; see `results_of`."""
    results: dict[str, list[Any]] = {}

    def recorder(name: str) -> Callable[..., None]:
        def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
            leaves = pytree.tree_leaves(output)
            results.setdefault(name, []).extend(leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves)

        return record

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if name:
                stack.callback(module.register_forward_hook(recorder(name)).remove)
        results_of(network, images, weights=weights)
    return results


def _distance(expected: list[Any], found: list[Any]) -> str:
    """How far results lie apart, in words."""
    pairs = [
        (one.double(), other.double())
        for one, other in zip(expected, found, strict=False)
        if isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape
    ]
    if not pairs:
        return "in shape or kind,"
    distance = max(float((one - other).abs().max()) for one, other in pairs if one.numel())
    return f"by up to {distance:.2g} where values reach {max(float(one.abs().max()) for one, _ in pairs):.2g},"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
