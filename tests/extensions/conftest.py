"""The examples as an installed package: their sources and their metadata, written as an installer would."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest

from fewbits import extensions

PACKAGE = Path(__file__).parent / "package"


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to put on PYTHONPATH, in which the examples are installed; this process finds them meanwhile."""
    (tmp_path / "site").mkdir()
    site = install(PACKAGE, tmp_path / "site")
    monkeypatch.syspath_prepend(str(site))
    invalidate_caches()
    extensions.found.cache_clear()
    yield site
    extensions.found.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "fewbits_examples"]:
        del sys.modules[name]


def install(package: Path, site: Path) -> Path:
    """What installing a package leaves in a folder of packages: links to its sources, and metadata."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    for source in (package / "src").iterdir():
        (site / source.name).symlink_to(source)
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project.get("entry-points", {})
    lines = [f"[{group}]\n" + "".join(f"{a} = {b}\n" for a, b in names.items()) for group, names in groups.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return site
