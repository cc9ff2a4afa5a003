"""docs/own_training.md runs as it stands: loops in PyTorch, Lightning and Accelerate, a study from a checkpoint."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fewbits.cli import main
from fewbits.study import load_study, read_results

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own_training.md").read_text(encoding="utf-8")

ACCURACY = 0.5
"""Each loop trains two epochs on 3,600 digits, some with binary weights; chance is 0.1."""


def blocks(heading: str, language: str = "python") -> str:
    """The code of a section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return "\n".join(found)


def run(text: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(text, "docs/own_training.md", "exec"), names)  # the project's own text
    return names


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the page's first block makes, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning counts cores and workers
        yield run(blocks("A network and its data"), {"__name__": "page"})


def test_plain_pytorch_trains_and_its_checkpoint_is_the_network(names):
    done = run(blocks("Plain PyTorch"), names)
    assert done["accuracy"] > ACCURACY


def test_lightning_trains_and_goes_on_from_a_checkpoint(names):
    done = run(blocks("Lightning"), names)
    assert done["lightning_accuracy"] > ACCURACY
    lightning, trained = done["lightning"], done["classifier"]
    done["trainer"].save_checkpoint("two.ckpt")
    weights = trained.model.layers["0"].layer.weight.detach().clone()
    further = done["Classifier"]()
    trainer = lightning.Trainer(
        **{"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_progress_bar": False},
        **{"enable_model_summary": False, "default_root_dir": "lightning"},
    )
    loader = done["DataLoader"](done["train"], batch_size=32)
    trainer.fit(further, loader, ckpt_path="two.ckpt")  # both epochs are done: nothing is left to train
    assert torch.equal(further.model.layers["0"].layer.weight, weights)
    images = done["images"]
    assert torch.equal(further.model.eval()(images), trained.model.eval()(images))


def test_accelerate_trains_and_its_state_comes_back(names):
    done = run(blocks("Accelerate"), names)
    assert done["accelerate_accuracy"] > ACCURACY
    network, images = done["accelerator"].unwrap_model(done["model"]), done["images"]
    before = network.eval()(images)
    with torch.no_grad():
        network.layers["0"].layer.weight.zero_()
    done["accelerator"].load_state("accelerate")
    assert torch.equal(network.eval()(images), before)


@pytest.mark.slow
def test_a_study_goes_on_from_the_checkpoint_of_a_loop(names, capsys):
    """The commands of the page: net.py beside the study, its weights trained by the page's plain loop in float."""
    source = blocks("A network and its data")
    make_net = source[source.index("def make_net") : source.index("torch.manual_seed")]
    Path("net.py").write_text(f"from torch import nn\n\n\n{make_net.rstrip()}\n")
    Path("mine.toml").write_text(blocks("A study from your checkpoint", "toml"))
    net, functional = names["net"], names["F"]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(2):
        for inputs, labels in names["DataLoader"](names["train"], batch_size=64, shuffle=True):
            optimizer.zero_grad()
            functional.cross_entropy(net(inputs), labels).backward()
            optimizer.step()
    torch.save({"model": {f"module.{name}": tensor for name, tensor in net.state_dict().items()}}, "net.pth")
    with torch.no_grad():
        right = (net(names["test_images"]).argmax(1) == names["test_labels"]).float().mean().item()
    assert load_study("mine.toml").start == "net.pth"
    assert main(["run", "mine.toml", "--out", "out", "--workers", "1"]) == 0
    captured = capsys.readouterr()
    said = "started from 'net.pth' (state read from its key 'model'; prefix 'module.' of its names stripped)"
    assert said in " ".join((captured.out + captured.err).split())
    results = {(run.precision, run.recipe): run for run in read_results("out")}
    assert results["float32", "float"].float_accuracy_percent == pytest.approx(100 * right)
    assert len(results) == 5
    assert results["fixed4", "fine-tune"].epochs == 2
    assert results["fixed4", "fine-tune"].validation_accuracy_percent >= (
        results["fixed4", "post-training"].validation_accuracy_percent
    )
