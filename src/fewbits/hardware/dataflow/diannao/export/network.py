"""The network that the accelerator's bench runs, and the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits import data, models
from fewbits.bitexact import BitExactNetwork
from fewbits.errors import DataError, HardwareError
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.workload.module_workload import module_workload

_SMALL = "a small network (convolution, poolings, a matrix product)"


@dataclass(frozen=True)
class BenchNetwork:
    """What the bench runs."""

    network: BitExactNetwork
    image: Tensor
    """One, with the leading dimension of 1; normalized."""

    about: str
    """Which network, whether it is trained, and which image, in words."""


def given_network(
    design: NeuronDesign, network: BitExactNetwork | None, images: Tensor | None, origin: str
) -> BenchNetwork:
    """The user's network on the first of his images. Raises HardwareError if it was made for another datapath."""
    if network is None or images is None:
        raise HardwareError("the bench needs both network and images: give one image of the network's data beside it")
    if network.precision.name != design.precision.name:
        raise HardwareError(
            f"the network is of precision {network.precision.name}, the circuit of {design.precision.name}: give both "
            "the same"
        )
    made, about = _with_products(design, network)
    return BenchNetwork(made, images[:1], f"{origin}{about} on an image of its data")


def _with_products(design: NeuronDesign, network: BitExactNetwork) -> tuple[BitExactNetwork, str]:
    """The network with the products that the datapath's multiplier makes, and words for it."""
    table = design.multiplier_made.table(design.precision)
    if table is None or any(layer.products is not None for layer in network.layers):
        return network, ""
    return network.with_products({layer.name: table for layer in network.layers}), f" with products of {table.name}"


def fresh_network(design: NeuronDesign, model: str | None = None, dataset: str = "digits") -> BenchNetwork:
    """A network with the weights that `models.build` gives it, radix points from 16 test images, and the first image.

    model: as `models.build` takes it; None is a network of every kind of layer that is small enough for an interpreted
    simulation. dataset: as `data.load` takes it.
    Raises DataError or ModelError if the network does not take such images.
    """
    loaded = data.load(dataset)
    images = loaded.inputs(loaded.test.images[:16])
    shape = (1, 28, 28) if model is None else models.input_shape(model)
    if shape is not None and tuple(images.shape[1:]) != shape:
        raise DataError(
            f"the bench's network takes images of shape {shape}, data {dataset!r} has {tuple(images.shape[1:])}: "
            "choose a model and data that go together"
        )
    network = _small_network(design) if model is None else fb.fold_batch_norm(models.build(model, seed=0).eval())
    module_workload(network, tuple(images.shape[1:]))  # names the layer that such images do not fit
    quantized = fb.quantize(network, design.precision)
    fb.calibrate(quantized, images)
    lowered = fb.lower(quantized, images[:1], product_bits=design.kept_product_bits)
    lowered, about = _with_products(design, lowered)
    what = f"the network `{model}`" if model is not None else _SMALL
    weights = (
        "untrained weights" if model is None or models.is_built_in(model) else "the weights that its code gives it"
    )
    return BenchNetwork(lowered, images[:1], f"{what} with {weights}{about} on an image of `{dataset}`")


def _small_network(design: NeuronDesign) -> nn.Module:
    """For digits; without an average where the accelerator has none."""
    averages = design.average_refusal is None
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
        return nn.Sequential(
            nn.Conv2d(1, 20, 5, stride=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
            nn.AvgPool2d(2, 2) if averages else nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(80, 10),
        )  # fmt: skip
