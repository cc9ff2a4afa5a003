"""Which batch normalizations can be folded into the layer before them, and why the others cannot."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

from torch import fx, nn

from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.kinds.batch_norm import FOLDABLE
from fewbits.graph.kinds.layer import plain
from fewbits.graph.module_kinds import is_float_layer, reason_left_float, reason_to_leave, reason_to_skip
from fewbits.graph.parameters import has_hooks, shared_parameters
from fewbits.graph.spelling import is_shared

_APART = "its parameters and arithmetic stay float"


class Foldings:
    """Answers for the normalizations of one traced network: `fold_batch_norm`'s and, where it cannot, `lower`'s."""

    def __init__(self, graph: fx.Graph, network: nn.Module) -> None:
        self._graph = graph
        self._network = network

    def obstacle(self, node: fx.Node) -> str | None:
        """Why the normalization that a node calls stays; None if it can be folded into the layer before it."""
        norm, source = self._module(node), node.args[0] if node.args else None
        layer = self._plain_layer(source)
        if type(norm) not in FOLDABLE:
            return reason_left_float(norm) or _APART
        if not isinstance(source, fx.Node) or layer is None:
            of = "the images" if isinstance(source, fx.Node) and source.op == "placeholder" else f"{source}"
            return (
                f"{_APART}: it normalizes {of}, not what a convolution or linear layer makes, so that it cannot be "
                "folded; put it directly behind one, or leave it out"
            )
        if is_shared(source) or self._uses[id(norm)] > 1 or self._uses[id(self._module(source))] > 1:
            return (
                f"{_APART}: it or layer {source.target!r} before it is used more than once, or others take that "
                "layer's result too, so that it cannot be folded; give each place modules of its own, or leave it out"
            )
        if has_hooks(norm):
            return f"{_APART}: it has hooks, which folding would lose; remove them, then fold it"
        before = f"{_APART}: it cannot be folded into layer {source.target!r} before it"
        if (reason := reason_to_leave(layer)) is not None:
            return f"{before} ({reason})"
        if has_hooks(self._module(source)):
            return f"{before}, which has hooks; remove them, then fold it"
        if not self._tied.isdisjoint(map(id, layer.parameters(recurse=False))):
            return f"{before}, whose weights others use too (tied weights); give each layer weights of its own"
        if norm.num_features != len(layer.weight):
            return f"{before}, as it normalizes {norm.num_features} channels and that makes {len(layer.weight)}"
        return None

    def advice(self, node: fx.Node) -> str:
        """Why a normalization is there when a network is to be lowered, and what to do about it."""
        if (reason := self.obstacle(node)) is not None:
            return reason
        if not has_statistics(self._module(node)):
            return f"{_APART}: it keeps no running statistics, so that it cannot be folded; train it with them"
        source = node.args[0]
        assert isinstance(source, fx.Node)
        layer = self._module(source)
        if is_float_layer(layer) and (reason := reason_to_skip(layer)) is not None:
            return f"{_APART}: layer {source.target!r} before it cannot be quantized ({reason})"
        return f"{_APART}; fold it into layer {source.target!r} by fewbits.fold_batch_norm, before quantize or after it"

    def _module(self, node: fx.Node) -> nn.Module:
        return self._modules[str(node.target)]

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        return dict(self._network.named_modules(remove_duplicate=False))

    def _plain_layer(self, source: object) -> FloatLayer | None:
        """The layer that a node calls, that of a quantized one; None for anything else."""
        if not isinstance(source, fx.Node) or source.op != "call_module":
            return None
        layer = self._module(source)
        layer = plain(layer)
        return layer if is_float_layer(layer) else None

    @cached_property
    def _uses(self) -> Counter[int]:
        """How often each module is called, by identity: it may have several names."""
        return Counter(id(self._module(node)) for node in self._graph.nodes if node.op == "call_module")

    @cached_property
    def _tied(self) -> set[int]:
        return shared_parameters(self._network)


def has_statistics(norm: nn.Module) -> bool:
    """Whether a normalization keeps running statistics, which folding needs."""
    return getattr(norm, "running_mean", None) is not None
