"""A traced network with roundings, and the shorter way through it that training takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn

from fewbits.graph.catalogue import kind_of, meaning_of
from fewbits.graph.float_layer import TracedNetwork, ValueRounding, WrappedLayer


class RoundedGraph(TracedNetwork):
    """A graph module whose graph says what the hardware does, ReLU by ReLU and rounding by rounding.

    In training a ReLU and the rounding behind it (a `TensorRounding`'s or a layer's own) are one pass over the tensor,
    forward and backward, with the same values and gradients. Maximum pooling between the two comes first then, as it
    commutes with ReLU: the greatest value is rectified, and where none is positive no gradient passes.
    """

    _in_training: Callable[..., Any]

    def forward_in_training(self, *args: Any, **kwargs: Any) -> Any:
        """What the forward pass returns."""
        return self._in_training(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Stored as a graph module is, and made one of this class again."""
        return _restored, (type(self).__name__, *super().__reduce__())

    def recompile(self) -> Any:
        """Compile both ways through the network; needed after each change of `graph`."""
        code = super().recompile()
        # Each instance has a class of its own, made by GraphModule for this purpose.
        type(self)._in_training = type(fx.GraphModule(self, _joined(self.graph, self))).forward  # pyright: ignore[reportAttributeAccessIssue]
        return code


def _restored(name: str, restore: Callable[..., fx.GraphModule], arguments: tuple[Any, ...]) -> RoundedGraph:
    module = restore(*arguments)
    return RoundedGraph(module, module.graph, class_name=name).train(module.training)


def _joined(graph: fx.Graph, network: nn.Module) -> fx.Graph:
    """A copy of a graph in which ReLUs are left to the roundings behind them."""
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph, {}))
    for node in copied.nodes:
        if kind_of(meaning_of(node, network)).rectifies:
            _leave_to_rounding(node, network)
    copied.lint()
    return copied


def _leave_to_rounding(relu: fx.Node, network: nn.Module) -> None:
    """Take a ReLU out and tell the rounding that alone takes its values, pooled or not, to rectify them."""
    (source,) = relu.all_input_nodes
    node = relu
    while len(node.users) == 1:
        (node,) = node.users
        meaning = meaning_of(node, network)
        if isinstance(meaning, (WrappedLayer, ValueRounding)):
            if len(source.users) == 1:  # else an in-place ReLU would be missed by the others
                node.kwargs = {"rectified": True}
                relu.replace_all_uses_with(source)
                relu.graph.erase_node(relu)
            return
        if not kind_of(meaning).commutes_with_rectifying(meaning):
            return
