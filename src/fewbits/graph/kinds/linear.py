"""The linear layer: one vector to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from fewbits.errors import DataError
from fewbits.graph import operations
from fewbits.graph.geometry import Shape
from fewbits.graph.kind import LayerWork, Lowering
from fewbits.graph.kinds.layer import KindOfLayer, plain


class Linear(KindOfLayer):
    """`nn.Linear` on vectors."""

    name = "linear"
    meanings = (nn.Linear,)
    size_names = ("out_features", "in_features")
    features_are_last = True
    keeps_dims = True

    def shape(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
        layer, shape = plain(meaning), shapes[0]
        if shape != (layer.in_features,):
            raise DataError(
                f"layer {name!r} takes {layer.in_features} features, its input has shape {shape}; "
                "check the example's shape, or flatten first"
            )
        return (layer.out_features,)

    def work(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> LayerWork:
        layer = plain(meaning)
        return LayerWork(
            "linear", layer.in_features, (1, 1), layer.out_features, (1, 1), has_bias=layer.bias is not None
        )

    def operation(self, call: Lowering, shape: Shape) -> operations.Linear:
        settings = call.layer_settings()
        return operations.Linear(**settings, output_shape=self.shape(call.name, call.meaning, [shape]))

    def takes_channels(self, meaning: Any, channels: int, are_last: bool, of_vectors: bool) -> bool:
        blocks, rest = divmod(plain(meaning).in_features, channels)
        return are_last and rest == 0 and (blocks == 1 or not of_vectors)

    def image_shape(self, meaning: Any, example: Shape) -> Shape:
        features = plain(meaning).in_features
        # Perhaps behind a flatten: the image is what has as many values as the layer has inputs; three dimensions are
        # one image's.
        readings = (example, example[1:]) if len(example) == 3 else (example[1:], example)
        candidates = [reading for reading in readings if reading and math.prod(reading) == features]
        if not candidates:
            raise DataError(f"the example has shape {example}: give an image of {features} values, or a batch of them")
        return candidates[0]
