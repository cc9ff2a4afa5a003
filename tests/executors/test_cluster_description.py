"""The `[cluster]` table: what each system takes, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewbits.errors import StudyError
from fewbits.executors.description import SYSTEMS, ClusterSection, parse_bytes, parse_walltime
from fewbits.study.spec import load_cluster, parse_study

GRID = {"name": "x", "models": ["lenet"], "data": ["digits"], "precisions": ["fixed8"]}
SLURM = {"system": "slurm", "workers": 2, "memory": "4 GiB", "walltime": "04:00:00"}
VALUES: dict[str, Any] = {
    "workers": 2,
    "memory": "4 GiB",
    "walltime": "04:00:00",
    "queue": "short",
    "account": "chips",
    "project": "chips",
    "resources": "mem_free=4G",
    "disk": "2 GiB",
    "directives": ["getenv = true"],
    "python": "/opt/python/bin/python",
    "prologue": ["module load python"],
    "interface": "ib0",
    "port": 8786,
    "dashboard": ":8787",
    "logs": "jobs",
    "hosts": ["node1", "node2"],
    "ssh_config": "~/.ssh/farm",
}
"""A value that each key takes."""


def refusal(**table: Any) -> str:
    """Why a study with this `[cluster]` table is refused."""
    with pytest.raises(StudyError) as caught:
        parse_study(GRID | {"cluster": table}, "study.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_takes_all_keys_that_it_knows(system: Any):
    table = {key: VALUES[key] for key in SYSTEMS[system].knows}
    spec = parse_study(GRID | {"cluster": {"system": system, **table}}, "study.toml")
    assert spec.cluster is not None
    assert spec.cluster.model_fields_set == {"system", *SYSTEMS[system].knows}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_key_of_another_system_is_refused_naming_those_that_know_it(system: Any):
    for key in VALUES.keys() - SYSTEMS[system].knows:
        table = {name: VALUES[name] for name in SYSTEMS[system].needs} | {key: VALUES[key]}
        line = refusal(system=system, **table)
        assert f"'cluster.{key}'" in line
        assert f"{system} does not know it" in line
        assert all(other in line for other, one in SYSTEMS.items() if key in one.knows)


@pytest.mark.parametrize("system", [name for name, one in SYSTEMS.items() if one.needs])
def test_what_a_system_needs_is_asked_for_with_an_example(system: Any):
    line = refusal(system=system)
    assert all(f"{key} = " in line for key in SYSTEMS[system].needs)


def test_every_key_is_known_to_a_system():
    known = {key for system in SYSTEMS.values() for key in system.knows}
    assert known == ClusterSection.model_fields.keys() - {"system"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"system": "slum"}, "allowed are 'slurm', 'lsf', 'sge', 'pbs', 'htcondor', 'ssh' or 'local'"),
        ({"system": 3}, "3 was given"),
        ({"workrs": 2}, "did you mean 'workers'?"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"workers": "2"}, "'2' was given"),
        ({"workers": True}, "True was given"),
        ({"memory": "4"}, "such as '4 GiB'"),
        ({"memory": "4 gigabytes"}, "such as '4 GiB'"),
        ({"memory": "-4 GiB"}, "such as '4 GiB'"),
        ({"memory": "1 MiB"}, "at least 512 MiB"),
        ({"memory": 4}, "4 was given"),
        ({"walltime": "4h"}, "such as '04:30:00'"),
        ({"walltime": "00:00:00"}, "at least one minute"),
        ({"walltime": "04:60:00"}, "such as '04:30:00'"),
        ({"queue": "short\n#SBATCH --exclusive"}, "without spaces"),
        ({"queue": "--help"}, "without spaces"),
        ({"queue": ""}, "without spaces"),
        ({"prologue": ["module load a\nrm b"]}, "one line of text"),
        ({"prologue": "module load a"}, "it takes a list"),
        ({"directives": ["#SBATCH --exclusive"]}, "leave out what the lines begin with (#SBATCH)"),
        ({"python": "\x1b[2J"}, "one line of text"),
        ({"port": 70000}, "less than or equal to 65535"),
    ],
    ids=str,
)
def test_a_bad_value_is_refused_in_one_line(change: dict[str, Any], said: str):
    assert said in refusal(**SLURM | change)


def test_a_table_without_its_system_is_refused():
    assert "key 'cluster.system' is missing" in refusal(workers=2)


def test_directives_of_htcondor_are_pairs():
    table = {"system": "htcondor", "workers": 1, "memory": "1 GiB", "disk": "1 GiB", "directives": ["exclusive"]}
    assert "'getenv = true'" in refusal(**table)


@pytest.mark.parametrize(
    ("text", "size"), [("4 GiB", 4 * 2**30), ("4GB", 4 * 10**9), ("1.5 kB", 1500), ("12 B", 12), ("2 TiB", 2**41)]
)
def test_sizes_are_bytes(text: str, size: int):
    assert parse_bytes(text) == size


def test_walltimes_are_seconds():
    assert parse_walltime("120:01:05") == 120 * 3600 + 65


def test_a_cluster_is_no_part_of_a_studys_definition():
    alone, with_cluster = parse_study(GRID, "a"), parse_study(GRID | {"cluster": SLURM}, "b")
    assert with_cluster.definition() == alone.definition()


@pytest.mark.parametrize(
    ("table", "count"),
    [
        ({"system": "local"}, 5),
        ({"system": "local", "workers": 3}, 3),
        ({"system": "ssh", "hosts": ["a", "b"]}, 2),
        ({"system": "ssh", "hosts": ["a", "b"], "workers": 6}, 6),
    ],
)
def test_workers_default_to_cores_or_hosts(table: dict[str, Any], count: int):
    spec = parse_study(GRID | {"cluster": table}, "study.toml")
    assert spec.cluster is not None
    assert spec.cluster.count(cores=5) == count


def test_a_cluster_has_a_file_of_its_own(tmp_path: Path):
    path = tmp_path / "farm.toml"
    path.write_text('[cluster]\nsystem = "ssh"\nhosts = ["a"]\n')
    assert load_cluster(path) == ClusterSection(system="ssh", hosts=("a",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is missing"),
        ('system = "local"', "key 'system' is none of it"),
        ('[cluster]\nsystem = "local"\n[data]\nname = "a"', "key 'data' is none of it"),
        ("[cluster", "malformed TOML"),
        ('[cluster]\nsystem = "local"\nhost = "a"', "unknown key 'cluster.host'"),
        ("cluster = 3", "it is a table"),
    ],
    ids=range(6),
)
def test_a_bad_file_of_a_cluster_is_refused_in_one_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "farm.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        load_cluster(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_file_of_a_cluster_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(StudyError, match="No such file"):
        load_cluster(tmp_path / "none.toml")
