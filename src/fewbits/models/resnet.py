"""ResNet-20 for 32 x 32 images: residual blocks with batch normalization."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut: ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """The shortcut is the input itself, or a 1 x 1 convolution where the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x: N x inputs x height x width."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network of three stages for 32 x 32 images.

    He et al., "Deep residual learning for image recognition" (CVPR 2016), section 4.2, with projections (their option
    B) where a stage begins: a shortcut padded with channels of zeros saves few weights and takes one more operation.
    """

    def __init__(self, blocks: int = 3, classes: int = 10) -> None:
        """blocks: in each stage; the network has 6 * blocks + 2 layers, projections not counted."""
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.stage1 = _stage(16, 16, 1, blocks)
        self.stage2 = _stage(16, 32, 2, blocks)
        self.stage3 = _stage(32, 64, 2, blocks)
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits. x: N x 3 x 32 x 32."""
        x = F.relu(self.norm(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = [ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(ResidualBlock(inputs, outputs, stride), *rest)


def resnet20() -> ResNet:
    """ResNet-20: 270,896 weights and 794 biases once batch normalization is folded."""
    return ResNet(3)
