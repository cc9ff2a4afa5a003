"""Sensitivities foretold from derivatives of the loss on training images, without evaluating any network.

Of each unit and precision, how much rounding its weights and inputs is expected to raise the loss:
- `hessian`: half the mean of the Hessian's diagonal times the squared error of rounding, of weights and of inputs
  (HAWQ-V2: Z. Dong et al., NeurIPS 2020, equation 8; HAWQ-V3: arXiv:2011.10680). The trace is Hutchinson's estimate
  (Communications in Statistics 18, 1989): random signs v, mean of v H v, for all layers at a time.
- `gradient`: the mean over images of |gradient of the loss at the layer's result times the change that rounding makes
  there|, the first term of Taylor's series (P. Molchanov et al., arXiv:1611.06440, equation 8).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.formats import Precision
from fewbits.quantization import QuantizedLayer, calibrate, quantize
from fewbits.search.space import Space

Numbers = NDArray[np.float64]

DRAWS = 50
"""Of random signs for the Hessian's trace; with 8 the traces of LeNet's layers still change their order."""


def gradient_scores(network: nn.Module, space: Space, images: Tensor, labels: Tensor) -> Numbers:
    """Unit x precision; 0 for the reference's own. images: normalized training images, N first."""
    inputs, outputs = _seen(network, space.layers, images, labels)
    gradients = {name: output.grad for name, output in outputs.items()}

    def score(name: str, layer: QuantizedLayer) -> float:
        gradient = gradients[name]
        if gradient is None:
            return 0.0
        with torch.no_grad():
            change = layer(_rounded_input(layer, inputs[name])) - outputs[name]
            per_image = (gradient * len(images) * change).flatten(1).sum(dim=1)
            return float(per_image.abs().mean())

    return _scores(network, space, images, score)


def hessian_scores(network: nn.Module, space: Space, images: Tensor, labels: Tensor, seed: int) -> Numbers:
    """The same by the Hessian's trace."""
    inputs, _ = _seen(network, space.layers, images, labels)
    of_weights, of_inputs = _traces(network, space.layers, images, labels, seed)

    def score(name: str, layer: QuantizedLayer) -> float:
        with torch.no_grad():
            weight_error = (layer.quantized_weight() - layer.layer.weight).square().sum()
            input_error = (_rounded_input(layer, inputs[name]) - inputs[name]).square().sum() / len(images)
        return 0.5 * (of_weights[name] * float(weight_error) + of_inputs[name] * float(input_error))

    return _scores(network, space, images, score)


def _scores(network: nn.Module, space: Space, images: Tensor, score: Callable[[str, QuantizedLayer], float]) -> Numbers:
    """Of each unit at each precision, minus those at the reference; of layers together the sum."""
    found = np.zeros((len(space.units), len(space.precisions)))
    for number, precision in enumerate(space.precisions):
        layers = _alone(network, precision, images)
        for unit, names in enumerate(space.units):
            found[unit, number] = sum(score(name, layers[name]) for name in names)
    return found - found[:, :1]


def _alone(network: nn.Module, precision: Precision, images: Tensor) -> Mapping[str, QuantizedLayer]:
    """The layers at a precision, radix points chosen, each to be run on inputs of its own."""
    return calibrate(quantize(network, precision).eval(), images).layers


def _rounded_input(layer: QuantizedLayer, values: Tensor) -> Tensor:
    """Values as a layer's input format rounds them."""
    return layer.round_values(values)


def _seen(
    network: nn.Module, names: tuple[str, ...], images: Tensor, labels: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What each layer takes and gives on the images, the loss' gradient at what it gives in `.grad`."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., Tensor]:
        def hook(_: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> Tensor:
            result.retain_grad()
            inputs[name], outputs[name] = given[0].detach().clone(), result
            return result.clone()  # what follows may overwrite it

        return hook

    with _hooked({name: (network.get_submodule(name), keep(name)) for name in names}), torch.enable_grad():
        F.cross_entropy(network(images), labels).backward()
    for parameter in network.parameters():
        parameter.grad = None
    return inputs, outputs


def _traces(
    network: nn.Module, names: tuple[str, ...], images: Tensor, labels: Tensor, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The mean of the Hessian's diagonal of each layer's weights, and of its inputs, an image."""
    shifts: dict[str, Tensor] = {}

    def shift(name: str) -> Callable[..., Any]:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            shifts[name] = torch.zeros_like(given[0], requires_grad=True)
            return (given[0] + shifts[name], *given[1:])

        return hook

    weights = {name: network.get_submodule(name).get_parameter("weight") for name in names}
    with (
        _hooked({name: (network.get_submodule(name), shift(name)) for name in names}, before=True),
        torch.enable_grad(),
    ):
        loss = F.cross_entropy(network(images), labels)
    variables = [*weights.values(), *(shifts[name] for name in names)]
    gradients = torch.autograd.grad(loss, variables, create_graph=True)
    generator = torch.Generator().manual_seed(seed)
    sums = np.zeros(len(variables))
    for _ in range(DRAWS):
        signs = [torch.randint(0, 2, one.shape, generator=generator) * 2.0 - 1.0 for one in variables]
        products = torch.autograd.grad(
            gradients, variables, grad_outputs=signs, retain_graph=True, materialize_grads=True
        )
        sums += [float((product * sign).sum()) for product, sign in zip(products, signs, strict=True)]
    traces = sums / DRAWS
    # the loss is a mean over images: of an input's shift each image's share is 1/N, which N of them put back
    of_weights = {name: traces[k] / weights[name].numel() for k, name in enumerate(names)}
    of_inputs = {name: traces[len(names) + k] / (shifts[name].numel() / len(images)) for k, name in enumerate(names)}
    return of_weights, of_inputs


@contextmanager
def _hooked(hooks: Mapping[str, tuple[nn.Module, Callable[..., Any]]], *, before: bool = False) -> Generator[None]:
    handles = [
        module.register_forward_pre_hook(hook) if before else module.register_forward_hook(hook)
        for module, hook in hooks.values()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
