"""Means over all spatial dimensions, written in a traced graph as the pooling that they are: `x.mean((2, 3))`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from fewbits.errors import ModelError
from fewbits.graph.catalogue import application, kind_of
from fewbits.graph.kinds.pooling import GLOBAL_AVERAGES, MEANS, WHOLE_IMAGE
from fewbits.graph.kinds.vanishing import DROPOUTS
from fewbits.graph.spelling import constant_settings, is_size, operand_of

MEAN_PARAMETERS = ("dim", "keepdim")
"""torch.mean's parameters after the input, in order."""


@dataclass(frozen=True)
class Mean:
    """A mean over some dimensions."""

    dims: tuple[int, ...]
    """Which, the batch counted; negative from the end."""

    keeps_dims: bool
    """Whether they stay in the result, each of length 1."""

    def is_global(self, spatial_dims: int) -> bool:
        """Whether it averages all `spatial_dims` (1 or 2) dimensions behind batch and channels, and nothing else."""
        rank = 2 + spatial_dims
        return sorted(dim + rank if dim < 0 else dim for dim in self.dims) == list(range(2, rank))


def mean_of(settings: Mapping[str, Any]) -> Mean | None:
    """The mean that torch.mean takes with these arguments after the input; None if it averages all or casts."""
    rest = dict(settings)
    dims = rest.pop("dim", rest.pop("axis", None))  # both have a second name, NumPy's
    keeps_dims = rest.pop("keepdim", rest.pop("keepdims", False))
    dims = (dims,) if isinstance(dims, int) else dims
    is_plain = isinstance(dims, (tuple, list)) and all(isinstance(dim, int) for dim in dims)
    if not is_plain or any(value is not None for value in rest.values()):
        return None
    return Mean(tuple(dims), bool(keeps_dims))


def write_as_pooling(graph: fx.Graph, network: nn.Module) -> None:
    """Write each global mean as adaptive pooling to 1, and a flattening unless it keeps its dimensions; in place.

    A pooling whose window is written as the image's size is adaptive pooling to 1 too.

    Other means stay, also those of values whose number of dimensions the graph does not tell.
    """
    for node in list(graph.nodes):
        if node.target in WHOLE_IMAGE and _window_is_image(node):
            node.target, node.args, node.kwargs = WHOLE_IMAGE[node.target], (node.args[0], 1), {}
        if node.op not in ("call_function", "call_method") or node.target not in MEANS:
            continue
        source = operand_of(node)
        spatial_dims = _spatial_dims(source, network)
        mean = _constant_mean(node)
        if spatial_dims is None or mean is None or not mean.is_global(spatial_dims):
            continue
        with graph.inserting_before(node):
            result = graph.call_function(GLOBAL_AVERAGES[spatial_dims], (source, 1))
            result.meta = dict(node.meta)  # in whose forward pass it is
            if not mean.keeps_dims:
                result = graph.call_function(torch.flatten, (result, 1))
                result.meta = dict(node.meta)
        node.replace_all_uses_with(result)
        graph.erase_node(node)


def _window_is_image(node: fx.Node) -> bool:
    """Whether a pooling's window is written as its input's size: `F.avg_pool2d(x, x.size()[2:])`."""
    window = node.args[1] if len(node.args) == 2 else node.kwargs.get("kernel_size")
    if len(node.args) + len(node.kwargs) > 2 or not isinstance(window, fx.Node):
        return False
    if window.target is not operator.getitem or window.args[1] not in (slice(2, None), slice(-2, None)):
        return False
    shape = window.args[0]
    reads_it = isinstance(shape, fx.Node) and is_size(shape) and shape.target in (getattr, "size")
    return bool(reads_it and isinstance(shape, fx.Node) and shape.args[0] is node.args[0])


def _constant_mean(node: fx.Node) -> Mean | None:
    """The mean that a node takes; None if it depends on values."""
    settings = constant_settings(node, MEAN_PARAMETERS)
    return None if settings is None else mean_of(settings)


def _spatial_dims(value: Any, network: nn.Module) -> int | None:
    """How many dimensions a traced value has behind batch and channels, by the convolutions that it comes from.

    None if that is not known, or if several values of different ranks are added.
    """
    found: set[int | None] = set()
    pending, seen = [value], set[fx.Node]()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        if not isinstance(node, fx.Node) or node.op not in ("call_module", "call_function", "call_method"):
            return None
        seen.add(node)
        if node.target in DROPOUTS:  # in training they have no module
            pending.append(operand_of(node))
            continue
        try:
            applied = application(node, network)
        except ModelError:
            return None
        kind = kind_of(applied.meaning)
        if (spatial_dims := kind.spatial_dims(applied.meaning)) is not None:
            found.add(spatial_dims)
        elif kind.keeps_dims and kind.effect != "layer":
            pending += applied.sources
        else:
            return None
    return found.pop() if len(found) == 1 else None
