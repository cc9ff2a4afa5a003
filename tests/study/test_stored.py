"""A study's trained networks are had again, and exported as hardware that expects their sums."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import fewbits as fb
from fewbits import StudyError, data
from fewbits.cli import main
from fewbits.study import RunResult, run_study, stored_network


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory) -> tuple[Path, tuple[RunResult, ...]]:
    """A folder of fewbits run, and its results."""
    folder = tmp_path_factory.mktemp("trained")
    spec = tiny(precisions=["float32", "fixed8"], recipes=["fine-tune", "post-training"], seeds=[0, 1])
    return folder, run_study(spec, folder, 2).results


@pytest.mark.slow
def test_the_network_is_the_one_that_was_tested(trained):
    folder, results = trained
    for result in results:
        recipe = None if result.precision == "float32" else result.recipe
        stored = stored_network(folder, result.precision, recipe=recipe, seed=result.seed)
        dataset = data.load(result.data)
        right = int((stored.network.predict(dataset.inputs(dataset.test)) == dataset.test.labels).sum())
        assert 100 * right / len(dataset.test.labels) == result.accuracy_percent
        assert (stored.image == dataset.inputs(dataset.test.images[:1])).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {},
            "has 4 runs of precision fixed8: choose one by model, .*seed or accelerator: .*seed 0; .*seed 1",
        ),
        ({"recipe": "fine-tune"}, "has 2 runs of precision fixed8, recipe fine-tune: choose one"),
        ({"seed": 7}, "has no run of precision fixed8, seed 7: it has .*recipe float, seed 0"),
    ],
)
def test_several_runs_or_none_are_listed(trained, options, words):
    with pytest.raises(StudyError, match=words):
        stored_network(trained[0], "fixed8", **options)


@pytest.mark.slow
def test_a_network_that_is_gone_is_not_trained_anew(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    for path in (folder / "networks").glob("*fine_tune*seed1*"):
        path.unlink()
    with pytest.raises(StudyError, match=r"holds no network of .*fine-tune, seed 1 .*: finish it by fewbits run"):
        stored_network(folder, "fixed8", recipe="fine-tune", seed=1)


@pytest.mark.slow
def test_a_network_with_a_flipped_bit_is_named_as_damaged(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "copy")
    (path,) = (folder / "networks").glob("*fine_tune*seed1*")
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    with pytest.raises(StudyError, match=r"stored network .*seed1.* is damaged: fewbits run, with this folder"):
        stored_network(folder, "fixed8", recipe="fine-tune", seed=1)


@pytest.mark.slow
def test_a_study_of_relative_paths_is_read_where_its_file_lies(tiny, workplace, tmp_path, monkeypatch):
    monkeypatch.chdir(workplace)
    spec = tiny(models=["tiny.py:make"], precisions=["float32"])
    (result,) = run_study(spec, tmp_path / "out", 1).results
    assert stored_network(tmp_path / "out", "float32", model=result.model).network.input_shape == (1, 8, 8)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="begin in the current folder: give the command where the study's file lies"):
        stored_network(tmp_path / "out", "float32")


def test_a_folder_without_study_is_refused(tmp_path, capfd):
    assert main(["rtl", "fixed8", "--out", str(tmp_path / "rtl"), "--study", str(tmp_path)]) == 2
    assert "holds no study" in capfd.readouterr().err


def test_recipe_and_seed_without_study_are_refused(tmp_path, capfd):
    assert main(["rtl", "fixed8", "--out", str(tmp_path / "rtl"), "--seed", "1"]) == 2
    assert "--study" in capfd.readouterr().err


@pytest.mark.slow
def test_the_exported_bench_expects_the_trained_networks_sums(trained, tmp_path, capfd):
    options = ["--study", str(trained[0]), "--recipe", "fine-tune", "--seed", "1"]
    assert main(["rtl", "fixed8", "--out", str(tmp_path / "rtl"), *options]) == 0
    said = capfd.readouterr()
    assert "recipe fine-tune, seed 1 that the study 'tiny' trained" in said.err
    assert "untrained" not in said.err + (tmp_path / "rtl" / "README.md").read_text()
    stored = stored_network(trained[0], "fixed8", recipe="fine-tune", seed=1)
    made = fb.hardware.datapath.design("fixed8")
    row = int((tmp_path / "rtl" / "results.hex").read_text(), 16)
    mask = (1 << made.accumulator_bits) - 1
    sums = [int(one) & mask for one in stored.network.accumulators(stored.image)[0].tolist()]
    assert [row >> made.accumulator_bits * k & mask for k in range(len(sums))] == sums
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian package iverilog)")
    circuit = ["accelerator_bench.v", "accelerator.v", "buffers.v", "tile.v", "neuron.v"]
    subprocess.run(["iverilog", "-g2012", "-o", "bench", *circuit], cwd=tmp_path / "rtl", check=True)
    assert subprocess.run(
        ["vvp", "bench"], cwd=tmp_path / "rtl", check=True, capture_output=True, text=True
    ).stdout.startswith("PASS")
