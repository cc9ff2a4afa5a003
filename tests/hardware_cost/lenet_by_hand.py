"""LeNet's workload, written out by hand: what tests compare with."""

from fewbits.hardware.workload.workload import LayerShape, Workload

LENET = Workload(
    (
        LayerShape("conv1", "convolution", 1, (28, 28), 20, (24, 24), (5, 5), has_bias=True),
        LayerShape("pool1", "max-pool", 20, (24, 24), 20, (12, 12), (2, 2), (2, 2)),
        LayerShape("conv2", "convolution", 20, (12, 12), 50, (8, 8), (5, 5), has_bias=True),
        LayerShape("pool2", "max-pool", 50, (8, 8), 50, (4, 4), (2, 2), (2, 2)),
        LayerShape("fc1", "linear", 800, (1, 1), 500, (1, 1), has_bias=True),
        LayerShape("fc2", "linear", 500, (1, 1), 10, (1, 1), has_bias=True),
    )
)
