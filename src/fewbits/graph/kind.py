"""What a kind of operation declares: the contract of each file in `kinds/`, and of extensions.

A reader of networks asks the catalogue which kind a call is of, and the kind for what it needs. What a kind does not
declare it has the default of, which is a kind that stays float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.graph.geometry import Shape
from fewbits.graph.operations import Operation
from fewbits.graph.signs import Sign
from fewbits.graph.spelling import Reading

Effect = Literal["layer", "operands", "joins", "averages", "keeps", "other"]
"""What a kind does with values and their radix point:
layer: it rounds what it takes, and makes accumulators;
operands: what it takes must be rounded before, each operand at a radix point of its own; its result has its own;
joins: what it takes must be rounded before, all to one radix point, which its result keeps;
averages: its result is rounded anew, to the radix point of what it takes, which is rounded before too;
keeps: it chooses or moves values, which stay codes of their radix point, or accumulators;
other: it stays float, or makes values of its own."""


@dataclass(frozen=True)
class Codes:
    """A format and a radix point: of values that were rounded, or that a layer wants."""

    number_format: Format
    fraction_bits: int

    def __str__(self) -> str:
        return f"{self.number_format.name} with {self.fraction_bits} fraction bits"


@dataclass(frozen=True)
class LayerWork:
    """What the accelerator spends cycles on for a call, by shapes alone; sizes are height and width.

    The fields are those of `hardware.workload.LayerShape`.
    """

    kind: Literal["convolution", "linear", "max-pool", "average-pool", "addition"]
    input_channels: int
    input_size: tuple[int, int]
    neurons: int
    output_size: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    has_bias: bool = False


class Lowering(Protocol):
    """One call on its way to operations: what `KindOfOperation.lower` is given."""

    name: str
    """The call's name, which its operation bears."""

    meaning: Any
    sources: tuple[Operation, ...]
    """The operations that give the operands."""

    def codes(self, source: Operation) -> Codes | None:
        """What an operation's values were rounded to; None for accumulators and sums."""
        ...

    def operand(self, source: Operation) -> Codes:
        """What an operation's values were rounded to. Raises ModelError for accumulators."""
        ...

    def require(self, values: Codes | None, wanted: Codes) -> None:
        """Raise ModelError unless values were rounded to what is wanted."""
        ...

    def wanted(self) -> Codes | None:
        """What the layers behind the call want its result rounded to; None if it reaches the network's result.

        Raises ModelError if they disagree.
        """
        ...

    def pass_on(self) -> None:
        """The call's result is its source's: it takes no operation."""
        ...

    def add(self, operation: Operation, codes: Codes | None) -> None:
        """The call's result is an operation's, of these codes (None: accumulators or sums)."""
        ...

    def add_sums(self, operation: Operation, fraction_bits: int) -> None:
        """The call's result is an operation's sums at a radix point, to be rounded behind the ReLU that follows.

        operands: the format of what was multiplied.
        """
        ...

    def round_behind(self) -> None:
        """Round the source's sums now, if they waited for this call."""
        ...

    def layer_settings(self) -> dict[str, Any]:
        """What the operation of a quantized layer holds but its geometry, by field: its encoded weights above all.

        Raises ModelError for a layer that is not calibrated, or whose formats do not go together.
        """
        ...

    def sum_bits(self, formats: Sequence[Format], shifts: Sequence[int]) -> int:
        """Width of the sum of one value of each format, moved left by its shift."""
        ...


class KindOfOperation:
    """A kind of operation; derive from it, set what it declares, write what it computes."""

    name: ClassVar[str]
    """How the catalogue calls it."""

    meanings: ClassVar[tuple[type, ...]] = ()
    """What a call of it applies: torch's module classes, and frozen dataclasses for what no module says."""

    calls: ClassVar[Mapping[Any, Reading]] = {}
    """Functions, and methods by name, each with how its arguments become a meaning."""

    has_form: ClassVar[bool] = True
    """Whether it has a bit-exact form."""

    effect: ClassVar[Effect] = "other"

    views: ClassVar[frozenset[Any]] = frozenset()
    """Of all spellings those whose result may lie in its input's memory: all its elements."""

    parts: ClassVar[frozenset[Any]] = frozenset()
    """The same: some of its elements."""

    elementwise: ClassVar[frozenset[str]] = frozenset()
    """Names of in-place functions and methods that change each element by itself, besides those with `inplace`."""

    keeps_dims: ClassVar[bool] = False
    """Whether a result has as many dimensions as the operand."""

    passes_values: ClassVar[bool] = False
    """Whether the result is the operand's values in their order, perhaps in another shape."""

    vanishes: ClassVar[bool] = False
    """Whether it does nothing in evaluation."""

    rectifies: ClassVar[bool] = False
    """Whether it is ReLU, which a neuron's output stage computes before it rounds."""

    rearranges: ClassVar[bool] = False
    """Whether it gives an image's values other dimensions."""

    makes_sums: ClassVar[bool] = False
    """Whether the result is sums at full width, which a network may end with."""

    can_misfit: ClassVar[bool] = False
    """Whether its operands may fit each other at no size of image."""

    joins_parts: ClassVar[bool] = False
    """Whether its work is addressing alone, which the circuit of `fewbits rtl` lacks."""

    def effect_of(self, meaning: Any) -> Effect:
        """Its effect with these settings."""
        return self.effect

    def sign(self, meaning: Any, operands: Sequence[Sign]) -> Sign:
        """What is known of the sign of its result, from that of its operands.

        What chooses, moves, averages, joins or adds values gives no negative that it was not given.
        """
        if self.rectifies:
            return Sign.NONNEGATIVE
        return Sign.ANY if self.effect_of(meaning) in ("layer", "other") else max(operands, default=Sign.ANY)

    def refusal(self, meaning: Any) -> str | None:
        """Why these settings have no bit-exact form, and what to do; None if they have one. Of modules alone."""
        return None

    def shape(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
        """Shape of the result, without the batch, for operands of these shapes.

        Raises DataError where an image of another size would do, ModelError where none does.
        """
        return shapes[0]

    def work(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> LayerWork | None:
        """What the accelerator spends cycles on; None if an address or a neuron's output stage does it."""
        return None

    def uncounted(self, place: str) -> str | None:
        """What of it no figure of a cost holds, as a sentence that names it; None if nothing is left out.

        place: the name of the module or call.
        """
        return None

    def lower(self, call: Lowering) -> None:
        """Add the operations that compute a call, or pass its source on. Raises ModelError where it cannot be."""
        raise ModelError(f"call {call.name!r}: {self.name} has no bit-exact form")

    def wants(self, meaning: Any) -> Codes | None:
        """What a module of this kind rounds its operand to; None if it does not round."""
        return None

    def spatial_dims(self, meaning: Any) -> int | None:
        """Dimensions of the result behind batch and channels; None if settings do not tell."""
        return None

    def makes_vectors(self, meaning: Any) -> bool:
        """Whether the result has one dimension behind the batch, whatever the operand has."""
        return False

    def channels_last(self, meaning: Any, are_last: bool) -> bool | None:
        """Whether channels lie along the last dimension behind the call; None if it mixes or scales them.

        Channels that pass may be multiplied by a positive factor each: f(a x) = a f(x). are_last: before the call.
        """
        return None

    def commutes_with_rectifying(self, meaning: Any) -> bool:
        """Whether ReLU may come after it as well as before, gradients included."""
        return False

    def image_shape(self, meaning: Any, example: Shape) -> Shape | None:
        """The shape of one image in an example's shape, if a network's first call of this kind tells; else None.

        Raises DataError if the example is none of such an image, nor a batch of them.
        """
        return None
