"""What MLflow's client reads of what its sink wrote: an experiment a study, a run a run, nothing twice."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from round_runs import make_curve, make_run, make_runs, with_curves

from fewbits import StudyError
from fewbits.study import FailedRun, RunResult, TaskLabel
from fewbits.study.events import FLOAT_TRAINING, Event, Notice
from fewbits.study.figures import FIGURES
from fewbits.study.tracking import tracked
from fewbits.study.tracking.mlflow import MlflowWriter, tracking_uri

LABEL = TaskLabel("lenet", "digits", "fixed8", "fine-tune", 0, "fixed8-0")
FINISHED: RunResult = with_curves((make_run("fixed8", multiplier="Booth"),), 6)[0]
FAILED = FailedRun(
    key="fixed8-0", model="lenet", data="digits", precision="fixed8", recipe="fine-tune", seed=0, error="diverged"
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return tracking_uri(str(tmp_path / "mlruns"), tmp_path)


@pytest.fixture
def client(uri: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return MlflowClient(tracking_uri=uri)


def runs(client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def steps(client: MlflowClient, run: Run, name: str) -> list[int]:
    return sorted(metric.step for metric in client.get_metric_history(run.info.run_id, name))


def test_a_finished_run_is_a_run_with_parameters_metrics_and_tags(uri: str, client: MlflowClient):
    MlflowWriter(uri, "study").finished(FINISHED)
    (run,) = runs(client)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "lenet digits fixed8 fine-tune seed 0"
    assert run.data.params == {
        "model": "lenet",
        "data": "digits",
        "precision": "fixed8",
        "recipe": "fine-tune",
        "seed": "0",
    }
    assert run.data.tags["fewbits.key"] == "fixed8-0"
    assert run.data.tags["fewbits.multiplier"] == "Booth"
    assert (run.data.metrics["energy_uj"], run.data.metrics["accuracy_percent"]) == (80.0, 96.5)


def test_metrics_are_the_declared_figures(uri: str, client: MlflowClient):
    MlflowWriter(uri, "study").finished(FINISHED)
    (run,) = runs(client)
    numbers = {
        figure.name
        for figure in FIGURES
        if figure.is_kept and not figure.by and isinstance(getattr(FINISHED, figure.name), int | float)
    }
    assert numbers <= set(run.data.metrics)


def test_the_curves_are_there_by_epoch(uri: str, client: MlflowClient):
    MlflowWriter(uri, "study").finished(FINISHED)
    (run,) = runs(client)
    assert steps(client, run, "loss") == [1, 2, 3, 4, 5, 6]
    assert steps(client, run, "float_validation_accuracy_percent") == list(range(1, 8))


def test_a_training_that_goes_on_is_a_run_that_goes_on(uri: str, client: MlflowClient):
    writer = MlflowWriter(uri, "study")
    writer.epochs(LABEL, make_curve(2))
    (run,) = runs(client)
    assert (run.info.status, steps(client, run, "loss")) == ("RUNNING", [1, 2])
    writer.epochs(LABEL, make_curve(3))
    writer.finished(FINISHED)
    (run,) = runs(client)
    assert (run.info.status, steps(client, run, "loss")) == ("FINISHED", [1, 2, 3, 4, 5, 6])


def test_a_study_that_was_cut_off_goes_on_in_the_same_runs(uri: str, client: MlflowClient):
    first = MlflowWriter(uri, "study")
    first.epochs(LABEL, make_curve(3))
    first.close()
    assert runs(client)[0].info.status == "KILLED"
    again = MlflowWriter(uri, "study")
    again.epochs(LABEL, make_curve(4)[1:])
    again.finished(FINISHED)
    again.close()
    (run,) = runs(client)
    assert (run.info.status, steps(client, run, "loss")) == ("FINISHED", [1, 2, 3, 4, 5, 6])


def test_a_study_that_is_sent_again_changes_nothing(uri: str, client: MlflowClient):
    for _ in range(2):
        writer = MlflowWriter(uri, "study")
        for run in with_curves(make_runs(0)):
            writer.finished(run)
        writer.close()
    found = runs(client)
    assert len({run.data.tags["fewbits.key"] for run in found}) == len(found) == 5
    assert all(len(steps(client, run, "energy_uj")) == 1 for run in found)


def test_a_failed_run_says_why_and_may_finish_later(uri: str, client: MlflowClient):
    MlflowWriter(uri, "study").failed(FAILED)
    (run,) = runs(client)
    assert (run.info.status, run.data.tags["fewbits.error"]) == ("FAILED", "diverged")
    MlflowWriter(uri, "study").finished(FINISHED)
    assert [run.info.status for run in runs(client)] == ["FINISHED"]


def test_a_float_network_in_training_is_no_run(uri: str, client: MlflowClient):
    label = TaskLabel("lenet", "digits", "float32", FLOAT_TRAINING, 0, "t")
    MlflowWriter(uri, "study").epochs(label, make_curve(2))
    assert client.get_experiment_by_name("study") is None


def test_more_metrics_than_a_request_takes_are_all_there(uri: str, client: MlflowClient):
    long = with_curves((make_run("fixed8"),), 300)[0]
    MlflowWriter(uri, "study").finished(long)
    (run,) = runs(client)
    assert len(steps(client, run, "loss")) == 300
    assert len(steps(client, run, "float_loss")) == 301


def test_other_runs_of_an_experiment_are_left_alone(uri: str, client: MlflowClient):
    other = client.create_run(client.create_experiment("study"), run_name="mine")
    MlflowWriter(uri, "study").finished(FINISHED)
    assert len(runs(client)) == 2
    assert client.get_run(other.info.run_id).data.metrics == {}


def test_the_environment_is_as_before(uri: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    MlflowWriter(uri, "study").finished(FINISHED)
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/x", "takes a folder, or an address that begins with file, http"),
        ("sqlite:///runs.db", "cannot use 'sqlite' addresses, since sqlalchemy is not installed: pip install mlflow"),
        ("postgresql+psycopg2://u:p@h/d", "cannot use 'postgresql' addresses"),
    ],
)
def test_an_address_that_nothing_here_can_use_is_refused(address: str, words: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "sqlalchemy" else 1 / 0)
    with pytest.raises(StudyError, match=words):
        MlflowWriter(address, "study")


@pytest.mark.parametrize("name", ["with space", "50%", "µ#?"])
def test_a_folder_may_be_called_anything(name: str, tmp_path: Path):
    MlflowWriter(tracking_uri(str(tmp_path / name), tmp_path), "study").finished(FINISHED)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_usual_variable_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert tracking_uri(None, tmp_path) == "http://host:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri(None, tmp_path) == tmp_path.as_uri()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens at."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_a_server_that_is_away_is_a_notice(closed_port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    seen: list[Event] = []
    writer = MlflowWriter(f"http://me:secret@127.0.0.1:{closed_port}", "study")
    with tracked(seen.append, {"mlflow": writer}, [FINISHED], "out"):
        pass
    (notice,) = seen
    assert isinstance(notice, Notice)
    assert "sink 'mlflow' has stopped" in notice.text
    assert "secret" not in notice.text
