"""A user's function makes data in any of its forms; whatever it does else is one clear line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewbits import DataError
from fewbits.data import Dataset, load

HEAD = """
import numpy as np, torch, fewbits as fb
from torch.utils.data import DataLoader, TensorDataset
images = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
labels = np.arange(20) % 2
floats = torch.randn(20, 1, 6, 5)
tensors = TensorDataset(floats, torch.tensor(labels))
"""


def made(folder: Path, body: str, **stated: Any) -> Dataset:
    """The data set of a function with this body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (folder / "mine.py").write_text(f"{HEAD}\ndef make_data():\n{lines}\n")
    return load("mine.py:make_data", folder=folder, **stated)


@pytest.mark.parametrize(
    "returned",
    [
        "images, labels, images, labels",
        "[images, labels, images, labels]",
        "(images, labels), (images, labels)",
        "(images, labels.tolist()), (images, labels.tolist())",
        "dict(x_train=images, y_train=labels, x_test=images, y_test=labels)",
        "dict(train=(images, labels), test=(images, labels))",
        "fb.data.Arrays(images[:, None], labels, images[:, None], labels)",
        "torch.tensor(images), torch.tensor(labels), torch.tensor(images), torch.tensor(labels)",
        "tensors, tensors",
        "DataLoader(tensors, 8), DataLoader(tensors, 8, shuffle=True)",
        "dict(train=tensors, test=tensors)",
        "fb.data.from_torch(tensors, tensors)",
    ],
)
def test_every_form_is_a_data_set(tmp_path: Path, returned: str) -> None:
    data = made(tmp_path, f"return {returned}")
    assert (data.name, data.classes, data.image_shape) == ("mine.py:make_data", 2, (1, 6, 5))
    assert data.test.labels.tolist() == (np.arange(20) % 2).tolist()


@pytest.mark.parametrize(
    "returned",
    [
        "(images, labels), (images, labels), (images[:4], labels[:4])",
        "tensors, tensors, torch.utils.data.Subset(tensors, range(4))",
        "dict(train=tensors, test=tensors, val=torch.utils.data.Subset(tensors, range(4)))",
    ],
)
def test_a_third_part_is_for_validation(tmp_path: Path, returned: str) -> None:
    data = made(tmp_path, f"return {returned}")
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 4, 20)


def test_one_part_alone_is_divided_and_a_note_says_so(tmp_path: Path) -> None:
    data = made(tmp_path, "return tensors")
    assert len(data.test) == 4
    assert any("no test part is given" in note for note in data.notes)


def test_float_tensors_of_a_dataset_stay_as_they_are(tmp_path: Path) -> None:
    data = made(tmp_path, "return tensors, tensors")
    assert (data.mean, data.std, data.value_range) == ((0.0,), (1.0,), (0.0, 1.0))


def test_what_is_stated_counts(tmp_path: Path) -> None:
    data = made(tmp_path, "return images, labels, images, labels", mean=0.5, std=0.25)
    assert (data.mean, data.std) == ((0.5,), (0.25,))


def test_a_package_is_found_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_package_of_data").mkdir()
    (tmp_path / "own_package_of_data" / "__init__.py").write_text("")
    (tmp_path / "own_package_of_data" / "sets.py").write_text(f"{HEAD}\ndef get():\n    return tensors, tensors\n")
    assert load("own_package_of_data.sets:get", folder=tmp_path).classes == 2


def test_a_neighbouring_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "beside_the_data.py").write_text("COUNT = 20")
    data = made(tmp_path, "from beside_the_data import COUNT\nreturn images[:COUNT], labels, images, labels")
    assert len(data.test) == 20


def test_what_it_prints_does_not_reach_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "print('downloading')\nreturn tensors")
    (tmp_path / "loud.py").write_text(f"print('imported')\n{HEAD}\ndef make():\n    return tensors\n")
    load("loud.py:make", folder=tmp_path)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "downloading\nimported\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no\\nfile')", r"data 'mine.py:make_data' raised ValueError: no file \(mine.py, line 10\)$"),
        ("return open('/absent/file')", r"raised FileNotFoundError: .*/absent/file' \(mine.py, line 10\)"),
        ("import sys; sys.exit(3)", r"raised SystemExit: 3 \(mine.py, line 10\)"),
        ("return np.load('/absent.npz')", r"raised FileNotFoundError: .* \(mine.py, line 10\)"),
        ("return fb.data.load('/absent')", r"data 'mine.py:make_data': unknown data '/absent'"),
        ("images", r"it must return a fewbits Dataset, .*, not None: does it end with return\?"),
        ("return 5", r"it must return .*, not int"),
        ("return 'digits'", r"it must return .*, not str"),
        ("return images, labels", r"it must return .*, not a tuple of ndarray, ndarray"),
        ("return {}", r"it must return .*, not a dictionary with \[\]"),
        ("return dict(a=1)", r"not a dictionary with \['a'\]"),
        ("return dict(x_train=images)", r"it returns x_train alone: a part is x_train and y_train"),
        ("return dict(x_train=images, y_train=labels, z=1)", r"keys among .*, not 'z'"),
        ("return tensors, (images, labels)", r"parts of one kind: test is a pair of arrays, others are not"),
        ("return images, labels[:3], images, labels", r"x_train holds 20 images but y_train labels 3 labels"),
        ("return (images, [{}] * 20), (images, labels)", r"train labels must be N labels"),
    ],
)
def test_all_else_is_one_line(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        made(tmp_path, body)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py:other", r"data 'mine.py:other': 'mine.py' has no function 'other'"),
        ("mine.py:images", r"data 'mine.py:images': 'mine.py' has no function 'images'"),
        ("absent.py:make", r"no file .*absent.py"),
        ("absent_package:make", r"data 'absent_package:make': no module 'absent_package'"),
        ("broken.py:make", r"data 'broken.py:make': importing 'broken.py' raised SyntaxError"),
        ("mine.py", r"mine.py' is a file: name its function too, as 'mine.py:make_data'"),
    ],
)
def test_names_that_lead_to_no_function_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(f"{HEAD}\ndef make_data():\n    return tensors\n")
    (tmp_path / "broken.py").write_text("def make(:")
    with pytest.raises(DataError, match=message):
        load(name, folder=tmp_path)


def test_a_data_set_of_fewbits_says_itself_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a fewbits Dataset, which says itself what is stated here \(mean, std\)"):
        made(tmp_path, "return fb.data.from_torch(tensors)", mean=0.1, std=1.0)


def test_what_it_draws_is_the_same_at_each_call(tmp_path: Path) -> None:
    body = "import random\nrandom.random()\nreturn torch.utils.data.random_split(tensors, [12, 8])"
    first, second = (made(tmp_path, body) for _ in range(2))
    assert first.test.labels.tolist() == second.test.labels.tolist()


def test_the_folder_is_not_left_on_the_path(tmp_path: Path) -> None:
    made(tmp_path, "return tensors")
    assert str(tmp_path) not in sys.path
