"""Make the tables of docs/block_formats.md: formats with their bits, and quantization SNR on drawn numbers.

Usage: python scripts/block_formats_page.py
A table stands between `<!-- made by scripts/block_formats_page.py: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from fewbits.formats import BlockFormat, FormatFamily, format_families, parse_format
from fewbits.formats.block_products import sum_bits
from fewbits.formats.hadamard import rotate_blocks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "block_formats.md"
NUMBERS = 2**20
RULES = ("floor", "ceil", "even", "nearest")
_BLOCK = re.compile(r"(<!-- made by scripts/block_formats_page\.py: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def named() -> list[BlockFormat]:
    """The block formats that have a name of their own."""
    (family,) = (one for one in format_families() if one.name == "block")
    assert isinstance(family, FormatFamily)
    return [found for name in family.known if isinstance(found := parse_format(name), BlockFormat)]


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """In Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def made_of() -> str:
    """Each named format's parts."""
    rows = [
        (
            f"`{one.name}`",
            f"`{one.element.name}`",
            str(one.size),
            f"`{one.scales.name}`",
            f"{float(one.bits_an_element):g}",
            one.rule.name,
            str(sum_bits(one, one, one.size)),
        )
        for one in named()
    ]
    return table(
        ("name", "element", "block", "scale", "bits an element", "default rule", "bits of a block's sum"), rows
    )


def normal_snr() -> str:
    """Decibels on standard normal numbers, by rule."""
    x = torch.randn(NUMBERS, generator=torch.Generator().manual_seed(0))
    rows = [
        (f"`{one.name}`", *(_decibels(x, f"{one.name}:{rule}") if _takes(one, rule) else "" for rule in RULES))
        for one in named()
    ]
    return table(("name", *RULES), rows)


def rotated_snr() -> str:
    """Decibels on numbers of heavy tails, as they are and rotated."""
    torch.manual_seed(0)
    x = torch.distributions.StudentT(2.5).sample((NUMBERS,))
    rows = []
    for one in named():
        turned = rotate_blocks(x, one.size)
        rows.append((f"`{one.name}`", _snr(x, one.quantize(x)), _snr(turned, one.quantize(turned))))
    return table(("name", "as drawn", "rotated"), rows)


def _takes(one: BlockFormat, rule: str) -> bool:
    return not (one.scales.name == "e4m3" and rule == "even")


def _decibels(x: Tensor, name: str) -> str:
    return _snr(x, parse_format(name).quantize(x))


def _snr(x: Tensor, rounded: Tensor) -> str:
    error = rounded.double() - x
    return f"{10 * math.log10(x.double().square().sum().item() / error.square().sum().item()):.2f}"


TABLES: dict[str, Callable[[], str]] = {"formats": made_of, "normal": normal_snr, "rotated": rotated_snr}


def made(text: str) -> str:
    """A page's text with its tables made anew."""
    return _BLOCK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
