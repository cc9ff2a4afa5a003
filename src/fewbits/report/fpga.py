"""What `fewbits cost --fpga` prints: columns of their own, beside silicon's and never mixed with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fewbits.hardware.fpga import FpgaCost, Resources

_COLUMNS: dict[str, Callable[[FpgaCost], float]] = {
    "LUT": lambda one: one.resources.luts,
    "FF": lambda one: one.resources.flip_flops,
    "DSP": lambda one: one.resources.dsps,
    "BRAM": lambda one: one.resources.block_rams,
    "carry": lambda one: one.resources.carries,
    "cycles": lambda one: one.cycles,
    "MHz": lambda one: one.clock_mhz,
    "images/s": lambda one: one.images_per_second,
    "EBOPs/cycle": lambda one: one.ebops,
    "LUT+55DSP": lambda one: one.resources.luts_and_dsps,
}


def fpga_json(cost: FpgaCost) -> dict[str, Any]:
    """What `fewbits cost --json` prints of a network's cost on an FPGA."""
    return {
        "family": cost.family.name,
        "device": None if cost.device is None else cost.device.name,
        "accelerator": cost.accelerator.definition(),
        "tool": cost.tool,
        "multiplier": cost.multiplier,
        **_resources(cost.resources),
        "parts": {
            name: {"instances": part.instances, "each": _resources(part.each)} for name, part in cost.parts.items()
        },
        "cycles": cost.cycles,
        "clock_mhz": cost.clock_mhz,
        "clock_basis": cost.clock_basis,
        "images_per_second": cost.images_per_second,
        "ebops_per_cycle": cost.ebops,
        "luts_and_55_dsps": cost.resources.luts_and_dsps,
        "exceeds": list(cost.excess),
        "smallest_device": None if cost.smallest_device is None else cost.smallest_device.name,
        "notes": list(cost.notes),
    }


def fpga_lines(costs: Sequence[FpgaCost]) -> tuple[str, ...]:
    """A row for each cost, then lines on cells, tools, clock and devices."""
    return (
        f"{'precision':>18}{'FPGA':>8}" + "".join(f"{heading:>13}" for heading in _COLUMNS),
        *(
            f"{one.precision:>18}{one.family.name:>8}"
            + "".join(f"{figure(one):>13,.6g}" for figure in _COLUMNS.values())
            for one in costs
        ),
        *dict.fromkeys(f"{one.family.name}: {one.family.names}; counted by {one.tool}" for one in costs),
        *(line for one in costs for line in _about(one)),
        "FPGA: EBOPs are products a cycle x bits of weight x bits of input (HGQ's measure of LUT + 55 DSP); "
        "energy and area are not claimed.",
    )


def _about(one: FpgaCost) -> list[str]:
    """Parts, multiplier, clock, device."""
    name = f"{one.precision} {one.family.name}"
    parts = ", ".join(f"{part.instances} x {title} of {_words(part.each)}" for title, part in one.parts.items())
    return [
        f"{name}: {parts}",
        f"{name}: {one.multiplier}; clock {one.clock_basis}",
        f"{name}: {_fit(one)}",
        *(f"{name}: {note}" for note in one.notes),
    ]


def _fit(one: FpgaCost) -> str:
    """Whether a device holds it, in words."""
    smallest = one.smallest_device
    fits = "it fits no device of the family here" if smallest is None else f"the smallest that fits is {smallest.name}"
    if one.device is None:
        return fits
    if one.excess:
        return f"does not fit {one.device.name}: {'; '.join(one.excess)}; {fits}"
    taken, budget = one.resources, one.device.budget
    shares = ", ".join(
        f"{words} {100 * mine / theirs:.3g}"
        for words, mine, theirs in zip(("LUT", "FF", "DSP", "BRAM"), taken.values(), budget.values(), strict=False)
        if theirs
    )
    return f"of {one.device.name} in %: {shares} (budget: {one.device.source})"


def _words(each: Resources) -> str:
    found = zip(("LUT", "FF", "DSP", "BRAM"), each.values(), strict=False)
    return " ".join(f"{number:,.6g} {words}" for words, number in found if number) or "nothing"


def _resources(of: Resources) -> dict[str, float]:
    names = ("luts", "flip_flops", "dsps", "block_rams", "carries")
    return dict(zip(names, of.values(), strict=True))
