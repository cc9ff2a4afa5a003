"""Where a tensor may be unsigned: behind a ReLU, and what keeps its values from below zero; of unsigned images too.

A layer whose inputs have an unsigned format (`ufixedN`), and a rounding to one, must be given nothing negative, which
would become zero. What the network's operations tell is asked of their kinds (`KindOfOperation.sign`); what only the
images tell is settled when they come, in `calibrate`. Elsewhere an unsigned format is refused by name, or gives way to
the signed one of its width where that was asked for (`Precision.auto_sign`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor, fx, nn

from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.graph.catalogue import application, kind_of
from fewbits.graph.signs import Sign
from fewbits.graph.spelling import is_size
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.layers.tensor_rounding import TensorRounding

Rounding = QuantizedLayer | TensorRounding
"""What rounds a tensor: a layer its own input, or a rounding for several operations."""

_REMEDY = (
    "put a ReLU before it, take a signed format of inputs, or ask for signed ones where needed, inputs='auto-sign' or "
    ":auto-sign behind the precision"
)


def node_signs(graph: fx.Graph, network: nn.Module) -> dict[fx.Node, Sign]:
    """What is known of each node's values; the graph's inputs are images."""
    signs: dict[fx.Node, Sign] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            signs[node] = Sign.IMAGES
        elif node.op != "output" and not is_size(node):
            signs[node] = _sign(node, network, signs)
    return signs


def _sign(node: fx.Node, network: nn.Module, signs: dict[fx.Node, Sign]) -> Sign:
    try:
        applied = application(node, network)
    except ModelError:
        return Sign.ANY
    operands = [signs.get(source, Sign.ANY) if isinstance(source, fx.Node) else Sign.ANY for source in applied.sources]
    return kind_of(applied.meaning).sign(applied.meaning, operands)


class Change(NamedTuple):
    """Something that takes signed values where unsigned ones were asked for."""

    name: str
    """What it is, in a sentence: `layer 'fc1'`."""

    asked: Format
    taken: Format


def told(changes: Iterable[Change], what: str = "values that may be negative") -> tuple[str, ...]:
    """A sentence for each pair of formats that differ, which names all that changed so. what: they take."""
    names: dict[tuple[Format, Format], list[str]] = {}
    for name, asked, taken in dict.fromkeys(changes):
        if asked != taken:
            names.setdefault((asked, taken), []).append(name)
    return tuple(
        f"{', '.join(which)} take{'s' * (len(which) == 1)} {what}: these are {taken.name} in place of {asked.name}"
        for (asked, taken), which in names.items()
    )


def settle_untraced(layers: Iterable[QuantizedLayer], reason: str) -> Iterator[Change]:
    """Settle the layers of a network that cannot be traced, whose values may have any sign."""
    for layer in layers:
        name = f"layer {layer.name!r} of a network that cannot be traced ({reason})"
        yield from settle_layer(layer, Sign.ANY, name)


def settle_layer(layer: QuantizedLayer, sign: Sign, name: str) -> Iterator[Change]:
    """Give a layer that rounds its own inputs a signed format where it must have one."""
    asked = layer.input_format
    taken = settled(asked, sign, name, auto_sign=layer.may_be_signed)
    if taken != asked:
        layer.set_input_format(taken)
        yield Change(name, asked, taken)


def settled(number_format: Format, sign: Sign, name: str, *, auto_sign: bool) -> Format:
    """The format of a tensor's values.

    sign: of the values. name: of what takes them. Raises ModelError where they may be negative and the format is
    unsigned: unless `auto_sign`, and where its width has no signed format.
    """
    if number_format.is_signed or sign < Sign.ANY:
        return number_format
    return _signed(number_format, f"{name} takes values that may be negative", auto_sign=auto_sign)


def _signed(number_format: Format, found: str, *, auto_sign: bool) -> Format:
    if not auto_sign:
        raise ModelError(f"{found}, which {number_format.name} has not: {_REMEDY}")
    if number_format.signed is None:
        raise ModelError(f"{found}, and {number_format.name} has no signed format of its width: take a wider one")
    return number_format.signed


def settle_images(roundings: Iterable[Rounding], images: Tensor) -> None:
    """Give what takes the images as they are a signed format if they have negatives; `signed_images` tells of it.

    roundings: those between layers before the layers, which must agree with them.

    Raises ModelError, naming the layer, where an unsigned format was asked for without `auto_sign`.
    """
    unsigned = [one for one in roundings if one.takes_images and not _format(one).is_signed]
    if not unsigned or float(images.min()) >= 0:
        return
    for one in unsigned:
        found = f"layer {one.name!r} takes the images, whose least value is {float(images.min()):.3g}"
        if not one.may_be_signed:
            raise ModelError(
                f"{found}, and {_format(one).name} has no negatives: give images from 0 on (mean 0 in place of "
                "normalizing), a signed format of inputs, or inputs='auto-sign'"
            )
        _give(one, _signed(_format(one), found, auto_sign=True))


def signed_images(roundings: Iterable[Rounding]) -> tuple[str, ...]:
    """A sentence for each pair of formats on what takes images with negatives, signed in place of unsigned."""
    signed = (one for one in roundings if one.takes_images and one.needs_sign)
    changes = (Change(f"layer {one.name!r}", one.asked_inputs, _format(one)) for one in signed)
    return told(changes, "the images, which have negatives")


def unsigned_images(roundings: Iterable[Rounding]) -> tuple[str, ...]:
    """A sentence on each layer that takes the images in an unsigned format, of a model that has not seen any."""
    return tuple(
        f"layer {one.name!r} takes the images as {_format(one).name}: it is given none below zero, as from data whose "
        "mean is not subtracted"
        for one in roundings
        if one.takes_images and not _format(one).is_signed and isinstance(one, QuantizedLayer)
    )


def _format(one: Rounding) -> Format:
    return one.number_format if isinstance(one, TensorRounding) else one.input_format


def _give(one: Rounding, number_format: Format) -> None:
    if isinstance(one, TensorRounding):
        one.set_format(number_format)
    else:
        one.set_input_format(number_format)
