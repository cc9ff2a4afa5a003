"""The tables of the bit-exact network: for each of its executors, what computes each kind of operation.

An executor's file fills its table; a kind of operation from outside adds its entries, or refuses, by the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from fewbits.errors import FewbitsError, ModelError
from fewbits.graph.operations import Operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from fewbits.bitexact.fused import StageKind
    from fewbits.bitexact.sum_order import SumOrder

Entry = TypeVar("Entry")
Given = TypeVar("Given")


class Table(Generic[Entry]):
    """Entries by the class of an operation. That class alone counts: what is derived from it needs its own entry."""

    def __init__(self, name: str, purpose: str, error: type[FewbitsError] = ModelError) -> None:
        """name: such as `float executor`. purpose: what an entry is. error: raised where there is none."""
        self.name = name
        self.purpose = purpose
        self._error = error
        self._entries: dict[type[Operation], Entry] = {}
        self._refusals: dict[type[Operation], str] = {}

    def register(self, *operations: type[Operation]) -> Callable[[Given], Given]:
        """Set the entry of some classes: `@TABLE.register(Convolution, Linear)`, or `TABLE.register(ReLU)(entry)`.

        Raises the table's error if one has an entry or a refusal.
        """

        def registered(entry: Given) -> Given:
            for operation in operations:
                self._check_free(operation)
                self._entries[operation] = entry  # pyright: ignore[reportArgumentType]
            return entry

        return registered

    def refuse(self, operation: type[Operation], sentence: str) -> None:
        """Say why a class has no entry, and what to do: `is not ...: give ...`, behind the operation's name."""
        self._check_free(operation)
        self._refusals[operation] = sentence

    def __contains__(self, operation: type[Operation]) -> bool:
        return operation in self._entries

    def refusal(self, operation: type[Operation]) -> str | None:
        """Why a class has no entry, and what to do; None if it is not refused."""
        return self._refusals.get(operation)

    def of(self, operation: Operation) -> Entry:
        """The entry of an operation's class. Raises the table's error, naming the operation, if there is none."""
        kind = type(operation)
        if kind in self._entries:
            return self._entries[kind]
        named = f"operation {operation.name!r} ({kind.__name__})"
        if kind in self._refusals:
            raise self._error(f"{named} {self._refusals[kind]}")
        raise self._error(
            f"{named} has no entry in the {self.name}: register {self.purpose} for {kind.__name__}, or refuse it there "
            "(docs/extending.md)"
        )

    def _check_free(self, operation: type[Operation]) -> None:
        if operation in self._entries or operation in self._refusals:
            raise self._error(
                f"the {self.name} decides on {operation.__name__} ({operation.__module__}) already: register a class "
                "of your own"
            )


class Reference(Protocol):
    """What the oracle computes of an operation, for one image."""

    def __call__(self, operation: Any, sources: list[NDArray[Any]], order: SumOrder | None, /) -> NDArray[Any]:
        """sources, result: Python integers, or numpy float32 scalars, in object arrays; for an `InputRounding` floats.

        order: of float sums; None in an integer precision.
        """
        ...


INTEGER: Table[Callable[[Any], Callable[..., Any]]] = Table(
    "integer executor", "a function that takes the operation and gives what computes it on batches of integers"
)
"""From an operation, once, to what computes its result from batches: float64 tensors of integers below 2**53, limbs
(`WideIntegers`) or Python integers (object arrays)."""

FUSED: Table[StageKind] = Table("fused executor", "a `StageKind`, `ONE_BY_ONE` if it has no fast stage,")
"""How the fast executor of integers on the CPU begins a stage; `fused.ONE_BY_ONE` computes as the integer executor."""

FLOAT: Table[Callable[[Any, SumOrder], Callable[..., NDArray[np.float32]]]] = Table(
    "float executor", "a function that takes the operation and the order of sums and gives what computes it on batches"
)
"""From an operation and the order of float sums, once, to what computes its result from batches of float32 arrays."""

REFERENCE: Table[Reference] = Table("reference", "a function that computes its definition, one number at a time,")
"""The oracle: shares nothing with the executors."""

UNROUNDED: Table[Callable[..., Tensor]] = Table(
    "proof of lowering", "a function that computes it on real numbers, no value rounded,"
)
"""From an operation and its sources to its result on values (codes with their radix points), nothing rounded."""
