"""The documents for those who carry on: links lead somewhere, words are used, versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import fewbits

TOP = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "README.md", *(f"docs/{path.name}" for path in (TOP / "docs").glob("*.md")))
_LINK = re.compile(r"\[[^\]\n]+\]\((?!https?:)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    text = (TOP / page).read_text()
    assert not [link for link in _LINK.findall(text) if not ((TOP / page).parent / link).exists()]


def test_places_that_contributing_names_are_there() -> None:
    text = (TOP / "CONTRIBUTING.md").read_text()
    places = re.findall(r"`((?:src|scripts|docs|tests)/[\w/.]+)`", text)
    assert len(places) > 5
    assert not [place for place in places if not (TOP / place).exists()]


def test_modules_that_the_architecture_names_are_there() -> None:
    names = set(re.findall(r"`([a-z0-9_/]+\.py)`", (TOP / "docs/architecture.md").read_text()))
    there = [path.relative_to(TOP).as_posix() for path in TOP.glob("[!.]*/**/*.py")]
    assert len(names) > 50
    assert not [name for name in names if not any(f"/{path}".endswith(f"/{name}") for path in there)]


def test_the_glossary_says_each_word_once_in_a_sentence() -> None:
    entries = re.findall(r"^- (.*(?:\n  .*)*)", (TOP / "docs/glossary.md").read_text(), re.MULTILINE)
    words = [re.findall(r"\*\*([^*]+)\*\*", entry) for entry in entries]
    assert not [entry for entry, bold in zip(entries, words, strict=True) if not bold or not entry.endswith(".")]
    flat = [word for bold in words for word in bold]
    assert len(set(flat)) == len(flat) > 40


def test_the_citation_is_of_this_version_and_license() -> None:
    text = (TOP / "CITATION.cff").read_text()
    license_name = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["license"]
    assert f"\nversion: {fewbits.__version__}\n" in text
    assert f"\nlicense: {license_name}\n" in text
