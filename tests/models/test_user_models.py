"""The user's own models: from a file or a package, with errors in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from fewbits import ModelError
from fewbits.models import ModelSource, build, input_shape

SOURCE = """
from torch import nn
import fewbits_test_neighbour

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, fewbits_test_neighbour.HIDDEN), nn.ReLU(), nn.Linear(8, 10))
net.input_shape = (1, 28, 28)

def with_attribute():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 10))
    model.input_shape = [3, 2, 2]
    return model

def silent():
    return nn.Linear(4, 2)

def wrong_shape():
    return nn.Linear(4, 2)
wrong_shape.input_shape = "28x28"

def negative_shape():
    return nn.Linear(4, 2)
negative_shape.input_shape = (1, -28)

def failing():
    raise ValueError("no such\\nwidth")

def stopping():
    raise SystemExit(3)

def number():
    return 7

constant = 7
"""


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    (tmp_path / "fewbits_test_neighbour.py").write_text("HIDDEN = 8\n")
    path = tmp_path / "nets.py"
    path.write_text(SOURCE)
    return path


def test_function_in_a_file_is_built(user_file: Path):
    assert build(f"{user_file}:net")(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_user_model_takes_a_seed(user_file: Path):
    first, second = build(f"{user_file}:net", seed=1), build(f"{user_file}:net", seed=1)
    assert torch.equal(first[1].weight, second[1].weight)


def test_user_model_can_be_widened(user_file: Path):
    assert build(f"{user_file}:net*2")[1].out_features == 16


def test_function_in_a_module_of_the_current_folder_is_built(user_file: Path, monkeypatch: pytest.MonkeyPatch):
    (user_file.parent / "fewbits_test_package.py").write_text(
        "from torch import nn\n\ndef net():\n    return nn.ReLU()\n"
    )
    monkeypatch.chdir(user_file.parent)
    assert isinstance(build("fewbits_test_package:net"), torch.nn.ReLU)


def test_installed_module_is_built():
    assert isinstance(build("fewbits.models.networks:lenet"), torch.nn.Sequential)


@pytest.mark.parametrize(
    ("function", "shape"),
    [("net", (1, 28, 28)), ("net*2", (1, 28, 28)), ("with_attribute", (3, 2, 2)), ("silent", None)],
)
def test_input_shape_is_the_owners_attribute(user_file: Path, function: str, shape: tuple[int, ...] | None):
    assert input_shape(f"{user_file}:{function}") == shape


@pytest.mark.parametrize("function", ["wrong_shape", "negative_shape"])
def test_malformed_input_shape_is_refused(user_file: Path, function: str):
    with pytest.raises(ModelError, match=r"must be a tuple such as \(1, 28, 28\), not"):
        input_shape(f"{user_file}:{function}")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("missing", "has no function 'missing'"),
        ("constant", "has no function 'constant'"),
        ("failing", "raised ValueError: no such width"),
        ("stopping", "raised SystemExit: 3"),
        ("number", "must return a torch.nn.Module, not int"),
    ],
)
def test_bad_function_is_named_in_one_line(user_file: Path, function: str, message: str):
    with pytest.raises(ModelError, match=message) as raised:
        build(f"{user_file}:{function}")
    assert "\n" not in str(raised.value)


def test_missing_file_is_named():
    with pytest.raises(ModelError, match=r"no file 'nowhere\.py'"):
        build("nowhere.py:net")


@pytest.mark.parametrize("name", ["fewbits_nowhere:net", "fewbits.nowhere:net"])
def test_missing_module_is_named(name: str):
    with pytest.raises(ModelError, match=f"no module '{name.split(':')[0]}'"):
        build(name)


def test_file_that_fails_on_import_is_named(tmp_path: Path):
    (tmp_path / "broken.py").write_text("import fewbits_not_there\n")
    with pytest.raises(
        ModelError, match=r"importing .* raised ModuleNotFoundError: No module named 'fewbits_not_there'"
    ):
        build(f"{tmp_path / 'broken.py'}:net")


def test_module_that_fails_on_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "fewbits_test_broken.py").write_text("import fewbits_not_there\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="importing 'fewbits_test_broken' raised ModuleNotFoundError"):
        build("fewbits_test_broken:net")


def test_missing_function_name_is_an_unknown_model():
    with pytest.raises(ModelError, match=r"unknown model 'nets\.py:'"):
        build("nets.py:")


def test_edited_files_are_read_anew_by_each_build(user_file: Path):
    assert build(f"{user_file}:net")[1].out_features == 8
    (user_file.parent / "fewbits_test_neighbour.py").write_text("HIDDEN = 9\n")  # in the same second, of the same size
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        build(f"{user_file}:net")(torch.zeros(1, 1, 28, 28))


def test_a_source_builds_what_was_there_when_it_was_first_read(user_file: Path):
    source = ModelSource()
    build(f"{user_file}:net", source=source)
    carried = pickle.loads(pickle.dumps(source))
    (user_file.parent / "fewbits_test_neighbour.py").write_text("HIDDEN = 9\n")
    user_file.write_text("")
    for one in (source, carried):
        assert build(f"{user_file}:net", source=one)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_neighbours_of_one_name_are_those_of_each_files_folder(tmp_path: Path):
    for folder, features in (("a", 3), ("b", 5)):
        package = tmp_path / folder / "fewbits_test_layers"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("from .sizes import SIZE\n")
        (package / "sizes.py").write_text(f"SIZE = {features}\n")
        (tmp_path / folder / "net.py").write_text(
            "from torch import nn\n\ndef net():\n"
            "    from fewbits_test_layers import SIZE\n    return nn.Linear(2, SIZE)\n"
        )
    assert [build(f"{tmp_path / folder / 'net.py'}:net").out_features for folder in "aba"] == [3, 5, 3]


def test_a_package_that_changed_since_it_was_noted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "fewbits_test_edited.py"
    path.write_text("from torch import nn\n\ndef net():\n    return nn.ReLU()\n")
    monkeypatch.chdir(tmp_path)
    source = ModelSource()
    build("fewbits_test_edited:net", source=source)
    path.write_text(path.read_text().replace("ReLU", "Tanh"))
    with pytest.raises(ModelError, match="changed while the study ran: give the same command again"):
        build("fewbits_test_edited:net", source=source)


def test_nothing_is_written_beside_the_users_file(user_file: Path):
    before = sorted(user_file.parent.rglob("*"))
    build(f"{user_file}:net")
    assert sorted(user_file.parent.rglob("*")) == before
