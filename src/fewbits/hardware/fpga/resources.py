"""What a circuit takes of an FPGA, and whether a device has as much."""

from __future__ import annotations

from dataclasses import dataclass, fields

LUTS_PER_DSP = 55
"""LUTs that a DSP block counts as in the measure LUT + 55 DSP, which EBOPs estimate (Sun et al., "Gradient-based
Automatic Mixed Precision Quantization for Neural Networks On-Chip", arXiv 2405.00645)."""


@dataclass(frozen=True)
class Resources:
    """Look-up tables, flip-flops, DSP blocks, block RAMs and carry cells; fractions where they are an estimate."""

    luts: float = 0
    """As the family's devices count them; LUTs that carry chains take up are among them (`families`)."""

    flip_flops: float = 0
    dsps: float = 0
    block_rams: float = 0
    carries: float = 0
    """Cells of carry chains. They lie beside LUTs, so that a device has no budget of them."""

    def __add__(self, other: Resources) -> Resources:
        """Both together."""
        return Resources(*(mine + theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def __mul__(self, times: float) -> Resources:
        """So many of it."""
        return Resources(*(one * times for one in self.values()))

    def values(self) -> tuple[float, ...]:
        """The figures in their order."""
        return tuple(getattr(self, one.name) for one in fields(self))

    @property
    def luts_and_dsps(self) -> float:
        """LUT + 55 DSP."""
        return self.luts + LUTS_PER_DSP * self.dsps

    def excess(self, budget: Resources) -> tuple[str, ...]:
        """What is short in a budget, in words: `DSP blocks 256 of 240`. Carry cells have no budget."""
        return tuple(
            f"{words} {mine:,.6g} of {theirs:,.6g}"
            for words, mine, theirs in (
                ("LUTs", self.luts, budget.luts),
                ("flip-flops", self.flip_flops, budget.flip_flops),
                ("DSP blocks", self.dsps, budget.dsps),
                ("block RAMs", self.block_rams, budget.block_rams),
            )
            if mine > theirs
        )

    def fits(self, budget: Resources) -> bool:
        """Whether a budget has as much of everything."""
        return not self.excess(budget)
