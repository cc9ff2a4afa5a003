"""docs/silicon.md: area and power of the study's precisions beside the published ones, scaling, SRAM rule, timing.

`python studies/date2017/silicon.py [FILE]` writes it from the shipped technology table through fewbits' cost functions.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean

from silicon_variants import (
    CUT_TO_INPUTS,
    Variant,
    cut_products,
    flip_flop_variant,
    measurements,
    one_port_buffers,
    variant,
)

from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware import Accelerator, Technology, Workload, cost, load_technology, workload_of
from fewbits.hardware.process.memory.sram_rule import QUANTITIES, leave_one_out, rule_errors
from fewbits.hardware.process.scaling import node_scaling, scale
from fewbits.report.published import published_study
from fewbits.report.rows import BASELINE
from fewbits.report.table import decimals_for

COMMAND = "make silicon"
NETWORK = "lenet"
STUDY_NODE_NM = 65
NODES_NM = (65, 45, 28, 16, 7)
WIDTH = 120
AIM_POINTS = 5.0
"""Savings are to be within so many percentage points of the published ones."""

_PRECISIONS = tuple(STUDY_PRECISIONS)
_SAVERS = tuple(name for name in _PRECISIONS if name != BASELINE)


def silicon_page() -> str:
    """The page as Markdown."""
    table, workload = load_technology(), workload_of(NETWORK)
    shipped = variant("as shipped", workload, _PRECISIONS, table, Accelerator())
    sections = [
        _head(table),
        _designs(table, workload, shipped),
        _savings(shipped),
        _sensitivities(table, workload, shipped),
        _nodes(table, workload),
        _sram(table),
        _timing(),
    ]
    return "\n\n".join(sections) + "\n"


def saving_differences(made: Variant, quantity: str) -> dict[str, float]:
    """What each precision saves here less what it saves as published, in points; quantity: `area` or `power`."""
    ours, theirs = _saved(_figures(made, quantity)), _saved(_published(quantity))
    return {name: ours[name] - theirs[name] for name in _SAVERS}


def swapped_pairs(made: Variant, quantity: str) -> list[tuple[str, str]]:
    """Precisions that do not stand in the published order."""
    ours, theirs = _figures(made, quantity), _published(quantity)
    return [(a, b) for a, b in combinations(_SAVERS, 2) if (ours[a] - ours[b]) * (theirs[a] - theirs[b]) < 0]


def _figures(made: Variant, quantity: str) -> Mapping[str, float]:
    return made.area_mm2 if quantity == "area" else made.power_mw


def _published(quantity: str) -> dict[str, float]:
    designs = published_study().designs
    return {name: designs[name].area_mm2 if quantity == "area" else designs[name].power_mw for name in _PRECISIONS}


def _saved(figures: Mapping[str, float]) -> dict[str, float]:
    """Percent less than float32, by precision."""
    return {name: 100 * (1 - figures[name] / figures[BASELINE]) for name in _SAVERS}


def _head(table: Technology) -> str:
    tile = Accelerator()
    text = f"""`{COMMAND}` writes this page from the technology table `{table.name}` ({table.process},
    {table.voltage_v:g} V)
    through fewbits' own cost functions. The accelerator: {tile.neurons} neurons of {tile.synapses} synapses at
    {tile.clock_mhz:g} MHz; Bin, SB and Bout of {tile.buffer_rows} rows each, composed of SRAM macros. The network:
    {NETWORK}. Activity behind the table's energies: {table.provenance["activity"]}; wires: {table.provenance["wires"]}.
    Published figures are those of the DATE 2017 study, 65 nm: **{published_study().mark}**."""
    return "# Silicon\n\n" + _paragraph(text)


def _designs(table: Technology, workload: Workload, shipped: Variant) -> str:
    scaled = variant("scaled", workload, _PRECISIONS, scale(table, STUDY_NODE_NM), Accelerator())
    rows = [
        (
            name,
            f"{shipped.area_mm2[name]:.2f}",
            f"{100 * shipped.buffer_area_mm2[name] / shipped.area_mm2[name]:.0f}",
            f"{shipped.power_mw[name]:.0f}",
            f"{scaled.area_mm2[name]:.2f}",
            f"{scaled.power_mw[name]:.0f}",
            f"{_published('area')[name]:.2f}",
            f"{_published('power')[name]:.0f}",
        )
        for name in _PRECISIONS
    ]
    heads = (
        "precision", "area [mm²]", "of it buffers [%]", "power [mW]", f"area, scaled to {STUDY_NODE_NM} nm [mm²]",
        f"power, scaled to {STUDY_NODE_NM} nm [mW]", "area, published [mm²]", "power, published [mW]",
    )  # fmt: skip
    note = f"""The middle columns are {node_scaling(table, STUDY_NODE_NM).heading}. Area is that of cells and macros,
    without the space between them that wires need."""
    return f"## Area and power of the seven precisions\n\n{_markdown(heads, rows)}\n\n{_paragraph(note)}"


def _savings(shipped: Variant) -> str:
    area, power = _saved(shipped.area_mm2), _saved(shipped.power_mw)
    rows = [
        (
            name,
            f"{area[name]:.1f}",
            f"{_saved(_published('area'))[name]:.1f}",
            f"{saving_differences(shipped, 'area')[name]:+.1f}",
            f"{power[name]:.1f}",
            f"{_saved(_published('power'))[name]:.1f}",
            f"{saving_differences(shipped, 'power')[name]:+.1f}",
        )
        for name in _SAVERS
    ]
    heads = (
        "precision", "area", "area, published", "difference", "power", "power, published", "difference",
    )  # fmt: skip
    note = f"""{_verdict(shipped, "area")} {_verdict(shipped, "power")} Scaling to {STUDY_NODE_NM} nm multiplies all
    precisions alike and so leaves these percentages as they are (but for leakage, a thousandth of the power)."""
    return f"## Saved against float32, in percent\n\n{_markdown(heads, rows)}\n\n{_paragraph(note)}"


def _verdict(made: Variant, quantity: str) -> str:
    differences = saving_differences(made, quantity)
    beyond = [f"{name} ({points:+.1f})" for name, points in differences.items() if abs(points) > AIM_POINTS]
    swapped = [f"{a} and {b}" for a, b in swapped_pairs(made, quantity)]
    inside = f"{len(differences) - len(beyond)} of {len(differences)} within {AIM_POINTS:g} points"
    order = f"the published order but for {', '.join(swapped)}" if swapped else "the published order"
    return f"By {quantity}: {inside}" + (f", beyond them {', '.join(beyond)}" if beyond else "") + f"; {order}."


def variants(table: Technology, workload: Workload, shipped: Variant) -> list[Variant]:
    """The shipped design and it with one thing changed, or several."""

    def changed(name: str, technology: Technology, rows: int = Accelerator().buffer_rows) -> Variant:
        return variant(name, workload, _PRECISIONS, technology, Accelerator(buffer_rows=rows))

    pow2 = "pow2-6/fixed16"
    all_cut = cut_products(table, CUT_TO_INPUTS)
    return [
        shipped,
        changed("buffers of one-port macros", one_port_buffers(table)),
        changed("buffers of 256 rows", table, rows=256),
        changed("buffers of 512 rows", table, rows=512),
        *(changed(f"{pow2} products cut to {bits} bits", cut_products(table, {pow2: bits})) for bits in (32, 24, 16)),
        changed("all fixed and pow2 products cut to the inputs' width", all_cut),
        flip_flop_variant("buffers of flip-flops", workload, _PRECISIONS, table),
        flip_flop_variant("both: products cut, buffers of flip-flops", workload, _PRECISIONS, all_cut),
    ]


def _sensitivities(table: Technology, workload: Workload, shipped: Variant) -> str:
    made = variants(table, workload, shipped)
    intro = """Each row changes the shipped design in one respect, the last in two; the figures are savings in percent,
    and the largest difference from the published ones in points. Cut products (lowest bits never made, no rounding) and
    memories of flip-flops were synthesized on the same library by `scripts/measure_silicon.py`; the other rows are
    parameters of the cost functions. No default of the package is changed."""
    closing = (
        "How the published design keeps its products and builds its buffers is not known to us. What the rows say:"
    )
    return "\n\n".join(
        [
            "## What would close the differences: measured",
            _paragraph(intro),
            "### Area",
            _variants_table(made, "area"),
            "### Power",
            _variants_table(made, "power"),
            closing,
            "\n".join(_paragraph(text, bullet=True) for text in _findings(table, made[-1])),
        ]
    )


def _findings(table: Technology, both: Variant) -> list[str]:
    """What the variants say; `both` is the one with cut products and buffers of flip-flops."""
    registers = measurements()["registers"]
    bits = registers["rows"] * registers["bits"]
    factors = node_scaling(table, STUDY_NODE_NM)
    area = [both.area_mm2[name] * factors.area.value / _published("area")[name] for name in _PRECISIONS]
    power = [both.power_mw[name] * factors.energy.value / _published("power")[name] for name in _PRECISIONS]
    shares = [100 * both.buffer_area_mm2[name] / both.area_mm2[name] for name in _PRECISIONS]
    return [
        f"""A memory of flip-flops ({registers["rows"]} rows, with write enables and a read multiplexer) takes
        {registers["area_um2"] / bits:.0f} µm² a bit, the two-port macros {_sram_bit_um2(table):.0f}. Larger buffers
        bring
        the small precisions down to the published savings: buffers shrink with the number of bits, multipliers
        faster.""",
        f"""Products cut to the inputs' width halve the logic of fixed16 and fixed32, which alone overshoots. With
        buffers
        of flip-flops it gives every published area saving within {_worst(both, "area"):.1f} points, in
        {_order_words(both)}. Neither choice has a parameter that was fitted.""",
        f"""That design, {factors.area.value:g} times as large at {STUDY_NODE_NM} nm (scaled), has {min(area):.2f} to
        {max(area):.2f} of the published areas (mean {mean(area):.2f}); cell area leaves no space
        for wires. Its buffers take {min(shares):.0f} to {max(shares):.0f} % of the area.""",
        f"""Its power, with a clock that no flip-flop of a buffer is spared
        ({1000 * registers["clock_energy_pj"] / bits:.0f} fJ a bit and cycle) and without what reads and writes
        switch, at the {min(both.clock_mhz.values()):.0f} MHz that such memories keep, is
        {min(power):.2f} to {max(power):.2f} of the published one (scaled); clock gating would spare most of it.""",
        """Which of fixed8 and pow2-6/fixed16 is smaller depends on how many bits of a product are kept: a pow2-6
        weight shifts an input by up to 30 places, and fewbits keeps all 47 bits, as its bit-exact network does.""",
        """The saving of fixed32 is small beside what surrounds it: it depends on the products' width (64 bits here)
        more
        than on any other choice, and nothing but cutting them brings it to the published one.""",
    ]


def _sram_bit_um2(table: Technology) -> float:
    """Area of a bit in the macro that buffers are composed of: the smallest of two ports and 64 rows."""
    rows = Accelerator().buffer_rows
    bits = [
        macro.area_um2 / macro.rows / macro.bits for macro in table.macros if (macro.ports, macro.rows) == (2, rows)
    ]
    return min(bits)


def _order_words(made: Variant) -> str:
    swapped = swapped_pairs(made, "area")
    return f"the published order but for {swapped}" if swapped else "the published order"


def _worst(made: Variant, quantity: str) -> float:
    return max(abs(points) for points in saving_differences(made, quantity).values())


def _variants_table(made: Sequence[Variant], quantity: str) -> str:
    rows = [
        (
            one.name,
            *(f"{value:.1f}" for value in _saved(_figures(one, quantity)).values()),
            f"{_worst(one, quantity):.1f}",
            ", ".join(f"{a} / {b}" for a, b in swapped_pairs(one, quantity)) or "as published",
        )
        for one in made
    ]
    target = (
        f"*{published_study().mark}*",
        *(f"*{value:.1f}*" for value in _saved(_published(quantity)).values()),
        "",
        "",
    )
    return _markdown(("", *_SAVERS, "largest difference", "order, swapped pairs"), [*rows, target])


def _nodes(table: Technology, workload: Workload) -> str:
    rows: list[tuple[str, ...]] = []
    for node in NODES_NM:
        factors, scaled = node_scaling(table, node), scale(table, node)
        costs = [cost(workload, name, technology=scaled) for name in ("float32", "fixed8")]
        rows.append(
            (
                f"{node:g}" + ("*" if factors.interpolated else ""),
                f"{factors.to_v:.3g}",
                *(str(factor) for factor in (factors.area, factors.energy, factors.delay)),
                *(_short(one.area_mm2) for one in costs),
                *(_short(one.power_mw) for one in costs),
            )
        )
    heads = (
        "node [nm]", "supply [V]", "area", "energy", "delay", "float32, scaled [mm²]", "fixed8, scaled [mm²]",
        "float32, scaled [mW]", "fixed8, scaled [mW]",
    )  # fmt: skip
    start = node_scaling(table, STUDY_NODE_NM)
    intro = f"""From {start.from_nm:g} nm and {start.from_v:g} V, at the same clock; `fewbits cost lenet fixed8 --node
    65`
    prints the like."""
    note = """\\* between two nodes of the source, A. Stillmaker and B. Baas, Integration 58 (2017) 74-81. In brackets
    what
    other rules give: the square of the nodes' ratio for area; for energy the fits of low-power transistors, ±10 % of
    supply voltage, and ratio times voltage squared; for delay ±10 % of supply voltage, and the ratio. At 16 and 7 nm
    the
    rules differ by factors of two and three. Macros are scaled as logic is, though they shrink less; leakage power is
    left as it was, for want of a published factor."""
    return "\n\n".join(
        [
            "## Other nodes: scaled, not characterized",
            _paragraph(intro),
            _markdown(heads, rows),
            _paragraph(note),
        ]
    )


def _sram(table: Technology) -> str:
    left_out = leave_one_out(table.macros)
    errors = rule_errors(left_out)
    summary = [(one.quantity, f"{one.median:.0f}", f"{one.lowest:+.0f}", f"{one.highest:+.0f}") for one in errors]
    rows = [
        (
            f"{one.macro.rows} x {one.macro.bits}, {one.macro.ports}",
            f"{one.composed.columns} x {one.composed.banks} of {one.composed.macro.rows} x {one.composed.macro.bits}",
            *(f"{one.errors_percent[name]:+.0f}" for name in QUANTITIES),
        )
        for one in left_out
    ]
    intro = f"""A memory of any size is composed of one kind of macro, side by side and one above the other: the kind
    that takes the least area (`memory.sram.compose`). Each of the {len(left_out)} macros, composed of
    the others with as many ports, has so much more than the macro itself, in percent. The selection among banks is not
    in it. The smallest macros come out worst, as there is nothing smaller to compose them of. The buffers of the
    default accelerator are whole macros of {Accelerator().buffer_rows} rows: the rule costs them no more than
    peripheral circuits that wider macros would share."""
    return "\n\n".join(
        [
            "## SRAM: the banking rule against macros left out of it",
            _paragraph(intro),
            _markdown(("quantity", "median of sizes", "from", "to"), summary),
            _markdown(("rows x bits, ports", "composed as", *QUANTITIES), rows),
        ]
    )


def _timing() -> str:
    rows = [
        (library, precision, f"{one['ours_ns']:.3f}", f"{one['opensta_ns']:.3f}", _percent(one))
        for library, found in measurements()["timing"].items()
        for precision, one in found.items()
    ]
    intro = """On the same netlists (mapping `small` alone, so that some miss 4 ns), from a register or an input to a
    register, with setup, in ns, by `scripts/measure_silicon.py`."""
    heads = ("library", "precision", "fewbits", "OpenSTA 2.0.17", "difference [%]")
    return f"## Longest path against OpenSTA\n\n{_paragraph(intro)}\n\n{_markdown(heads, rows)}"


def _percent(one: Mapping[str, float]) -> str:
    return f"{100 * (one['ours_ns'] / one['opensta_ns'] - 1):+.1f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _paragraph(text: str, *, bullet: bool = False) -> str:
    """Text filled to the width of the project's files."""
    first, later = ("- ", "  ") if bullet else ("", "")
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(value: float) -> str:
    """Three significant digits."""
    return f"{value:.{decimals_for([value])}f}"


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/silicon.md")
    target.write_text(silicon_page(), encoding="utf-8")
