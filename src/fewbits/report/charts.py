"""The charts of a study: accuracy against energy; area, power and energy by part; roofline; training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.report.accuracy_chart import accuracy_chart
from fewbits.report.bar_charts import chip_chart, component_chart, layer_chart
from fewbits.report.chart_files import file_tails
from fewbits.report.curve_charts import curve_charts
from fewbits.report.fronts import front_chart
from fewbits.report.networks import across_networks
from fewbits.report.roofline_chart import group_roofline_chart
from fewbits.study.figures import CHARTED, SPLIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.chart import Chart
    from fewbits.report.rows import Group


def study_charts(groups: Sequence[Group]) -> tuple[Chart, ...]:
    """Every chart of a study; file stems carry the network and the data where there are several."""
    charts: list[Chart] = []
    together = across_networks(groups)
    tails = file_tails([(group.model, f"{group.data} {group.apart}".strip()) for group in (*groups, *together)])
    for group, tail in zip(groups, tails if len(groups) > 1 else [""], strict=False):
        charts += _accuracy_charts(group, tail)
        front = front_chart(group, f"rounds{tail}")
        charts += [front] if front is not None else []
        charts += [component_chart(group, figure, f"{figure.word}{tail}") for figure in SPLIT if not figure.of_chip]
        by_layer = layer_chart(group, f"energy-layers{tail}")
        charts += [by_layer] if by_layer is not None else []
        roofline = group_roofline_chart(group, f"roofline{tail}")
        charts += [roofline] if roofline is not None else []
        charts += curve_charts(group, tail)
    for group, tail in zip(together, tails[len(groups) :], strict=True):
        charts += _accuracy_charts(group, tail)
    if any(group.rows for group in groups):
        charts[1:1] = [chip_chart(groups, figure, figure.word) for figure in SPLIT if figure.of_chip]
    return tuple(charts)


def _accuracy_charts(group: Group, tail: str) -> list[Chart]:
    """Accuracy against each figure that is charted and that a row has."""
    return [
        accuracy_chart(group, figure, f"accuracy-{figure.word}{tail}")
        for figure in CHARTED
        if any(row.figures[figure.name] is not None for row in group.points)
    ]
