"""The report's files: one page that needs nothing else, and tells what its figures rest on."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from round_runs import WriteStudy, make_run, make_runs

from fewbits import StudyError
from fewbits.report.basis import basis_of
from fewbits.report.charts import study_charts
from fewbits.report.grouping import group_runs
from fewbits.report.page import headline, html_page
from fewbits.report.write import write_report
from fewbits.study import read_failures, read_results, read_study

HOSTILE = "</script><script>alert(1)</script>&\"'"


class Elements(HTMLParser):
    """Collects elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._raw = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data


def page_of(folder: Path) -> str:
    """The page alone, without the time that drawing the PNG files takes."""
    record, groups = read_study(folder), group_runs(read_results(folder), read_failures(folder))
    charts = [(chart, b"PNG") for chart in study_charts(groups)]
    return html_page(record, groups, charts, basis_of(record, groups))


def test_the_report_is_a_page_charts_csv_and_markdown(write_study: WriteStudy):
    folder = write_study(make_runs(0))
    paths = write_report(folder)
    charts = ["accuracy-energy.png", "area.png", "power.png", "energy.png"]
    names = ["report.html", *charts, "results.csv", "energy.csv", "results.md"]
    assert [path.name for path in paths] == names
    assert (folder / "report.html").read_text(encoding="utf-8").count("data:image/png;base64,iVBOR") == 4
    assert all(path.stat().st_size > 0 for path in paths)
    assert not list(folder.glob(".*partial"))


def test_the_page_says_how_values_become_inputs(write_study: WriteStudy):
    folder = write_study(make_runs(0))
    record, groups = read_study(folder), group_runs(read_results(folder), read_failures(folder))
    said = "inputs are (value / 255 - mean) / std, by channel: mean 0.1307, std 0.3081, stated"
    stated = replace(record, data={"digits": record.data["digits"] | {"normalization": said}})
    lines = dict(basis_of(stated, groups).entries)["Data"]
    assert lines == (f"digits: 1000 test images; sha256 da7a. {said}; re-split",)
    assert dict(basis_of(record, groups).entries)["Data"] == ("digits: 1000 test images; sha256 da7a. re-split",)


def test_the_page_loads_nothing(write_study: WriteStudy):
    page = page_of(write_study(make_runs(0)))
    for tag, attributes in Elements(page).elements:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_two_reports_of_one_study_are_equal(write_study: WriteStudy):
    folder = write_study(make_runs(0, 1))
    assert page_of(folder) == page_of(folder)


def test_names_from_outside_are_text_and_not_html(write_study: WriteStudy):
    runs = tuple(replace(run, model=HOSTILE, data=HOSTILE, skipped=(HOSTILE,)) for run in make_runs(0))
    page = page_of(write_study(runs, name=HOSTILE))
    assert "<script>alert" not in page
    assert HOSTILE in Elements(page).text


def test_every_chart_has_a_description_and_stands_without_scripts_too(write_study: WriteStudy):
    elements = Elements(page_of(write_study(make_runs(0)))).elements
    charts = [attributes for tag, attributes in elements if tag == "div" and attributes.get("class") == "chart"]
    images = [attributes for tag, attributes in elements if tag == "img"]
    assert len(charts) == len(images) == 4
    assert all(attributes["aria-label"] for attributes in charts)
    assert all(attributes["alt"] for attributes in images)


def test_the_page_is_for_phones_and_dark_screens_too(write_study: WriteStudy):
    page = page_of(write_study(make_runs(0)))
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_tells_what_its_figures_rest_on(write_study: WriteStudy):
    text = Elements(page_of(write_study((*make_runs(0, 3), make_run(skipped=("bn (BatchNorm2d): kept float",)))))).text
    for words in ("activity: 0.2 toggles", "sha256: 7ab1e", "c1rc", "re-split", "0, 3", "fewbits 0.1.0", "250 MHz"):
        assert words in text
    assert "lenet: bn (BatchNorm2d): kept float" in text
    assert "fewbits run small --out DIR" in text


def test_published_figures_carry_their_mark(write_study: WriteStudy):
    text = Elements(page_of(write_study(make_runs(0)))).text
    assert "published, transcription unverified" in text
    assert "Transcribed from recall" in text


def test_clocks_that_differ_are_listed(write_study: WriteStudy):
    runs = (make_run("float32", clock_mhz=125.0), make_run("fixed8"))
    assert "float32 125 MHz, fixed8 250 MHz" in Elements(page_of(write_study(runs))).text


def test_failed_and_missing_runs_are_told(write_study: WriteStudy):
    text = Elements(page_of(write_study(make_runs(0), {"f": "diverged at epoch 3"}))).text
    assert "fixed4, fine-tune, seed 0 failed: diverged at epoch 3" in text
    assert "5 of 6 runs are done" in text


def test_a_study_without_a_finished_run_has_no_report(write_study: WriteStudy):
    folder = write_study((), {"f": "diverged"})
    with pytest.raises(StudyError, match="has finished: give its command"):
        write_report(folder)


def test_a_file_that_cannot_be_written_is_named_and_the_rest_left(write_study: WriteStudy):
    folder = write_study(make_runs(0))
    (folder / "report.html").mkdir()
    with pytest.raises(StudyError, match=re.escape(str(folder / "report.html"))):
        write_report(folder)
    assert not list(folder.glob(".*partial"))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["float32", "fixed16", "fixed8"], "fixed8 takes 80.0 % less energy than float32 and loses 0.50 points"),
        (["float32", "fixed16"], "fixed16 takes 60.0 % less energy than float32 and loses none"),
        (["float32", "binary/fixed16"], "no precision stays within 1 point of float32; the closest, binary/fixed16"),
        (["fixed16", "fixed8"], "fixed16 is the most accurate, 97.00 %"),
        (["float32"], "float32 is the most accurate"),
    ],
)
def test_the_headline_is_the_studys_result(names: list[str], sentence: str):
    assert sentence in headline(group_runs([make_run(name) for name in names])[0])


def test_a_group_without_a_finished_run_says_so():
    failed = make_run()
    assert "no run has finished" in headline(group_runs([], [failed])[0])  # pyright: ignore[reportArgumentType]
