"""One flipped bit in what a study left: the same figures, or a refusal in one line; never another figure."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from in_process import InProcessExecutor, in_process  # noqa: F401  # pyright: ignore
from safetensors.torch import load_file, save_file

from fewbits import FewbitsError
from fewbits.report import write_report
from fewbits.study import RunResult, StudySpec, read_failures, read_results, read_study, run_study
from fewbits.study.events import Notice, TaskProgress
from fewbits.study.networks import load_network
from fewbits.train import Progress

pytestmark = pytest.mark.usefixtures("in_process")

SHORT = {"precisions": ["float32", "fixed8"], "float_training": {"epochs": 2}, "fine_tune": {"epochs": 2}}

Figures = Callable[..., list[RunResult]]


@pytest.fixture(scope="module")
def spec(tiny: Callable[..., StudySpec]) -> StudySpec:
    return tiny(**SHORT)


@pytest.fixture(scope="module")
def whole(spec: StudySpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fewbits.study.engine.ProcessExecutor", InProcessExecutor)
        run_study(spec, folder)
    return folder


@pytest.fixture(scope="module")
def cut(spec: StudySpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was cut off after the first epoch of its second training."""
    folder = tmp_path_factory.mktemp("cut") / "out"

    class CutOff(InProcessExecutor):
        def look(self, value: Progress) -> None:
            if value.phase == "fine-tune" and value.epoch == 2:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fewbits.study.engine.ProcessExecutor", CutOff)
        with pytest.raises(KeyboardInterrupt):
            run_study(spec, folder)
    assert len(list((folder / "checkpoints").glob("*/*.safetensors"))) == 1
    return folder


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def bits_of(path: Path, count: int) -> list[int]:
    """Bits of a file, drawn alike each time: half of them in its first 2,000 bytes, where headers are."""
    draw = random.Random(f"{path.suffix} {count}")
    size = 8 * path.stat().st_size
    return [draw.randrange(min(size, 16_000) if index % 2 else size) for index in range(count)]


def outcome(use: Callable[[], list[RunResult]]) -> list[RunResult] | str:
    """What is read, or how many lines the refusal has."""
    try:
        return use()
    except FewbitsError as error:
        return str(error) if "\n" in str(error) else "one line"


def checked(spec: StudySpec, folder: Path, name: str, bit: int, figures: Figures, right: list[RunResult]) -> None:
    """Flip a bit; then the study gives the right figures, or says in one line why it does not."""
    path = folder / name
    flip(path, bit)
    for use in (lambda: figures(read_results(folder)), lambda: figures(run_study(spec, folder).results)):
        assert outcome(use) in (right, right[:1], "one line"), (name, bit)  # right[:1]: of the study that was cut off


def names_in(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    )


@pytest.mark.parametrize(
    ("study", "count"),
    [
        ("whole", 1),
        *(pytest.param(study, 12, marks=pytest.mark.slow) for study in ("whole", "cut")),
        *(pytest.param(study, 60, marks=pytest.mark.nightly) for study in ("whole", "cut")),
    ],
)
def test_no_flipped_bit_gives_another_figure(
    spec: StudySpec, whole: Path, cut: Path, tmp_path: Path, figures: Figures, study: str, count: int
):
    source = {"whole": whole, "cut": cut}[study]
    right = figures(read_results(whole))
    for name in names_in(source):
        for bit in bits_of(source / name, count) if (source / name).stat().st_size else []:
            folder = Path(shutil.copytree(source, tmp_path / "flipped"))
            checked(spec, folder, name, bit, figures, right)
            shutil.rmtree(folder)


def test_a_damaged_network_is_named_at_the_start_and_made_anew(spec: StudySpec, whole: Path, tmp_path: Path):
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    (path,) = (folder / "networks").glob("*fixed8*")
    good = path.read_bytes()
    flip(path, 8 * (len(good) - 3))
    events: list[object] = []
    run_study(spec, folder, observer=events.append)
    (_of_data, notice) = [event.text for event in events if isinstance(event, Notice)]
    assert notice == f"stored network {path.name!r} is damaged: it is made anew by the first run that needs it"
    assert load_file(path).keys() == load_file(whole / "networks" / path.name).keys()
    for name, tensor in load_file(path).items():
        assert torch.equal(tensor, load_file(whole / "networks" / path.name)[name])
    (_, fixed8) = read_results(folder)
    assert any("was damaged and is made anew" in one and "seed 0" in one for one in fixed8.notices)


def test_a_flip_in_a_networks_values_is_found_by_all_who_load_it(whole: Path, tmp_path: Path):
    for path in (whole / "networks").iterdir():
        key = path.stem.rpartition("-")[2]
        copied = Path(shutil.copy(path, tmp_path / path.name))
        record = load_network(copied, full_key(copied))
        assert record is not None
        assert record[1].key.startswith(key)
        flip(copied, 8 * (copied.stat().st_size - 1))
        assert load_network(copied, record[1].key) is None


def full_key(path: Path) -> str:
    import json

    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["fewbits"])["key"]


def renamed_key(path: Path, **more: str) -> None:
    """Rename one tensor, as in a file of a version that wrote no digests."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = {"fewbits": file.metadata()["fewbits"]}
    tensors = load_file(path)
    name = next(name for name in tensors if "weight" in name)
    tensors[f"{name}s"] = tensors.pop(name)
    save_file(tensors, path, metadata)


def test_a_renamed_key_in_a_network_without_digest_is_trained_anew(
    spec: StudySpec, whole: Path, tmp_path: Path, figures: Figures
):
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    for path in (folder / "networks").iterdir():
        renamed_key(path)
    (folder / "study.sqlite").unlink()
    assert figures(run_study(spec, folder).results) == figures(read_results(whole))


def test_a_renamed_key_in_a_checkpoint_without_digest_starts_anew_and_is_told(
    spec: StudySpec, cut: Path, whole: Path, tmp_path: Path, figures: Figures
):
    folder = Path(shutil.copytree(cut, tmp_path / "out"))
    (checkpoint,) = (folder / "checkpoints").glob("*/*.safetensors")
    renamed_key(checkpoint)
    results = run_study(spec, folder).results
    assert figures(results) == figures(read_results(whole))
    assert "is damaged (it does not fit" in " ".join(results[1].notices)


def test_a_checkpoint_of_another_training_gives_way_and_is_told(
    spec: StudySpec, tiny: Callable[..., StudySpec], cut: Path, tmp_path: Path
):
    folder = Path(shutil.copytree(cut, tmp_path / "out"))
    (checkpoint,) = (folder / "checkpoints").glob("*/*.safetensors")
    other = tiny(**SHORT | {"fine_tune": {"epochs": 3}})
    run_study(other, tmp_path / "other")
    (place,) = {path.stem for path in (tmp_path / "other" / "networks").glob("*fixed8*")}
    moved = tmp_path / "again" / "checkpoints" / place
    moved.mkdir(parents=True)
    shutil.copytree(folder / "networks", tmp_path / "again" / "networks")
    shutil.copy(folder / ".fewbits-manifest.json", tmp_path / "again")
    shutil.move(checkpoint, moved)
    results = run_study(other, tmp_path / "again").results
    assert "a checkpoint of another training lay in this one's place" in " ".join(results[1].notices)
    assert results[1].epochs == 3


def test_a_damaged_row_is_named_and_computed_anew(spec: StudySpec, whole: Path, tmp_path: Path, figures: Figures):
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute(
            "UPDATE runs SET result = replace(result, '\"epochs\": 2', '\"epochs\": 3') WHERE position = 1"
        )
    connection.close()
    with pytest.raises(FewbitsError, match="is damaged in 1 row, not what fewbits wrote: give the study's fewbits run"):
        write_report(folder)
    events: list[object] = []
    results = run_study(spec, folder, observer=events.append).results
    (_of_data, notice) = [event.text for event in events if isinstance(event, Notice)]
    assert notice == "1 row of the store damaged: made anew"
    assert figures(results) == figures(read_results(whole))
    assert not [event for event in events if isinstance(event, TaskProgress)]


ODD = ["0", "NaN", "true", '"97"', "{}", "9" * 5000]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:9])
def test_odd_values_in_a_store_without_digests_are_one_line_to_readers_and_computed_anew(
    spec: StudySpec, whole: Path, tmp_path: Path, figures: Figures, odd: str
):
    right = figures(read_results(whole))
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    with sqlite3.connect(folder / "study.sqlite") as connection:
        for field in ("energy_uj", "cycles"):
            (text,) = connection.execute("SELECT result FROM runs WHERE position = 0").fetchone()
            head, _, tail = text.partition(f'"{field}": ')
            text = f'{head}"{field}": {odd},{tail.partition(",")[2]}'
        connection.execute("UPDATE runs SET result = ?, digest = NULL WHERE position = 0", (text,))
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    for use in (read_results, write_report):
        with pytest.raises(FewbitsError, match="is damaged in 1 row"):
            use(folder)
    assert figures(run_study(spec, folder).results) == right


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:9])
@pytest.mark.parametrize("column", ["definition", "rests_on"])
def test_odd_values_in_a_studys_own_row_are_one_line(whole: Path, tmp_path: Path, column: str, odd: str):
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("PRAGMA user_version = 2")
        statement = {
            "definition": "UPDATE study SET definition = ?",
            "rests_on": "UPDATE study SET rests_on = ?",
        }[column]
        connection.execute(statement, (odd if column == "definition" else f'{{"data": {odd}}}',))
    connection.close()
    if (column, odd) == ("definition", "{}"):
        assert read_study(folder).definition == {}
        return
    with pytest.raises(FewbitsError, match="is damaged"):
        read_study(folder)


@pytest.mark.parametrize("odd", ["NaN", "[]", "[", "9" * 5000], ids=lambda odd: odd[:9])
@pytest.mark.parametrize("whole_text", [True, False], ids=["definition", "model"])
def test_odd_values_in_a_runs_definition_stop_no_study(
    spec: StudySpec, whole: Path, tmp_path: Path, figures: Figures, whole_text: bool, odd: str
):
    right = figures(read_results(whole))
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("PRAGMA user_version = 2")
        connection.execute("UPDATE runs SET definition = ?", (odd if whole_text else f'{{"model": {odd}}}',))
    connection.close()
    assert figures(run_study(spec, folder).results) == right


def test_a_failed_run_of_odd_values_is_one_line(whole: Path, tmp_path: Path):
    folder = Path(shutil.copytree(whole, tmp_path / "out"))
    with sqlite3.connect(folder / "study.sqlite") as connection:
        connection.execute("PRAGMA user_version = 2")
        connection.execute(
            "UPDATE runs SET state = 'failed', error = 'e', definition = json_replace(definition, '$.seed', 'one')"
        )
    connection.close()
    with pytest.raises(FewbitsError, match="is damaged in 1 row"):
        read_failures(folder)
