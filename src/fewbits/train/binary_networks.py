"""BinaryNet, Binary-Weight-Networks and XNOR-Net: binary weights, with factors or not, and binary inputs."""

from __future__ import annotations

from torch import nn

from fewbits.errors import ModelError
from fewbits.formats import Precision, parse_format
from fewbits.graph.catalogue import kind_of
from fewbits.quantization import QuantizedModel
from fewbits.quantization.methods.scaled_weights import ChannelScales
from fewbits.train.learned_steps import train_with
from fewbits.train.loop import do_nothing
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord

_IMAGES = parse_format("fixed8")
"""Format of the first layer's inputs, which stay as images are (arXiv:1602.02830, section 1.6)."""


def binary_net(run: RecipeRun) -> TrainRecord:
    """Binary weights and binary activations, gradients through the signs where values are within their magnitude.

    Courbariaux, Hubara, Soudry, El-Yaniv and Bengio, "Binarized neural networks" (arXiv:1602.02830). The sign takes
    the place of ReLU (see `binarize_inputs`). Where the paper normalizes each batch, calibration gives each layer's
    inputs and weights a magnitude (a power of two), again before each epoch for inputs; biases are the thresholds.

    Hardware: the datapath `binary` (XNOR gates and counters) computes all layers but the first, whose 8-bit inputs need
    an accelerator of their own (see `hardware.tiles`).
    """
    run.calibrate()
    return run.train(before_epoch=lambda: run.calibrate(weights=False), after_step=clipper(run.model))


def channel_scales(run: RecipeRun) -> TrainRecord:
    """Binary weights times the mean magnitude of their channel's shadow weights.

    Rastegari, Ordonez, Redmon and Farhadi, "XNOR-Net: ImageNet classification using binary convolutional neural
    networks" (arXiv:1603.05279): Binary-Weight-Networks (section 3.1), and XNOR-Net (section 3.2) where inputs are
    binary. The paper's map of input magnitudes is one power of two for each layer here, and its first and last layers
    are not left float.

    Hardware that it adds: a factor of 8 bits for each output channel, and a multiplier in each neuron (see
    `hardware.cost`).
    """
    run.calibrate()
    return train_with(run, ChannelScales, before_epoch=lambda: run.calibrate(weights=False), after_step=do_nothing)


def binarize_inputs(model: QuantizedModel) -> None:
    """Take ReLU out, behind which every sign would be 1, and give the first layer's inputs 8 bits.

    The first layer is the first in the order of modules. Raises ModelError if there is no `nn.ReLU` though there are
    several layers: one called as a function cannot be taken out.
    """
    layers = list(model.layers.values())
    layers[0].set_formats(Precision(model.precision.weights, _IMAGES))
    taken = 0
    for parent in list(model.network.modules()):
        for name, child in parent.named_children():
            if kind_of(child).rectifies:
                setattr(parent, name, nn.Identity())
                taken += 1
    if len(layers) > 1 and not taken:
        raise ModelError(
            "binary inputs take the place of ReLU, but the network has no nn.ReLU module: write its activations as "
            "modules, not as calls of functions"
        )
