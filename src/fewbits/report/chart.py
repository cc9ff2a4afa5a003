"""One chart: what it shows, as a Vega-Lite specification, and how it is drawn as an image and for the page."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import vl_convert

from fewbits.report.chart_files import with_digest
from fewbits.report.networks import network_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.rows import Row

Spec = dict[str, Any]
"""A Vega-Lite specification, as JSON values."""

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""Version of the Vega-Lite that the specifications are for, as vl_convert names it."""

WIDTH, HEIGHT, BAR_HEIGHT = 640, 380, 34
"""Pixels of a chart as PNG; in the page its width is that of the page."""

INK, FAINT = "#333333", "#8a8a8a"


@dataclass(frozen=True)
class Chart:
    """One chart: its file's stem, heading, caption, description for those who cannot see it, and specification."""

    stem: str
    heading: str
    caption: str
    description: str
    spec: Spec

    def png(self) -> bytes:
        """The chart under its heading as an image at twice its nominal size; works offline.

        The image carries a digest of what it shows (`sha256`), by which a stored one is compared with the figures of
        the day.
        """
        image = vl_convert.vegalite_to_png(json.dumps(self._titled()), vl_version=VEGA_LITE, scale=2)
        return with_digest(image, self.sha256)

    def svg(self) -> bytes:
        """The chart under its heading as SVG: texts stay texts, in the reader's sans-serif font."""
        return vl_convert.vegalite_to_svg(json.dumps(self._titled()), vl_version=VEGA_LITE).encode()

    @property
    def sha256(self) -> str:
        """Of the specification and heading: equal for charts that show the same."""
        return hashlib.sha256(json.dumps(self._titled(), sort_keys=True).encode()).hexdigest()

    def _titled(self) -> Spec:
        """The specification with the heading above it."""
        return self.spec | {"title": {"text": self.heading, "anchor": "start", "fontSize": 15, "offset": 12}}

    def page_spec(self) -> Spec:
        """The specification for the page: as wide as its place there, on the page's own background, untitled."""
        config = self.spec["config"] | {"background": None}
        fit = {"type": "fit-x", "contains": "padding"}
        return self.spec | {"width": "container", "autosize": fit, "config": config, "padding": 2}


def styled(chart: Any, height: int) -> Spec:
    """A chart of altair's as a specification, in the style of all charts; height: pixels."""
    made = (
        chart.properties(width=WIDTH, height=height)
        .configure(background="white", font="sans-serif", padding=12)
        .configure_axis(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6e6e6", labelLimit=200
        )
        .configure_legend(orient="bottom", labelFontSize=12, titleFontSize=12, titleFontWeight="normal", columns=4)
        .configure_view(stroke=None)
    )
    return cast("Spec", made.to_dict())


def point_label(row: Row, rows: Sequence[Row]) -> str:
    """The label, with the network in front where the rows are of several."""
    same = of_its_network(row, rows)
    label = row.label(same)
    return label if len(same) == len(rows) else f"{network_of(row)} {label}"


def of_its_network(row: Row, rows: Sequence[Row]) -> list[Row]:
    """Those of the row's own network."""
    return [other for other in rows if network_of(other) == network_of(row)]
