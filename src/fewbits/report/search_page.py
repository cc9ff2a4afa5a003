"""The page of a search: its result in a sentence, sensitivities by layer and format, the front, and tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fewbits.report.page import chart_cells, rendered
from fewbits.report.search_charts import assignment_chart, front_chart, sensitivity_chart
from fewbits.search.journal import search_folder
from fewbits.search.result import RESULT_NAME, UNITS, Point, SearchResult, read_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fewbits.report.chart import Chart

_NAMED_LAYERS = 8
"""Most layers that a sentence names one by one."""

_PAGE, _POINTS, _SENSITIVITIES = "search.html", "search-points.csv", "search-sensitivities.csv"


def write_search_page(folder: str | Path) -> tuple[Path, ...]:
    """Write `search.html`, its charts (PNG and SVG) and two CSV tables into a search's folder; return their paths.

    Raises SearchError if the folder holds no search's result, or the page cannot be written.
    """
    path = Path(folder)
    result = read_result(path / RESULT_NAME)
    charts = [(chart, chart.png()) for chart in _charts(result)]
    page = rendered(
        "search_page.html.j2",
        result=result,
        sentence=sentence(result),
        best=[_cells(result, point) for point in _best(result)],
        rows=[_cells(result, point) for point in result.points],
        basis=[(what.replace("_", " "), _told(value)) for what, value in result.as_json()["basis"].items()],
        unit=UNITS[result.basis.objective][1],
        charts=[chart_cells(chart, png) for chart, png in charts],
    )
    files = {_PAGE: page.encode(), _POINTS: _points_csv(result), _SENSITIVITIES: _sensitivities_csv(result)}
    for chart, png in charts:
        files |= {f"{chart.stem}.png": png, f"{chart.stem}.svg": chart.svg()}
    own = search_folder(path)
    own.check(tuple(files))
    return own.write(files)


def sentence(result: SearchResult) -> str:
    """What was found, in a sentence: precisions by layer, accuracy, distance from float, saving."""
    basis = result.basis
    if result.chosen is None:
        return f"No assignment stays within {basis.max_loss_points:g} points of the float network."
    point = result.by_name[result.chosen]
    lost = result.points_lost(point)
    distance = "as float" if abs(lost) < 0.005 else f"{abs(lost):.2f} points {'below' if lost > 0 else 'above'} float"
    tuned = f", fine-tuned for {point.fine_tuned_epochs} epochs" if point.fine_tuned_epochs else ""
    words = f"{layers_in_words(result, point)}{tuned}: {point.accuracy_percent:.2f} %, {distance}"
    reference = next((one for one in result.uniform if one.precision == result.reference), None)
    before = reference.costs.of(basis.objective) if reference is not None else 0.0
    if reference is None or reference == point or not before:
        return f"{words}."
    saved = 100 * (1 - point.costs.of(basis.objective) / before)
    more = "less" if saved >= 0 else "more"
    return f"{words}, {abs(saved):.1f} % {more} {basis.objective} than uniform {result.reference}."


def layers_in_words(result: SearchResult, point: Point) -> str:
    """Such as "conv1 and fc at fixed8, the rest at fixed3"; of many layers, how many have which precision."""
    if point.is_uniform:
        return f"all layers at {point.precision}"
    by_precision: dict[str, list[str]] = {name: [] for name in result.basis.formats}
    for layer in result.basis.layers:
        by_precision[point.layers.get(layer, point.precision)].append(layer)
    if len(point.layers) > _NAMED_LAYERS:
        first, *others = [(len(layers), name) for name, layers in by_precision.items() if layers]
        counted = f"{first[0]} layer{'s' * (first[0] > 1)} at {first[1]}"
        return ", ".join([counted, *(f"{count} at {name}" for count, name in others)])
    del by_precision[point.precision]
    parts = [f"{_listed(layers)} at {name}" for name, layers in by_precision.items() if layers]
    return ", ".join([*parts, f"the rest at {point.precision}"])


def _best(result: SearchResult) -> list[Point]:
    """The front and the uniform precisions, from the cheapest."""
    points = {point.name: point for point in (*result.uniform, *(result.by_name[name] for name in result.front))}
    return sorted(points.values(), key=lambda point: point.costs.of(result.basis.objective))


def _charts(result: SearchResult) -> list[Chart]:
    """Without that of the front's assignments where there is no front."""
    charts = [sensitivity_chart(result), front_chart(result)]
    return [*charts, assignment_chart(result)] if result.front else charts


def _told(value: object) -> str:
    """A value of the basis in words."""
    match value:
        case dict():
            return ", ".join(f"{name} {one}" for name, one in cast("dict[str, object]", value).items())
        case list() | tuple():
            parts = cast("Sequence[object]", value)
            return "; ".join(_told(part) if isinstance(part, (list, tuple)) else str(part) for part in parts)
        case _:
            return str(value)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _cells(result: SearchResult, point: Point) -> dict[str, Any]:
    return {
        "point": point,
        "words": layers_in_words(result, point),
        "lost": f"{result.points_lost(point):.2f}",
        "cost": f"{point.costs.of(result.basis.objective):.4g}",
        "front": point.name in result.front,
        "chosen": point.name == result.chosen,
    }


def _points_csv(result: SearchResult) -> bytes:
    head = "name,precision,layers,method,right,accuracy_percent,points_lost,loss,energy_uj,area_mm2,memory_kib,time_us"
    return _csv(
        (*head.split(","), "conversion_uj", "evaluated", "fine_tuned_epochs", "on_front", "chosen"),
        (
            (
                *(point.name, point.precision, " ".join(f"{name}={one}" for name, one in point.layers.items())),
                *(point.method, point.right, point.accuracy_percent, result.points_lost(point), point.loss),
                *(point.costs.energy_uj, point.costs.area_mm2, point.costs.memory_kib, point.costs.time_us),
                *(point.costs.conversion_uj, point.evaluated, point.fine_tuned_epochs),
                *(point.name in result.front, point.name == result.chosen),
            )
            for point in result.points
        ),
    )


def _sensitivities_csv(result: SearchResult) -> bytes:
    return _csv(
        ("layers", "precision", "score", "accuracy_percent", "points_lost", "loss_rise"),
        (
            (" ".join(one.layers), one.precision, one.score, one.accuracy_percent, one.points_lost, one.loss_rise)
            for one in result.sensitivities
        ),
    )


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()
