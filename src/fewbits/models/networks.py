"""The built-in networks: plain chains of torch modules, and the table of all of them by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from fewbits.models.resnet import resnet8, resnet18, resnet20

GREY_28 = (1, 28, 28)
"""Input of the digit networks: channels, height, width."""

COLOR_32 = (3, 32, 32)
"""Input of the color networks: channels, height, width."""

IMAGENET_224 = (3, 224, 224)
"""Input of ImageNet's networks: channels, height, width."""


def _chain(**modules: nn.Module) -> nn.Sequential:
    """Name the modules of a chain in order."""
    return nn.Sequential(OrderedDict(modules))


def lenet() -> nn.Sequential:
    """LeNet for 28 x 28 digits: 430,500 weights and 580 biases.

    The Caffe variant of LeCun et al., "Gradient-based learning applied to document recognition" (1998): maximum
    pooling, rectified linear units, 20 and 50 channels.
    """
    return _chain(
        conv1=nn.Conv2d(1, 20, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(20, 50, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(50 * 4 * 4, 500),
        relu3=nn.ReLU(),
        fc2=nn.Linear(500, 10),
    )


def convnet() -> nn.Sequential:
    """ConvNet for 32 x 32 house numbers (SVHN): 566,648 weights and 558 biases.

    After Sermanet et al., "Convolutional neural networks applied to house numbers digit classification" (2012), with
    maximum pooling and rectified linear units; no convolution is padded.
    """
    return _chain(
        conv1=nn.Conv2d(3, 16, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 512, 7),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(512 * 4 * 4, 20),
        relu3=nn.ReLU(),
        fc2=nn.Linear(20, 10),
    )


def alex_with(first: int, second: int, third: int) -> nn.Sequential:
    """A member of the ALEX family with the given channels of its three convolutions.

    Krizhevsky's three-layer CIFAR-10 network (cuda-convnet; `cifar10_quick` in Caffe), with padding 1 in the
    3 x 3 poolings, so that 32 x 32 becomes 16, 8 and 4. An average counts its padding (always divides by 9).
    """
    return _chain(
        conv1=nn.Conv2d(3, first, 5, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, stride=2, padding=1),
        conv2=nn.Conv2d(first, second, 5, padding=2),
        relu2=nn.ReLU(),
        pool2=nn.AvgPool2d(3, stride=2, padding=1),
        conv3=nn.Conv2d(second, third, 5, padding=2),
        relu3=nn.ReLU(),
        pool3=nn.AvgPool2d(3, stride=2, padding=1),
        flatten=nn.Flatten(),
        fc1=nn.Linear(third * 4 * 4, 10),
    )


def alex() -> nn.Sequential:
    """ALEX: 89,440 weights and 138 biases."""
    return alex_with(32, 32, 64)


def alex_plus() -> nn.Sequential:
    """ALEX+: ALEX with its channels doubled; 332,480 weights and 266 biases."""
    return alex_with(64, 64, 128)


def alex_plus_plus() -> nn.Sequential:
    """ALEX++: ALEX with 5.5 times its channels; 2,392,720 weights and 714 biases.

    The published name comes with a size alone, about 9,400 KB in float32. Channels 176, 176, 352 keep ALEX's
    proportions, fill whole groups of 16 neurons, and take 9,347 KiB (177, 177, 354 would take 9,451).
    """
    return alex_with(176, 176, 352)


def compact() -> nn.Sequential:
    """A network for 32 x 32 images at little energy: 75,616 weights and 202 biases, 6.8 million products an image.

    Four 3 x 3 convolutions in place of ALEX's three of 5 x 5, as Simonyan and Zisserman, "Very deep convolutional
    networks for large-scale image recognition" (2014) propose, with ALEX's channels: half its cycles.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for number, (outputs, is_pooled) in enumerate(((32, True), (32, True), (64, False), (64, True)), start=1):
        modules[f"conv{number}"] = nn.Conv2d(channels, outputs, 3, padding=1)
        modules[f"relu{number}"] = nn.ReLU()
        if is_pooled:
            modules[f"pool{number}"] = nn.MaxPool2d(2)
        channels = outputs
    modules |= {"flatten": nn.Flatten(), "fc1": nn.Linear(channels * 4 * 4, 10)}
    return nn.Sequential(modules)


def mlp() -> nn.Sequential:
    """A multilayer perceptron for 28 x 28 digits: 234,752 weights and 394 biases."""
    return _chain(
        flatten=nn.Flatten(),
        fc1=nn.Linear(28 * 28, 256),
        relu1=nn.ReLU(),
        fc2=nn.Linear(256, 128),
        relu2=nn.ReLU(),
        fc3=nn.Linear(128, 10),
    )


def vgg() -> nn.Sequential:
    """A small VGG for 32 x 32 images: 549,984 weights and 586 biases once batch normalization is folded.

    Pairs of 3 x 3 convolutions, then maximum pooling, channels doubled each time, after Simonyan and Zisserman, "Very
    deep convolutional networks for large-scale image recognition" (2014), with batch normalization.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for stage, outputs in enumerate((32, 64, 128), start=1):
        for number in (1, 2):
            name = f"{stage}_{number}"
            modules[f"conv{name}"] = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
            modules[f"norm{name}"] = nn.BatchNorm2d(outputs)
            modules[f"relu{name}"] = nn.ReLU()
            channels = outputs
        modules[f"pool{stage}"] = nn.MaxPool2d(2)
    modules |= {"flatten": nn.Flatten(), "fc1": nn.Linear(128 * 4 * 4, 128), "relu4": nn.ReLU()}
    modules |= {"dropout": nn.Dropout(), "fc2": nn.Linear(128, 10)}
    return nn.Sequential(modules)


def mobilenet_small() -> nn.Sequential:
    """A small MobileNet for 32 x 32 images: 35,680 weights and 746 biases once batch normalization is folded.

    Each block is a depthwise 3 x 3 convolution, which filters every channel by itself, and a 1 x 1 convolution, which
    mixes them (Howard et al., "MobileNets", 2017, table 1), fewer and narrower.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    _add_normalized(modules, "conv", nn.Conv2d(3, 16, 3, padding=1, bias=False))
    channels = 16
    for number, (outputs, stride) in enumerate(((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)), start=1):
        depthwise = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
        _add_normalized(modules, f"depthwise{number}", depthwise)
        _add_normalized(modules, f"pointwise{number}", nn.Conv2d(channels, outputs, 1, bias=False))
        channels = outputs
    modules |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(channels, 10)}
    return nn.Sequential(modules)


def _add_normalized(modules: OrderedDict[str, nn.Module], name: str, layer: nn.Conv2d) -> None:
    """Append a convolution, its normalization and a ReLU."""
    modules |= {name: layer, f"{name}_norm": nn.BatchNorm2d(layer.out_channels), f"{name}_relu": nn.ReLU()}


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "lenet": (lenet, GREY_28),
    "convnet": (convnet, COLOR_32),
    "alex": (alex, COLOR_32),
    "alex+": (alex_plus, COLOR_32),
    "alex++": (alex_plus_plus, COLOR_32),
    "compact": (compact, COLOR_32),
    "mlp": (mlp, GREY_28),
    "vgg": (vgg, COLOR_32),
    "resnet8": (resnet8, COLOR_32),
    "resnet20": (resnet20, COLOR_32),
    "resnet18": (resnet18, IMAGENET_224),
    "mobilenet-small": (mobilenet_small, COLOR_32),
}
"""Name to (constructor, input shape)."""
