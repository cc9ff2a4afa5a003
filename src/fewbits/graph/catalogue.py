"""The catalogue of operations: which kind a module or call is of, own kinds and those of installed packages.

`quantize`, `lower`, `cost` and `fewbits rtl` read a network through it, so that they agree on what is supported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Literal

from torch import fx, nn

from fewbits.extensions import Extension, ExtensionError, found, usable
from fewbits.graph.float_layer import FloatLayer, ValueRounding, WrappedLayer
from fewbits.graph.geometry import Shape
from fewbits.graph.kind import KindOfOperation
from fewbits.graph.kinds import OWN
from fewbits.graph.kinds.without_form import without_form
from fewbits.graph.refusals import OWN_TENSOR, Skipped, UnsupportedError, target_name, unsupported
from fewbits.graph.spelling import Application, Reading, called_module

_WITH_DERIVED = (ValueRounding, FloatLayer)
"""Classes of meanings whose derived classes are of their kind too."""


class _Unknown(KindOfOperation):
    """The kind of whatever the catalogue does not know: it stays float."""

    name = "unknown"
    has_form = False


_UNKNOWN = _Unknown()


class Catalogue:
    """Kinds by name, found by meaning and by spelling. A kind with a form comes before one without."""

    def __init__(
        self, kinds: Mapping[str, KindOfOperation], extensions: Mapping[str, Extension], broken: Sequence[str] = ()
    ) -> None:
        """extensions: what gave some of the kinds. broken: a sentence for each of them that cannot be used.

        Raises ExtensionError if two kinds with a form have a meaning or a spelling in common.
        """
        self.kinds = kinds
        self.extensions = extensions
        self._broken = broken
        with_form = [kind for kind in kinds.values() if kind.has_form]
        without = [kind for kind in kinds.values() if not kind.has_form]
        self._by_meaning: dict[type, KindOfOperation] = {
            **{meaning: kind for kind in without for meaning in kind.meanings},
            **_by_key((meaning, kind) for kind in with_form for meaning in kind.meanings),
        }
        givers = _by_key((call, kind) for kind in with_form for call in kind.calls)
        self._readings: dict[Any, Reading] = {call: kind.calls[call] for call, kind in givers.items()}
        self._views = {view: kind for kind in kinds.values() for view in kind.views}
        self._parts = frozenset(chain.from_iterable(kind.parts for kind in kinds.values()))
        self.elementwise = frozenset(chain.from_iterable(kind.elementwise for kind in kinds.values()))
        """Names of in-place functions and methods that change each element by itself."""

    def kind_of(self, meaning: Any) -> KindOfOperation:
        """The kind of a meaning, that of the float layer for a quantized one; one without a form if it is not known."""
        if isinstance(meaning, WrappedLayer):
            meaning = meaning.layer
        return self.kind_of_class(type(meaning))

    def kind_of_class(self, meaning: type) -> KindOfOperation:
        """The kind whose meanings are of a class."""
        if meaning not in self._by_meaning:
            bases = (base for base in meaning.__mro__[1:] if issubclass(meaning, _WITH_DERIVED))
            self._by_meaning[meaning] = next(filter(None, map(self._by_meaning.get, bases)), _UNKNOWN)
        return self._by_meaning[meaning]

    def reading_of(self, target: Any) -> Reading | None:
        """What a call of a function, or of a method by name, means; None if that has no form."""
        return self._readings.get(target)

    def without_form(self, name: str) -> str:
        """Why a class or function stays float, as `kinds.without_form` has it, and what is broken and might know it.

        name: of the class, function or method.
        """
        return "; ".join((without_form(name), *self._broken))

    def view_of(self, target: Any) -> Literal["whole", "part"] | None:
        """Whether what is called gives the whole of its input, or a part, in its memory; None if it makes a tensor."""
        return "whole" if target in self._views else "part" if target in self._parts else None

    def keeps_shape(self, view: Any) -> bool:
        """Whether a view of a whole tensor has its shape."""
        return view in self._views and self._views[view].vanishes


def catalogue() -> Catalogue:
    """Own kinds and those of installed packages (entry points `fewbits.operations`), loaded at the first call.

    One that cannot be loaded is named where something has no form. Raises ExtensionError if one takes a module class or
    a function of another.
    """
    extensions = found("operations")
    if _latest is None or _latest.extensions is not extensions:
        return _renewed(extensions)
    return _latest


def _renewed(extensions: Mapping[str, Extension]) -> Catalogue:
    global _latest
    kinds, broken = usable("operations", OWN, KindOfOperation)
    for name in sorted(kinds.keys() - OWN.keys()):
        if (fault := _fault(kinds[name])) is not None:
            del kinds[name]
            broken += (f"operation {name!r} of {extensions[name].giver} {fault}",)
    _latest = Catalogue(kinds, extensions, broken)
    return _latest


def _fault(kind: Any) -> str | None:
    """What of a kind's declaration cannot be read; None if all can."""
    if not isinstance(getattr(kind, "name", None), str):
        return "has no name: set it to a text"
    if not isinstance(kind.meanings, tuple) or not all(isinstance(one, type) for one in kind.meanings):
        return "declares meanings that are no tuple of classes, as (nn.SiLU,)"
    if not isinstance(kind.calls, Mapping):
        return "declares calls that are no mapping of functions and methods to readings, as {F.silu: spelled(nn.SiLU)}"
    return None


_latest: Catalogue | None = None
"""That of the extensions that were found last."""


def _by_key(pairs: Iterable[tuple[Any, KindOfOperation]]) -> dict[Any, KindOfOperation]:
    table: dict[Any, KindOfOperation] = {}
    for key, kind in pairs:
        if table.setdefault(key, kind) is not kind:
            spelling = key if isinstance(key, str) else getattr(key, "__name__", str(key))
            raise ExtensionError(
                f"operation {kind.name!r} ({type(kind).__module__}) takes {spelling!r}, which is {table[key].name!r} "
                "already: leave it to one"
            )
    return table


def kind_of(meaning: Any) -> KindOfOperation:
    """See `Catalogue.kind_of`."""
    return catalogue().kind_of(meaning)


def result_shape(name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
    """Shape, without the batch, of what a call gives. shapes: of its operands. Raises what its kind raises."""
    return kind_of(meaning).shape(name, meaning, shapes)


def application(node: fx.Node, network: nn.Module) -> Application:
    """What a node that calls a module, a function or a method does.

    Raises UnsupportedError if fewbits knows no kind of this spelling, or its settings depend on values.
    """
    if node.op == "call_module":
        module = called_module(node, network)
        if not node.args:
            reason = "it is given its input by name, or none; give it as the first argument, as self.layer(x)"
            raise UnsupportedError(Skipped(str(node.target), type(module).__name__, reason))
        return Application(module, node.args[:1])
    if node.op == "get_attr":
        raise unsupported(node, f"{OWN_TENSOR.format(node.target)}")
    read = catalogue().reading_of(node.target)
    applied = None if read is None else read(node)
    if applied is None or applied.meaning is None:
        raise unsupported(node, catalogue().without_form(target_name(node)))
    return applied


def meaning_of(node: fx.Node, network: nn.Module) -> Any:
    """What a node applies; None if it calls nothing, or nothing with a form."""
    if node.op not in ("call_module", "call_function", "call_method"):
        return None
    try:
        return application(node, network).meaning
    except UnsupportedError:
        return None
