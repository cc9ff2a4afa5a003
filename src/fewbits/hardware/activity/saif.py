"""SAIF: switching activity as other tools read it, toggles and time at zero and one of every net.

The format is the Switching Activity Interchange Format 2.0, backward form (IEEE 1801-2015, annex on SAIF): a header and
the nets of an instance. What a name has beside letters, digits and underscores is escaped by a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewbits import __version__
from fewbits.errors import HardwareError

PICOSECONDS = 1000.0
"""Of a nanosecond; the files' time unit is 1 ps."""

_HEAD = """(SAIFILE
(SAIFVERSION "2.0")
(DIRECTION "backward")
(DESIGN "{design}")
(DATE)
(VENDOR "fewbits")
(PROGRAM_NAME "fewbits rtl")
(VERSION "{version}")
(DIVIDER / )
(TIMESCALE 1 ps)
(DURATION {duration})
(INSTANCE {design}
(NET
"""


def saif_text(
    design: str,
    names: Sequence[str],
    toggles: NDArray[np.float64],
    duty: NDArray[np.float64],
    cycles: int,
    period_ns: float,
) -> str:
    """A file of one instance.

    names: of the nets, as in Verilog, such as `total[3]`. toggles: of each net in a cycle, both edges, shape (nets,).
    duty: part of the time at one, shape (nets,). cycles: that the file stands for. Counts and times are rounded to
    integers; the time at zero and that at one add up to the duration.
    Raises HardwareError for a number of cycles or a period that is not above 0, or arrays that do not fit.
    """
    if cycles < 1 or not period_ns > 0 or not len(names) == len(toggles) == len(duty):
        raise HardwareError(
            f"a SAIF file stands for at least one cycle and names each net: not {cycles} cycles of {period_ns:g} ns, "
            f"{len(names)} names, {len(toggles)} toggles, {len(duty)} duties"
        )
    duration = round(cycles * period_ns * PICOSECONDS)
    counts = np.rint(toggles * cycles).astype(np.int64)
    ones = np.rint(np.clip(duty, 0.0, 1.0) * duration).astype(np.int64)
    lines = [
        f"({escaped(name)} (T0 {duration - one}) (T1 {one}) (TX 0) (TC {count}) (IG 0))\n"
        for name, one, count in zip(names, ones.tolist(), counts.tolist(), strict=True)
    ]
    return _HEAD.format(design=design, version=__version__, duration=duration) + "".join(lines) + ")\n)\n)\n"


def escaped(name: str) -> str:
    """A name as SAIF has it, with backslashes before brackets."""
    return re.sub(r"(\W)", r"\\\1", name)
