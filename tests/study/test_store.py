"""The store keeps results whole, reads without torch, and refuses what is not its own without touching it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fewbits import StudyError
from fewbits.study import read_failures, read_results, read_study
from fewbits.study.figures import figure_named
from fewbits.study.store import FILE_NAME, Store

RESTS_ON = {"data": {"digits": {"sha256": "0"}}, "technology": {"name": "t"}, "versions": {"torch": "2"}}


def run_definition(precision: str = "fixed8") -> dict[str, object]:
    return {"model": "lenet", "data": "digits", "precision": precision, "recipe": "fine-tune", "seed": 0}


def plan(store: Store, *keys: str, name: str = "s") -> None:
    store.plan(name, {"name": name}, RESTS_ON, [(key, run_definition()) for key in keys])


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path) as opened:
        plan(opened, "k0", "k1")
        yield opened


def test_a_result_comes_back_equal(store, make_result, tmp_path):
    store.set_finished(make_result())
    assert read_results(tmp_path) == (make_result(),)


def test_a_result_of_an_older_version_lacks_what_came_later(store, make_result, tmp_path):
    store.set_finished(make_result())
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE runs SET result = json_remove(result, '$.leakage_uj_by_layer') WHERE key = 'k0'")
        connection.execute("PRAGMA user_version = 2")
    assert read_results(tmp_path) == (make_result(),)


def test_results_come_in_the_order_of_the_plan(store, make_result, tmp_path):
    store.set_finished(make_result(key="k1"))
    store.set_finished(make_result(key="k0"))
    assert [result.key for result in read_results(tmp_path)] == ["k0", "k1"]


def test_components_keep_their_order(store, make_result, tmp_path):
    store.set_finished(make_result(area_mm2_by_component={"z": 1.0, "a": 2.0}))
    assert list(read_results(tmp_path)[0].area_mm2_by_component) == ["z", "a"]


def test_power_splits_as_energy_does(make_result):
    assert figure_named("power_mw_by_component").value(make_result()) == pytest.approx(
        {"multipliers": 30.0, "sb": 10.0}
    )


def test_difference_to_float_is_signed(make_result):
    assert make_result().difference_to_float_points == pytest.approx(-0.5)


def test_a_finished_run_stays_finished_when_the_study_is_planned_again(store, make_result):
    store.set_finished(make_result())
    plan(store, "k0", "k2")
    assert store.finished_keys() == {"k0"}


def test_runs_no_longer_in_the_plan_are_not_read(store, make_result):
    store.set_finished(make_result())
    plan(store, "k1")
    assert store.results() == ()


def test_a_run_that_was_cut_off_is_planned_again(tmp_path):
    with Store(tmp_path) as store:
        plan(store, "k0")
        store.set_running("k0")
    with Store(tmp_path):
        pass
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("SELECT state FROM runs").fetchall() == [("planned",)]
    connection.close()


def test_a_failure_keeps_its_reason(store, tmp_path):
    store.set_failed("k1", "diverged")
    (failed,) = read_failures(tmp_path)
    assert (failed.key, failed.precision, failed.error) == ("k1", "fixed8", "diverged")


def test_a_retried_run_is_no_failure(store):
    store.set_failed("k1", "diverged")
    store.set_running("k1")
    assert store.failures() == ()


def test_the_study_tells_how_far_it_is(store, make_result, tmp_path):
    store.set_finished(make_result())
    record = read_study(tmp_path)
    assert (record.name, record.runs, record.finished, record.is_complete) == ("s", 2, 1, False)


def test_another_study_in_the_folder_is_refused(store):
    with pytest.raises(StudyError, match="holds the study 's', not 'other'"):
        plan(store, "k0", name="other")


def test_nothing_is_lost_when_another_study_is_refused(store, make_result, tmp_path):
    store.set_finished(make_result())
    with pytest.raises(StudyError):
        plan(store, "k0", name="other")
    assert read_results(tmp_path) == (make_result(),)


def test_a_folder_without_study_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no study"):
        read_results(tmp_path)


@pytest.mark.parametrize("use", [Store, read_results, read_study])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, use):
    path = tmp_path / FILE_NAME
    path.write_text("not a database, but long enough to look into" * 100)
    before = path.read_bytes()
    with pytest.raises(StudyError, match="damaged or no study's file"):
        use(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("use", [Store, read_results])
def test_another_programs_database_is_refused(tmp_path, use):
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("CREATE TABLE other (a)")
    connection.close()
    with pytest.raises(StudyError, match="another program's"):
        use(tmp_path)


def test_a_truncated_store_is_refused_and_left_alone(store, make_result, tmp_path):
    store.set_finished(make_result())
    store.close()
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match="damaged"):
        Store(tmp_path)
    assert path.stat().st_size == len(whole) // 2


def test_a_store_of_another_version_is_refused(store, tmp_path):
    store.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StudyError, match="schema version 99"):
        read_results(tmp_path)


def test_a_result_with_other_fields_is_damage(store, tmp_path):
    store._connection.execute("""UPDATE runs SET state = 'finished', result = '{"key": 1}' WHERE key = 'k0'""")
    with pytest.raises(StudyError, match="damaged"):
        read_results(tmp_path)


def test_a_result_that_is_no_json_is_damage(store, tmp_path):
    store._connection.execute("UPDATE runs SET state = 'finished', result = '[' WHERE key = 'k0'")
    with pytest.raises(StudyError, match="damaged"):
        read_results(tmp_path)


def test_a_full_disk_is_one_line_and_loses_nothing(store, make_result, tmp_path):
    store.set_finished(make_result())
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StudyError, match="no room to write"):
        store.set_finished(make_result(key="k1", notices=("x" * 100_000,)))
    assert read_results(tmp_path) == (make_result(),)


def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(StudyError, match="give a folder that can be written"):
        Store(Path("/proc/self"))


def test_a_store_in_a_read_only_folder_can_be_read(store, make_result, tmp_path, monkeypatch):
    store.set_finished(make_result())
    store.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert read_results(tmp_path) == (make_result(),)


def test_a_log_left_by_a_killed_process_is_read_too(store, make_result, tmp_path):
    store.set_finished(make_result())
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        shutil.copy(path, copy)
    assert read_results(copy) == (make_result(),)


def test_reading_loads_no_torch(store, tmp_path):
    program = f"import sys, fewbits.study as s; s.read_results({str(tmp_path)!r}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
