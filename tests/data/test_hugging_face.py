"""Hugging Face's data sets, in its library and saved, come back image by image with their classes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fewbits import DataError
from fewbits.data import from_hugging_face, load
from fewbits.data.torch_sets import for_training

datasets = pytest.importorskip("datasets", reason="Hugging Face's library is the extra 'datasets'")

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
LABELS = np.arange(20) % 2


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def split(count: int = 20, **columns: Any) -> Any:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    given = {"image": [Image.fromarray(one) for one in PIXELS[:count]], "label": LABELS[:count].tolist()}
    features |= {name: datasets.Value("string") for name in columns}
    return datasets.Dataset.from_dict(given | columns, features=datasets.Features(features))


def both() -> Any:
    return datasets.DatasetDict(train=split(), test=split(8))


def assert_holds(data: Any, count: int = 8) -> None:
    assert np.array_equal(data.test.images[:], PIXELS[:count, None])
    assert data.test.labels.tolist() == LABELS[:count].tolist()
    assert data.class_names == ("cat", "dog")


def test_a_dictionary_of_splits_is_a_data_set() -> None:
    assert_holds(from_hugging_face(both()))


def test_a_saved_one_is_read_by_its_path(tmp_path: Path) -> None:
    both().save_to_disk(str(tmp_path / "pets"))
    data = load(tmp_path / "pets")
    assert_holds(data)
    assert "images are the column 'image', labels 'label'" in data.notes


def test_one_saved_split_is_divided(tmp_path: Path) -> None:
    split().save_to_disk(str(tmp_path / "pets"))
    data = load(tmp_path / "pets")
    assert (len(data.test), len(data.train) + len(data.validation)) == (4, 16)


@pytest.mark.parametrize("inner", ["data", "."])
def test_parquet_files_are_read_by_their_folder(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    for name, content in both().items():
        for shard in range(2):
            content.shard(2, shard, contiguous=True).to_parquet(
                str(tmp_path / inner / f"{name}-0000{shard}-of-00002.parquet")
            )
    assert_holds(load(tmp_path))


@pytest.mark.parametrize("name", ["validation", "valid", "dev"])
def test_a_validation_split_is_the_validation_part(name: str) -> None:
    data = from_hugging_face(datasets.DatasetDict({"train": split(), "test": split(8), name: split(4)}))
    assert (len(data.train), len(data.validation)) == (20, 4)


def test_other_splits_are_left_out_and_said() -> None:
    data = from_hugging_face(datasets.DatasetDict(train=split(), test=split(8), unsupervised=split(2)))
    assert "the split 'unsupervised' is left out" in data.notes


def test_columns_are_known_by_name_where_types_do_not_tell() -> None:
    given = {"img": PIXELS.tolist(), "fine_label": LABELS.tolist(), "other": LABELS.tolist()}
    features = {
        "img": datasets.Array2D((6, 5), "uint8"),
        "fine_label": datasets.Value("int64"),
        "other": datasets.Value("int64"),
    }
    one = datasets.Dataset.from_dict(given, features=datasets.Features(features))
    data = from_hugging_face(datasets.DatasetDict(train=one, test=one))
    assert np.array_equal(data.test.images[:], PIXELS[:, None])


def test_a_transform_of_the_users_is_followed() -> None:
    def normalized(batch: Any) -> Any:
        pixels = [torch.tensor(np.asarray(one), dtype=torch.float32)[None] / 128 - 1 for one in batch["image"]]
        return {"pixel_values": pixels, "label": batch["label"]}

    one = split().with_transform(normalized)
    data = from_hugging_face(datasets.DatasetDict(train=one, test=one))
    assert torch.equal(data.inputs(data.test), torch.tensor(PIXELS[:, None], dtype=torch.float32) / 128 - 1)


def test_training_takes_one_with_a_transform() -> None:
    one = split().with_transform(
        lambda batch: {"image": [torch.ones(1, 4, 4)] * len(batch["image"]), "label": batch["label"]}
    )
    assert len(for_training(one).train) == 18


def test_a_function_may_return_one(tmp_path: Path) -> None:
    both().save_to_disk(str(tmp_path / "pets"))
    (tmp_path / "mine.py").write_text(
        f"import datasets\ndef make():\n    return datasets.load_from_disk({str(tmp_path / 'pets')!r})\n"
    )
    assert_holds(load("mine.py:make", folder=tmp_path))


def with_images(images: Any) -> Any:
    features = {"image": datasets.Image(), "label": datasets.Value("int64")}
    return datasets.Dataset.from_dict(
        {"image": images, "label": [0] * len(images)}, features=datasets.Features(features)
    )


def png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "png")
    return content.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: datasets.DatasetDict(test=split()), r"has the splits \['test'\]: one must be called 'train'"),
        (lambda: datasets.DatasetDict(), "a datasets.DatasetDict or datasets.Dataset is taken, not DatasetDict"),
        (lambda: {"train": [1]}, "a datasets.DatasetDict or datasets.Dataset is taken, not dict"),
        (lambda: None, "a datasets.DatasetDict or datasets.Dataset is taken, not NoneType"),
        (lambda: split().remove_columns("label"), r"no label column among \['image'\]: one must be of type ClassLabel"),
        (lambda: split().remove_columns("image"), "no image column among"),
        (
            lambda: datasets.DatasetDict(train=split(), val=split(), dev=split()),
            "several splits that are the validation",
        ),
        (lambda: with_images([png(PIXELS[0]), png(PIXELS[0][:3])]), r"of 2 sizes .*row 0\), 1 of 5 x 3 \(as .*row 1\)"),
        (lambda: with_images([png(PIXELS[0])[:60]]), r"train, row 0 is damaged|row 0"),
        (lambda: with_images([b"GIF89a"]), r"train, row 0 is no PNG or JPEG picture"),
        (
            lambda: with_images(["http://example.org/a.png"]),
            r"row 0 holds no picture but 'http://exa.*nothing is downl",
        ),
        (lambda: with_images(["/absent/a.png"]), r"row 0 leads to no file"),
        (lambda: with_images([None]), r"row 0 has no image: leave it out"),
    ],
)
def test_what_is_no_data_set_of_images_is_refused(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        from_hugging_face(data())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["dataset_dict.json", "train/state.json", "train/data-00000-of-00001.arrow"])
def test_a_damaged_folder_is_refused(tmp_path: Path, name: str) -> None:
    both().save_to_disk(str(tmp_path / "pets"))
    (tmp_path / "pets" / name).write_bytes(b"{")
    with pytest.raises(DataError, match="cannot be read as a saved Hugging Face data set") as raised:
        load(tmp_path / "pets")
    assert "\n" not in str(raised.value)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"train-00000-of-00001.parquet cannot be read as a Parquet file"):
        load(tmp_path)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both().save_to_disk(str(tmp_path / "pets"))
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"is read by Hugging Face's library: pip install 'fewbits\[datasets\]'"):
        load(tmp_path / "pets")
