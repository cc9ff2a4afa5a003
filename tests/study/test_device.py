"""The device of a study: where it is not the CPU it defines the runs; what is not there is refused before training.

Tests on a GPU run where torch finds one. Elsewhere the way of the device through a study is tried with "cpu:0", which
torch takes for a name of the CPU.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fewbits import StudyError
from fewbits.study import point
from fewbits.study.checks import refuse_absent_device
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.study.store import Store
from fewbits.study.stored import stored_network
from fewbits.train import TrainSettings, loop

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch finds")


@pytest.mark.parametrize("device", ["gpu", "CUDA", "cuda:", "cuda:x", "mps", "cuda:-1", "", "cpu:0", "cuda:1234"])
def test_a_device_of_another_name_is_refused_with_what_there_is(tiny, device):
    with pytest.raises(StudyError, match=r"key 'device': .*it takes 'cpu', 'cuda' or one GPU of several"):
        tiny(device=device)


@pytest.mark.parametrize("device", [0, None, ["cuda"], True])
def test_a_device_of_another_type_is_refused(tiny, device):
    with pytest.raises(StudyError, match="key 'device'"):
        tiny(device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_gpu_that_is_not_there_is_refused_in_the_plan(tiny, device):
    with pytest.raises(StudyError, match=f"key 'device': '{device}': torch finds no such device here, it has cpu"):
        make_plan(tiny(device=device))


def test_a_gpu_beyond_those_that_are_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    refuse_absent_device("cuda")
    refuse_absent_device("cuda:1")
    with pytest.raises(StudyError, match="it has cpu, cuda:0, cuda:1: give one of these"):
        refuse_absent_device("cuda:2")


def keys(spec) -> list[str]:
    return [run.key for run in make_plan(spec, trains_here=False).runs]


def test_the_kind_of_device_defines_a_run_and_its_number_does_not(tiny):
    assert keys(tiny(device="cuda")) == keys(tiny(device="cuda:1"))
    assert not set(keys(tiny(device="cuda"))) & set(keys(tiny()))
    assert [run.definition["device"] for run in make_plan(tiny(device="cuda:1"), trains_here=False).runs] == [
        "cuda"
    ] * 3


def test_a_study_trains_and_tests_on_its_device_alone(tiny, tmp_path, monkeypatch, figures):
    seen: set[str] = set()

    def noting(module, name):
        function = getattr(module, name)

        def call(*args, device="cpu", **options):
            seen.add(f"{name} {device}")
            return function(*args, device=device, **options)

        monkeypatch.setattr(module, name, call)

    planned = make_plan(tiny(float_training={"epochs": 1}, fine_tune={"epochs": 1}, precisions=["fixed8"])).runs
    plain = [Workshop(tmp_path / "cpu").run(run) for run in planned]
    for name in ("train_float", "run_recipe", "evaluate"):
        noting(point, name)
    noting(loop, "evaluate")

    def moved(training):
        return replace(training, device="cpu:0")

    runs = [replace(run, training=moved(run.training), float_training=moved(run.float_training)) for run in planned]
    results = [Workshop(tmp_path / "numbered").run(run) for run in runs]
    assert seen == {"train_float cpu:0", "run_recipe cpu:0", "evaluate cpu:0"}
    assert figures(results) == figures(plain)


def test_a_network_that_a_gpu_trained_is_taken_from_its_study_where_there_is_none(tiny, tmp_path):
    spec = tiny(device="cuda", precisions=["float32"], float_training={"epochs": 1})
    plan = make_plan(spec, trains_here=False)
    run = plan.runs[0]
    trained = replace(run.training, device="cpu")  # in the GPU's place
    Workshop(tmp_path).run(replace(run, training=trained, float_training=trained))
    with Store(tmp_path) as store:
        store.plan(spec.name, spec.definition(), plan.rests_on, [(run.key, run.definition)])
    assert stored_network(tmp_path, "float32").network.precision.name == "float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_worker_without_the_gpu_that_the_plan_saw_tells_it_in_one_line(tiny, tmp_path):
    run = make_plan(tiny(device="cuda"), trains_here=False).runs[1]
    with pytest.raises(StudyError, match="'cuda': torch finds no such device here, it has cpu: give one of these"):
        Workshop(tmp_path).run(run)


@on_gpu
def test_on_the_gpu_the_quantized_network_agrees_with_the_bit_exact_one(tiny, tmp_path):
    results = [Workshop(tmp_path).run(run) for run in make_plan(tiny(device="cuda")).runs]
    assert [result.differing_images for result in results if result.precision != "float32"] == [0, 0]


@on_gpu
def test_a_training_on_the_gpu_that_is_cut_off_goes_on(tiny, tmp_path):
    run = make_plan(tiny(device="cuda")).runs[1]

    def cut_off(progress):
        if progress.phase == "fine-tune" and progress.epoch == 9:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Workshop(tmp_path, cut_off).run(run)
    told = []
    result = Workshop(tmp_path, lambda progress: told.append(progress.epoch)).run(run)
    assert (set(told), len(result.history)) == ({9, 10, 11, 12}, 12)


@on_gpu
def test_the_generator_of_the_gpu_is_put_back(tiny, tmp_path):
    before = torch.cuda.get_rng_state("cuda:0")
    Workshop(tmp_path).train_float(replace(make_plan(tiny(device="cuda")).runs[0].training, settings=TrainSettings(1)))
    assert torch.equal(torch.cuda.get_rng_state("cuda:0"), before)
