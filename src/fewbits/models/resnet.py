"""Residual networks with batch normalization: ResNet-20 and ResNet-8 for 32 x 32 images, ResNet-18 for 224 x 224."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut: ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, bias: bool = False) -> None:
        """The shortcut is the input itself, or a 1 x 1 convolution where the shape changes.

        bias: of the convolutions; a shortcut with one has no normalization.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=bias)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=bias)
            self.shortcut = projection if bias else nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x: N x inputs x height x width."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network of three stages for 32 x 32 images.

    He et al., "Deep residual learning for image recognition" (CVPR 2016), section 4.2, with projections (their option
    B) where a stage begins: a shortcut padded with channels of zeros saves few weights and takes one more operation.
    """

    def __init__(self, blocks: int = 3, classes: int = 10, *, bias: bool = False) -> None:
        """blocks: in each stage; the network has 6 * blocks + 2 layers, projections not counted. bias: a block's."""
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(16)
        self.stage1 = _stage(16, 16, 1, blocks, bias=bias)
        self.stage2 = _stage(16, 32, 2, blocks, bias=bias)
        self.stage3 = _stage(32, 64, 2, blocks, bias=bias)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. x: N x 3 x 32 x 32."""
        x = F.relu(self.norm(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _stage(inputs: int, outputs: int, stride: int, blocks: int, *, bias: bool) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride, bias=bias)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1, bias=bias) for _ in range(blocks - 1)))


def resnet20() -> ResNet:
    """ResNet-20: 270,896 weights and 794 biases once batch normalization is folded."""
    return ResNet(3)


def resnet8() -> ResNet:
    """ResNet-8 of MLPerf Tiny's image classification: 77,360 weights and 346 biases, 12,501,632 products an image.

    As `resnet_v1_eembc` of github.com/mlcommons/tiny (benchmark/training/image_classification/keras_model.py) with 16
    filters: one block a stage, biases everywhere, projections without normalization. One difference: where a stride is
    2, Keras pads below and to the right alone, and this network on all sides, as torch does.
    """
    return ResNet(1, bias=True)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, its parts named as torchvision names them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """The shortcut is the input itself, or a normalized 1 x 1 convolution where the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x: N x inputs x height x width."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + shortcut)


class ImageNetResNet(nn.Module):
    """A residual network of basic blocks for 224 x 224 images: He et al. (CVPR 2016), table 1.

    Modules are named as in torchvision's, so that its checkpoints load.
    """

    def __init__(self, blocks: tuple[int, int, int, int], classes: int = 1000) -> None:
        """blocks: of each of the four stages."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _basic_blocks(64, 64, 1, blocks[0])
        self.layer2 = _basic_blocks(64, 128, 2, blocks[1])
        self.layer3 = _basic_blocks(128, 256, 2, blocks[2])
        self.layer4 = _basic_blocks(256, 512, 2, blocks[3])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits. x: N x 3 x 224 x 224."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _basic_blocks(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(inputs, outputs, stride), *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1))
    )


def resnet18() -> ImageNetResNet:
    """ResNet-18 for ImageNet: 11,689,512 parameters, 1,814,073,344 products an image."""
    return ImageNetResNet((2, 2, 2, 2))
