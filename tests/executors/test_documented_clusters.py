"""The `[cluster]` tables of docs/many_machines.md: one of each system, each valid and shown as it is submitted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from fewbits.executors.cluster import job_script
from fewbits.executors.description import SYSTEMS, ClusterSection
from fewbits.study.spec import load_cluster

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "many_machines.md").read_text(encoding="utf-8")
TABLES = {tomllib.loads(text)["cluster"]["system"]: text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)}


def test_each_system_has_an_example():
    assert TABLES.keys() == SYSTEMS.keys()


@pytest.mark.parametrize("system", TABLES)
def test_an_example_is_valid_and_starts_workers(system: str, tmp_path: Path):
    pytest.importorskip("asyncssh", reason="needs fewbits[cluster]")
    (tmp_path / "farm.toml").write_text(TABLES[system])
    cluster = load_cluster(tmp_path / "farm.toml")
    given = [value for value in (cluster.queue, cluster.account, cluster.project, *cluster.directives) if value]
    script = job_script(cluster)
    assert all(value in script for value in given)


def test_each_key_is_explained():
    explained = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert ClusterSection.model_fields.keys() <= explained
