"""Where a graph's values are rounded: tensors that share a radix point, and the roundings put into the network.

Values that are only chosen, moved or averaged between their producer and the operations that take them are one *group*
with one radix point, as the hardware rounds them once, where they are made. In a chain the layer behind rounds its own
input, which is the same number: rounding changes no order, so it commutes with ReLU and maximum pooling. Where it does
not commute (averages), or where several operations take the values (layers, additions, concatenations), a
`TensorRounding` is put behind the producer, and the layers of the group follow its radix point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import fx, nn

from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.graph.catalogue import application, kind_of
from fewbits.graph.float_layer import summed_dimension
from fewbits.graph.kind import Effect
from fewbits.graph.kinds.vanishing import DROPOUT_SETTINGS, DROPOUTS
from fewbits.graph.refusals import Skipped
from fewbits.graph.size_search import misfit
from fewbits.graph.spelling import called_module, is_shared, is_size, settings_of
from fewbits.graph.tracing import (
    TraceError,
    calls_of,
    class_name,
    graph_and_mode,
    graph_of,
    place_of,
    refusals_of,
)
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.layers.tensor_rounding import TensorRounding
from fewbits.quantization.rounded_graph import RoundedGraph


@dataclass
class _Group:
    """Values of one radix point."""

    roots: list[fx.Node] = field(default_factory=list[fx.Node])
    """What makes them: layers, additions, the network's input, operations left float."""

    averages: list[fx.Node] = field(default_factory=list[fx.Node])
    layers: list[nn.Module] = field(default_factory=list[nn.Module])
    """The layers that take them, each once; float ones in a network that is not quantized yet."""

    consumers: list[str] = field(default_factory=list[str])
    """Names for what takes them: they do not change when normalization is folded into a producer."""

    is_added: bool = False
    is_joined: bool = False

    def add_layer(self, layer: nn.Module, name: str) -> None:
        """A layer takes the values."""
        self.consumers.append(f"{name.replace('.', '_')}_input")
        if not any(layer is known for known in self.layers):
            self.layers.append(layer)

    def add_operand(self, name: str) -> None:
        """An addition or the like takes the values as an operand."""
        self.consumers.append(name)
        self.is_added = True

    @property
    def quantized(self) -> list[QuantizedLayer]:
        """The quantized layers that take them."""
        return [layer for layer in self.layers if isinstance(layer, QuantizedLayer)]

    @property
    def needs_rounding(self) -> bool:
        """Whether the layers' own rounding would not do."""
        return self.is_added or self.is_joined or len(self.layers) > 1 or (bool(self.averages) and bool(self.layers))


def place_roundings(network: nn.Module, input_format: Format) -> tuple[nn.Module, tuple[Skipped, ...]]:
    """The network with roundings where it needs them (a graph module then, the same one else), and what stays float.

    network: with quantized layers in place. input_format: of values that only additions take.
    A network whose forward pass does other things in training than in evaluation (dropout aside) stays as it is.
    Raises TraceError if torch.fx cannot trace it; ModelError if layers that share an input have other input formats.
    """
    graph, asks_for_mode = graph_and_mode(network)
    groups = [group for group in _groups(graph, network) if group.needs_rounding]
    floats = refusals_of(network, graph) or _misfits(network, graph)
    if not groups:
        return network, floats
    try:
        dropouts = _dropouts(network, graph) if asks_for_mode else []
    except TraceError as error:
        return network, floats or (error.skipped,)
    result = RoundedGraph(network, graph, class_name=type(network).__name__)
    for node, module in dropouts:
        _replace_by_module(result, node, module)
    for group in groups:
        _insert(result, group, _format_of(group, input_format))
    result.graph.lint()
    result.recompile()
    return result, floats


def check_modes(network: nn.Module, graph: fx.Graph) -> None:
    """Raise the TraceError that `place_roundings` would raise for a network, which may be float still.

    graph: one that asks for the mode.
    """
    if any(group.needs_rounding for group in _groups(graph, network)):
        _dropouts(network, graph)


def _misfits(network: nn.Module, graph: fx.Graph) -> tuple[Skipped, ...]:
    """A sum or concatenation that fits no image."""
    found = misfit(calls_of(network, graph))
    return () if found is None else (found,)


def _effect(node: fx.Node, network: nn.Module) -> Effect:
    """What a node does with values and their radix point."""
    if node.op in ("placeholder", "output") or is_size(node):
        return "other"
    try:
        applied = application(node, network)
    except ModelError:
        return "other"
    if not all(isinstance(source, fx.Node) for source in applied.sources):
        return "other"
    return kind_of(applied.meaning).effect_of(applied.meaning)


def _groups(graph: fx.Graph, network: nn.Module) -> list[_Group]:
    """The groups of a graph's values, in the order of their first producers."""
    effects: dict[fx.Node, Effect] = {node: _effect(node, network) for node in graph.nodes if node.op != "output"}
    leader = _joined_values(network, effects)
    groups: dict[fx.Node, _Group] = {}
    for node, effect in effects.items():
        group = groups.setdefault(leader[node], _Group())
        if effect in ("layer", "operands", "other"):
            group.roots.append(node)
        elif effect == "averages":
            group.averages.append(node)
        group.is_joined |= effect == "joins"
    for node, effect in effects.items():
        if effect == "layer":
            layer = called_module(node, network)
            groups[leader[node.all_input_nodes[0]]].add_layer(layer, str(node.target))
        elif effect == "operands":
            for number, source in enumerate(node.all_input_nodes, start=1):
                groups[leader[source]].add_operand(f"{node.name}_operand{number}")
        elif effect == "joins":
            groups[leader[node]].consumers.append(f"{node.name}_part")
    return list(groups.values())


def _joined_values(network: nn.Module, effects: dict[fx.Node, Effect]) -> dict[fx.Node, fx.Node]:
    """For each node one that stands for its group (union-find)."""
    parent: dict[fx.Node, fx.Node] = {node: node for node in effects}

    def find(node: fx.Node) -> fx.Node:
        while parent[node] is not node:
            parent[node] = node = parent[parent[node]]
        return node

    taken: dict[int, fx.Node] = {}
    for node, effect in effects.items():
        if effect in ("keeps", "averages", "joins"):
            for source in application(node, network).sources:
                parent[find(source)] = find(node)
        elif effect == "layer":  # a layer used twice has one radix point for what it takes
            layer = id(called_module(node, network))
            parent[find(node.all_input_nodes[0])] = find(taken.setdefault(layer, node.all_input_nodes[0]))
    return {node: find(node) for node in effects}


def _format_of(group: _Group, input_format: Format) -> Format:
    """The format that the group's layers take."""
    for layer in group.quantized[1:]:
        first = group.quantized[0]
        if layer.input_format != first.input_format:
            raise ModelError(
                f"layers {first.name!r} and {layer.name!r} share an input but want it as {first.input_format.name} "
                f"and {layer.input_format.name}: give both the same format of inputs in `layers`"
            )
    return group.quantized[0].input_format if group.quantized else input_format


def _insert(network: fx.GraphModule, group: _Group, number_format: Format) -> None:
    """Round a group's values behind each producer and after each average; its layers follow."""
    first = _free_name(network, group.consumers[0])
    device = next((parameter.device for parameter in network.parameters()), None)
    along = next((summed_dimension(layer.layer) for layer in group.quantized), None)
    rounding = TensorRounding(number_format, first, device=device, along=along)
    network.add_submodule(first, rounding)
    for root in group.roots:
        _insert_after(network, _after_relu(root, network), first)
    for average in group.averages:
        name = _free_name(network, f"{average.name}_rounding")
        network.add_submodule(name, TensorRounding(number_format, name, leader=rounding, along=along))
        _insert_after(network, average, name)
    for layer in group.quantized:
        layer.follow(rounding)


def _after_relu(root: fx.Node, network: nn.Module) -> fx.Node:
    """The ReLU that alone takes a node's values, dropout aside; the node itself if there is none."""
    node = root
    while not is_shared(node) and node.users:
        (user,) = (user for user in node.users if not is_size(user))
        if _effect(user, network) != "keeps":
            return root
        kind = kind_of(application(user, network).meaning)
        if kind.rectifies:
            return user
        if not kind.vanishes:
            return root
        node = user
    return root


def _insert_after(network: fx.GraphModule, node: fx.Node, name: str) -> None:
    with network.graph.inserting_after(node):
        rounded = network.graph.call_module(name, (node,))
    node.replace_all_uses_with(rounded, delete_user_cb=lambda user: user is not rounded and not is_size(user))


def _dropouts(network: nn.Module, graph: fx.Graph) -> list[tuple[fx.Node, nn.Module]]:
    """The functional dropouts that training switches on, as modules that do the same.

    A traced graph holds the mode that it was traced in. Raises TraceError if the two modes differ in anything else.
    """
    others = list(graph_of(network, training=True).nodes)
    replaced: list[tuple[fx.Node, nn.Module]] = []
    for node, other in zip(graph.nodes, others, strict=False):
        if repr((node.args, node.kwargs)) != repr((other.args, other.kwargs)) and node.target in DROPOUTS:
            settings = settings_of(other, DROPOUT_SETTINGS)
            if settings.pop("training", True):
                replaced.append((node, DROPOUTS[node.target](**settings)))
                continue
        if _text(node) != _text(other):
            raise _other_in_training(network, place_of(other))
    if len(others) != len(graph.nodes):
        raise _other_in_training(network, "")
    return replaced


def _other_in_training(network: nn.Module, place: str) -> TraceError:
    """The error for a difference between the modes, first in the module of this name."""
    where = f", first in {place!r} ({class_name(network.get_submodule(place))})" if place else ""
    return TraceError(
        network,
        f"its forward pass does other things in training than in evaluation{where}; let modules such as nn.Dropout "
        "make the difference, or leave it out",
    )


def _text(node: fx.Node) -> str:
    return repr((node.op, node.target, node.args, node.kwargs))


def _replace_by_module(network: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    name = _free_name(network, node.name)
    network.add_submodule(name, module)
    with network.graph.inserting_before(node):
        call = network.graph.call_module(name, node.args[:1])
    node.replace_all_uses_with(call)
    network.graph.erase_node(node)


def _free_name(network: nn.Module, wanted: str) -> str:
    """A name that no module or attribute of the network has."""
    taken: Iterable[str] = (wanted, *(f"{wanted}_{number}" for number in range(1, 1 + len(list(network.modules())))))
    return next(name for name in taken if not hasattr(network, name))
