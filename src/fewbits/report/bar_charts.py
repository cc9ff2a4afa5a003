"""Bar charts: area, power and energy by component, and energy by layer and part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from fewbits.report.chart import BAR_HEIGHT, INK, Chart, styled
from fewbits.report.energy import row_energies
from fewbits.report.parts import ordered, shown
from fewbits.report.table import decimals_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.rows import Group
    from fewbits.study.declaration import Figure


def chip_chart(groups: Sequence[Group], figure: Figure, stem: str) -> Chart:
    """A figure of the chip by component, a bar for each precision; where rows of one precision differ in it, their
    recipes, networks or data are told apart.
    """
    return _bar_chart(stem, figure.bars, figure.unit, _chip_bars(groups, figure.name))


def _chip_bars(groups: Sequence[Group], name: str) -> dict[str, dict[str, float]]:
    """Components of each chip by the shortest labels under which no two different ones meet."""
    rows = [(group, row) for group in groups for row in group.rows]
    forms = ("{precision}", "{precision} {recipe}", "{model} {precision}", "{model} {precision} {recipe}")
    full = "{model} on {data} {precision} {recipe}"
    machines = ("{precision} on {accelerator}", "{model} {precision} {recipe} on {accelerator}")
    for form in (*forms, *machines, full, "{precision} ({study})", f"{full} on {{accelerator}} ({{study}})"):
        bars: dict[str, dict[str, float]] = {}
        for group, row in rows:
            label = form.format(
                model=group.model, data=group.data, precision=row.precision, recipe=row.recipe, study=row.study,
                accelerator=row.accelerator,
            )  # fmt: skip
            if bars.setdefault(label, row.parts[name]) != row.parts[name]:
                break
        else:
            return bars
    raise ValueError("two groups of one network and data")  # group_runs makes none


def component_chart(group: Group, figure: Figure, stem: str) -> Chart:
    """A figure of a network by component, a bar for each precision."""
    rows = group.points
    bars = {row.label(rows): row.parts[figure.name] for row in rows}
    return _bar_chart(stem, f"{figure.bars}: {group.title}", figure.unit, bars)


def layer_chart(group: Group, stem: str) -> Chart | None:
    """Energy of an image by layer and part, a bar for each layer, at a precision that the reader chooses.

    The image, and the page at first, show the precision of least energy. None if no row's energies are kept by layer.
    """
    energies = row_energies(group)
    if not energies:
        return None
    totals = {label: sum(one.by_part.values()) for label, one in energies.items()}
    chosen = min(totals, key=lambda label: totals[label])
    parts = ordered([part for one in energies.values() for part in one.parts])
    values = [
        {
            "precision": label,
            "bar": layer,
            "component": shown(part).words,
            "value": value,
            "order": parts.index(part),
        }
        for label, one in energies.items()
        for layer, split in one.layers.items()
        for part, value in split.items()
    ]
    ends = [
        {"precision": label, "bar": layer, "total": sum(split.values()), "share": sum(split.values()) / totals[label]}
        for label, one in energies.items()
        for layer, split in one.layers.items()
    ]
    layers = list(dict.fromkeys(layer for one in energies.values() for layer in one.layers))
    parameter = alt.param(
        name="chosen", value=chosen, bind=alt.binding_select(options=list(energies), name="precision: ")
    )
    y = alt.Y("bar:N", title=None, sort=layers)
    stack = alt.Chart(alt.Data(values=values)).mark_bar(stroke="white", strokeWidth=0.7)
    stack = stack.transform_filter("datum.precision === chosen").encode(
        x=alt.X("value:Q", title="µJ"),
        y=y,
        color=_component_colour(parts),
        order=alt.Order("order:Q"),
        tooltip=["bar:N", "component:N", alt.Tooltip("value:Q", title="µJ", format=".4~g")],
    )
    text = alt.Chart(alt.Data(values=ends)).mark_text(align="left", dx=5, color=INK, fontSize=12)
    text = text.transform_filter("datum.precision === chosen").encode(
        x="total:Q", y=y, text=alt.Text("share:Q", format=".1%")
    )
    listed = "; ".join(f"{layer} {sum(split.values()):.3g} µJ" for layer, split in energies[chosen].layers.items())
    return Chart(
        stem=stem,
        heading=f"Energy of an image by layer and part: {group.title}",
        caption=f"Figures at the bars' ends: each layer's share. Shown first: {chosen}, the precision of least energy.",
        description=f"Stacked bars, energy of an image by layer at {chosen}: {listed}.",
        spec=styled((stack + text).add_params(parameter), BAR_HEIGHT * max(len(layers), 2)),
    )


def _bar_chart(stem: str, heading: str, unit: str, bars: dict[str, dict[str, float]]) -> Chart:
    """Stacked horizontal bars in the order given, the total beside each."""
    found = [name for one in bars.values() for name in one]
    components = ordered(found)
    values = [
        {"precision": bar, "component": shown(name).words, "value": value, "order": components.index(name)}
        for bar, parts in bars.items()
        for name, value in parts.items()
    ]
    totals = {bar: sum(parts.values()) for bar, parts in bars.items()}
    decimals = decimals_for(list(totals.values()))
    y = alt.Y("precision:N", title=None, sort=list(bars))
    stack = alt.Chart(alt.Data(values=values)).mark_bar(stroke="white", strokeWidth=0.7)
    stack = stack.encode(
        x=alt.X("value:Q", title=unit, scale=alt.Scale(domain=(0, max(totals.values()) * 1.12), nice=False)),
        y=y,
        color=_component_colour(components),
        order=alt.Order("order:Q"),
        tooltip=["precision:N", "component:N", alt.Tooltip("value:Q", title=unit, format=".4~g")],
    )
    ends = alt.Chart(alt.Data(values=[{"precision": bar, "total": total} for bar, total in totals.items()])).mark_text(
        align="left", dx=5, color=INK, fontSize=12
    )
    ends = ends.encode(x="total:Q", y=y, text=alt.Text("total:Q", format=f",.{decimals}f"))
    listed = "; ".join(f"{bar} {total:.4g} {unit}" for bar, total in totals.items())
    return Chart(
        stem=stem,
        heading=heading,
        caption=f"Figures at the bars' ends: totals in {unit}.",
        description=f"Stacked bars, {heading.lower()}; totals: {listed}.",
        spec=styled(stack + ends, BAR_HEIGHT * max(len(bars), 2)),
    )


def _component_colour(components: Sequence[str]) -> alt.Color:
    scale = alt.Scale(
        domain=[shown(part).words for part in components], range=[shown(part).colour for part in components]
    )
    return alt.Color("component:N", title=None, scale=scale)
