"""What converts numbers from one set of codes to another: what a circuit is made for, and which other stands for it.

Between layers of different precisions a value is rounded once, from the accumulator of the one (an integer, or a
float32) to the nearest code of the format that the next layer takes (`bitexact.mixed`). A layer whose datapath holds
its numbers in another format has them decoded on their way in, exactly. Both are one kind of circuit
(`conversion_circuits`), from codes to codes: a format says how its codes lie by `code_layout`, `magnitude_codes` and
`integer_limits`, and is asked nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fewbits.errors import HardwareError
from fewbits.formats.format import CodeLayout, MagnitudeCodes

if TYPE_CHECKING:
    from fewbits.formats import Format
    from fewbits.hardware.datapath.base import Datapath

SHIFT_BITS = 10
"""Width of a conversion's shift, signed: 512 places either way go beyond the range of float32, 2**-149 to 2**128."""

_FLUSHING_BIAS = 127
"""Of the formats whose subnormal numbers are subnormal in float32, too, where they count as zeros."""


class Source(Protocol):
    """Codes that are converted: those of a format, or an accumulator's."""

    @property
    def name(self) -> str:
        """Such as `fixed8`, `integer31`."""
        ...

    @property
    def bits(self) -> int:
        """Width."""
        ...

    @property
    def code_layout(self) -> CodeLayout:
        """As of `Format`."""
        ...

    @property
    def magnitude_codes(self) -> MagnitudeCodes | None:
        """As of `Format`."""
        ...


@dataclass(frozen=True)
class Integers:
    """Accumulators of integers, in two's complement, of any width."""

    bits: int

    @property
    def name(self) -> str:
        """`integer31`."""
        return f"integer{self.bits}"

    @property
    def code_layout(self) -> CodeLayout:
        """Two's complement."""
        return "two's complement"

    @property
    def magnitude_codes(self) -> None:
        """None."""
        return None


def source_named(text: str) -> Source:
    """A source by its name. Raises FormatError for another text."""
    from fewbits.formats import parse_format

    found = re.fullmatch(r"integer([1-9][0-9]{0,3})", text)
    return parse_format(text) if found is None else Integers(int(found[1]))


@dataclass(frozen=True)
class Conversion:
    """From codes to the nearest codes of a format: ties to even, saturating; behind a ReLU where a pin says so.

    The number is moved right by so many places as a second pin says, to the radix point of the result: powers of two
    are all that differs between the scales of two tensors.
    """

    source: Source
    target: Format
    is_exact: bool = False
    """Whether each number of the source is one of the target's, at the same radix point: then there are no pins, and no
    registers either, as values are decoded on their way into a buffer."""

    @property
    def name(self) -> str:
        """Of an entry of a technology table: `integer31 to fp8-e4m3`; an exact one is `pow2-4 in fixed8`."""
        return f"{self.source.name} {'in' if self.is_exact else 'to'} {self.target.name}"

    @property
    def refusal(self) -> str | None:
        """Why there is no such circuit; None where there is one."""
        for one in (self.source, self.target):
            if one.code_layout == "sign and magnitude" and one.magnitude_codes is None:
                return f"no circuit converts {self.name}: codes of {one.name} are of a layout of their own"
        return None

    def stands_for(self, other: Conversion) -> bool:
        """Whether every number that the other takes and gives is one of this one's, so that its cost is no lower."""
        if self.is_exact != other.is_exact:
            return False
        return _holds(self.source, other.source) and self.target.holds(other.target)


def _holds(wide: Source, narrow: Source) -> bool:
    if isinstance(wide, Integers) or isinstance(narrow, Integers):
        return isinstance(wide, Integers) and isinstance(narrow, Integers) and narrow.bits <= wide.bits
    return wide == narrow


def flushes(codes: MagnitudeCodes) -> bool:
    """Whether subnormal numbers count as zeros: those that float32 has as such."""
    return codes.bias >= _FLUSHING_BIAS


def sums_of(datapath: Datapath) -> Source:
    """The codes that a datapath's accumulators hold."""
    from fewbits.formats.floating import FLOAT32

    return FLOAT32 if datapath.accumulation == "float32" else Integers(datapath.accumulator_bits)


def rounds(datapath: Datapath, target: Format) -> Conversion:
    """What rounds the sums of a datapath to another format than its own outputs'."""
    return Conversion(sums_of(datapath), target)


def decodes(stored: Format, datapath: Format) -> Conversion:
    """What gives a datapath the numbers of a format that it holds in its own."""
    return Conversion(stored, datapath, is_exact=True)


def check_circuit(conversion: Conversion) -> None:
    """Raise HardwareError where a conversion has no circuit."""
    if conversion.refusal is not None:
        raise HardwareError(conversion.refusal)
