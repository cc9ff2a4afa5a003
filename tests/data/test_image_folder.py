"""Folders of pictures come back pixel by pixel; hostile, odd and damaged ones are refused by name, or said."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fewbits import DataError
from fewbits.data import decoding, load
from fewbits.data.assembly import NO_TEST_PART
from fewbits.data.dataset import Arrays
from fewbits.data.image_folder import read_image_folder

GENERATOR = np.random.default_rng(0)


def pixels(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return GENERATOR.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def put(path: Path, picture: Any = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels(6, 5) if picture is None else picture
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, four training and two test pictures each, grey, 6 x 5."""
    for part, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                put(tmp_path / "pets" / part / name / f"{number}.png")
    return tmp_path / "pets"


def raw_png(width: int, height: int, bits: int, kind: int, data: bytes) -> bytes:
    """A PNG file written by hand from its specification."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def notes(arrays: Arrays) -> str:
    return "; ".join(arrays.notes)


# --- parts and classes


def test_pictures_come_back_with_the_classes_of_their_folders(tmp_path: Path) -> None:
    stored = {
        f"{part}/{name}/{number}.png": pixels(6, 5, 3)
        for part in ("train", "test")
        for name in "ba"
        for number in (1, 0)
    }
    for place, picture in stored.items():
        put(tmp_path / place, picture)
    arrays = read_image_folder(tmp_path)
    order = [f"{name}/{number}.png" for name in "ab" for number in (0, 1)]
    for part, images in (("train", arrays.train_images), ("test", arrays.test_images)):
        assert np.array_equal(images, np.stack([stored[f"{part}/{one}"].transpose(2, 0, 1) for one in order]))
    assert arrays.train_labels.tolist() == arrays.test_labels.tolist() == [0, 0, 1, 1]
    assert arrays.classes == ("a", "b")


def test_load_finds_the_form(folder: Path) -> None:
    data = load(folder)
    assert (data.name, data.classes, data.image_shape, len(data.test)) == ("pets", 2, (1, 6, 5), 4)


def test_classes_are_in_the_order_of_names_and_a_note_says_so(tmp_path: Path) -> None:
    for name in ("10", "2", "1"):
        put(tmp_path / "train" / name / "a.png")
        put(tmp_path / "test" / name / "a.png")
    arrays = read_image_folder(tmp_path)
    assert arrays.classes == ("1", "10", "2")
    assert "classes are numbered in the order of their names: '1', '10', '2'" in arrays.notes


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_a_validation_folder_without_a_test_folder_is_the_test_part(folder: Path, name: str) -> None:
    (folder / "test").rename(folder / name)
    arrays = read_image_folder(folder)
    assert len(arrays.test_labels) == 4
    assert f"there is no test folder: {name!r} is the test part" in arrays.notes


def test_class_folders_alone_are_divided_and_a_note_says_so(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(10):
            put(tmp_path / name / f"{number}.jpg")
    arrays = read_image_folder(tmp_path)
    assert (np.bincount(arrays.train_labels).tolist(), np.bincount(arrays.test_labels).tolist()) == ([8, 8], [2, 2])
    assert NO_TEST_PART in arrays.notes
    again = read_image_folder(tmp_path)
    assert np.array_equal(arrays.test_images, again.test_images)


def test_a_divided_folder_loses_no_picture(tmp_path: Path) -> None:
    stored = {
        put(tmp_path / name / f"{n}.png", picture).name + name: picture
        for name in "ab"
        for n in range(7)
        for picture in [pixels(3, 3)]
    }
    arrays = read_image_folder(tmp_path)
    found = [image.tobytes() for image in (*arrays.train_images, *arrays.test_images)]
    assert sorted(found) == sorted(picture.tobytes() for picture in stored.values())


def test_a_training_folder_alone_is_divided(folder: Path) -> None:
    for path in sorted((folder / "test").rglob("*.png")):
        path.rename(folder / "train" / path.parent.name / f"more-{path.name}")
    for name in ("cat", "dog"):
        (folder / "test" / name).rmdir()
    (folder / "test").rmdir()
    assert len(read_image_folder(folder).test_labels) == 2


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        for number in range(5):
            put(tmp_path / name / f"{number}.png")
    assert read_image_folder(tmp_path).classes == ("bus", "train")


def test_folders_within_a_class_belong_to_it(folder: Path) -> None:
    put(folder / "train" / "cat" / "more" / "x.png")
    assert np.bincount(read_image_folder(folder).train_labels).tolist() == [5, 4]


def test_hidden_files_and_thumbnails_are_passed_over(folder: Path) -> None:
    for place in (
        ".DS_Store",
        "train/Thumbs.db",
        "train/cat/._0.png",
        "train/cat/Thumbs.db",
        "train/.git/x.png",
        "__MACOSX/a",
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"nothing")
    arrays = read_image_folder(folder)
    assert (len(arrays.train_labels), "left out" in notes(arrays)) == (8, False)


def test_other_files_are_left_out_by_name(folder: Path) -> None:
    (folder / "train" / "cat" / "notes.txt").write_text("of 2019")
    (folder / "train" / "labels.csv").write_text("a,b")
    assert (
        "left out, as no pictures of a class in a known part: 'train/cat/notes.txt', 'train/labels.csv'"
        in read_image_folder(folder).notes
    )


def test_what_lies_beside_the_parts_is_left_out_by_name(folder: Path) -> None:
    put(folder / "unlabeled" / "more" / "0.png")
    (folder / "again").symlink_to(folder / "again")
    arrays = read_image_folder(folder)
    assert len(arrays.train_labels) == 8
    assert "left out, as no pictures of a class in a known part: 'again', 'unlabeled'" in arrays.notes


def test_a_test_part_without_a_class_is_said(folder: Path) -> None:
    for path in (folder / "test" / "dog").iterdir():
        path.unlink()
    assert "no test picture is of class 'dog'" in read_image_folder(folder).notes


# --- kinds of pictures


def test_grey_among_color_becomes_color_and_is_counted(folder: Path) -> None:
    color = pixels(6, 5, 3)
    put(folder / "train" / "cat" / "0.png", color)
    arrays = read_image_folder(folder)
    assert np.array_equal(arrays.train_images[0], color.transpose(2, 0, 1))
    assert np.ptp(arrays.train_images[1].astype(int), axis=0).max() == 0
    assert "with the same value in each channel: 11 of 12 pictures" in notes(arrays)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(np.array([[0, 255, 7]], np.uint8)), [[[0, 255, 7]]]),
        (Image.fromarray(np.array([[True, False, True]])), [[[255, 0, 255]]]),
        (Image.fromarray(np.array([[0, 65535, 258]], np.uint16)), [[[0, 65535, 258]]]),
        (Image.fromarray(np.array([[[1, 2, 3, 255]] * 3], np.uint8)), [[[1] * 3], [[2] * 3], [[3] * 3]]),
        (Image.fromarray(np.array([[[9, 255]] * 3], np.uint8)), [[[9, 9, 9]]]),
    ],
    ids=["grey", "bits", "16 bits", "opaque RGBA", "opaque grey and alpha"],
)
def test_every_mode_keeps_its_values(tmp_path: Path, picture: Image.Image, expected: Any) -> None:
    for part in ("train", "test"):
        put(tmp_path / part / "a" / "0.png", picture)
    arrays = read_image_folder(tmp_path)
    assert arrays.train_images[0].tolist() == expected
    assert arrays.train_images.dtype == (np.uint16 if picture.mode == "I;16" else np.uint8)


@pytest.mark.parametrize(("colors", "channels"), [([0, 0, 0, 200, 200, 200], 1), ([0, 0, 0, 200, 0, 9], 3)])
def test_palettes_are_looked_up(tmp_path: Path, colors: list[int], channels: int) -> None:
    picture = Image.fromarray(np.array([[0, 1, 1]], np.uint8), mode=None).convert("P")
    picture.putpalette(colors)
    picture.putdata([0, 1, 1])
    for part in ("train", "test"):
        put(tmp_path / part / "a" / "0.png", picture)
    expected = np.array(colors).reshape(2, 3)[[0, 1, 1]].T[:channels, np.newaxis]
    assert np.array_equal(read_image_folder(tmp_path).train_images[0], expected)


def test_pictures_are_turned_as_their_exif_says(tmp_path: Path) -> None:
    picture = pixels(6, 5)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    for part in ("train", "test"):
        put(tmp_path / part / "a" / "0.png", picture, exif=exif)
    arrays = read_image_folder(tmp_path)
    assert np.array_equal(arrays.train_images[0, 0], np.rot90(picture, -1))
    assert "turned or mirrored as their EXIF says: 2 of 2 pictures" in arrays.notes


def test_of_a_moving_picture_the_first_is_taken_and_said(folder: Path) -> None:
    first, second = (Image.fromarray(pixels(6, 5)) for _ in range(2))
    first.save(folder / "train" / "cat" / "0.png", save_all=True, append_images=[second])
    arrays = read_image_folder(folder)
    assert np.array_equal(arrays.train_images[0, 0], np.asarray(first))
    assert "files that hold more pictures, of which the first is taken: 1 of 12 pictures" in arrays.notes


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".PNG"])
def test_names_may_be_of_any_case_and_of_the_other_format(folder: Path, suffix: str) -> None:
    picture = pixels(6, 5)
    put(folder / "train" / "cat" / "0.png", picture).rename(folder / "train" / "cat" / f"0{suffix}")
    assert np.array_equal(read_image_folder(folder).train_images[0, 0], picture)


# --- what is refused


def refused(folder: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        read_image_folder(folder)
    assert str(raised.value).isprintable()


def test_pictures_of_several_sizes_are_refused_with_the_sizes(folder: Path) -> None:
    put(folder / "train" / "dog" / "0.png", pixels(7, 5))
    put(folder / "test" / "dog" / "1.png", pixels(2, 9))
    refused(
        folder, r"of 3 sizes \(width x height\): 10 of 5 x 6 \(as .*cat/0.png\), 1 of 5 x 7 .*dog/0.png.*, 1 of 9 x 2"
    )
    refused(folder, r"fewbits resizes nothing: bring all to one, with `mogrify -resize 5x6!`")


def test_a_picture_that_exif_turns_has_the_turned_size(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    put(folder / "train" / "dog" / "0.png", pixels(6, 5), exif=exif)
    refused(folder, "1 of 6 x 5")


def test_8_and_16_bits_are_not_mixed(folder: Path) -> None:
    put(folder / "train" / "dog" / "0.png", pixels(6, 5, dtype=np.uint16))
    refused(folder, r"pictures of 8 bits \(.*cat/0.png\) and of 16 \(.*dog/0.png\) are mixed")


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.fromarray(np.full((6, 5, 4), 9, np.uint8)), r"0.png has transparent pixels.*flatten it"),
        (Image.fromarray(np.full((6, 5, 2), 9, np.uint8)), r"0.png has transparent pixels"),
    ],
)
def test_transparent_pixels_are_refused(folder: Path, picture: Image.Image, message: str) -> None:
    put(folder / "train" / "cat" / "0.png", picture)
    refused(folder, message)


def test_a_transparent_color_of_a_palette_is_refused(folder: Path) -> None:
    picture = Image.new("P", (5, 6))
    put(folder / "train" / "cat" / "0.png", picture, transparency=0)
    refused(folder, r"0.png has transparent pixels")


def test_cmyk_is_refused(folder: Path) -> None:
    put(folder / "train" / "cat" / "0.jpg", Image.new("CMYK", (5, 6)))
    refused(folder, r"0.jpg is of mode CMYK: convert it to RGB")


def test_sixteen_bits_of_color_are_refused_since_half_would_be_lost(folder: Path) -> None:
    (folder / "train" / "cat" / "0.png").write_bytes(raw_png(5, 6, 16, 2, bytes(6 * (1 + 5 * 6))))
    refused(folder, r"0.png has 16 bits a channel in several channels, of which Pillow reads 8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-30], r"0.png is damaged: .*; remove or replace it"),
        (lambda content: content[:20], r"0.png (is no PNG or JPEG picture|cannot be read)"),
        (lambda _: b"", r"0.png is no PNG or JPEG picture, or is damaged"),
        (lambda _: b"GIF89a" + bytes(50), r"0.png is no PNG or JPEG picture"),
        (lambda _: raw_png(5, 6, 8, 0, b"\0\0"), r"0.png is damaged"),
        (
            lambda _: raw_png(20_000, 20_000, 8, 0, b""),
            r"0.png has more than 89,478,485 pixels, Pillow's limit for decomp",
        ),
        (
            lambda _: raw_png(12_000, 12_000, 8, 0, b""),
            r"0.png has more than 89,478,485 pixels, Pillow's limit for decomp",
        ),
        (lambda _: raw_png(0, 6, 8, 0, b""), r"0.png"),
    ],
    ids=["cut short", "header alone", "empty", "gif", "few rows", "bomb", "half a bomb", "no width"],
)
def test_damaged_files_are_refused_by_name(folder: Path, damage: Any, message: str) -> None:
    path = folder / "train" / "cat" / "0.png"
    path.write_bytes(damage(path.read_bytes()))
    refused(folder, message)


def test_a_cut_jpeg_is_refused(folder: Path) -> None:
    path = put(folder / "train" / "cat" / "9.jpg", pixels(6, 5))
    path.write_bytes(path.read_bytes()[:-20])
    refused(folder, r"9.jpg is damaged: .*truncated")


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".gif", ".tiff"])
def test_pictures_of_other_formats_are_refused_by_name(folder: Path, suffix: str) -> None:
    put(folder / "train" / "cat" / f"x{suffix}")
    refused(folder, rf"x{suffix}: pictures must be PNG or JPEG: convert it, or take it out")


def test_links_that_lead_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "train" / "cat" / "again").symlink_to(folder / "train" / "cat")
    refused(folder, r"cat/again is the same folder as .*cat: remove the link")


@pytest.mark.parametrize("place", ["train/x", "train/cat/x.png", "train/cat/x"])
def test_a_link_to_itself_is_refused(folder: Path, place: str) -> None:
    (folder / place).symlink_to(folder / place)
    refused(folder, rf"{place} cannot be looked at: Too many levels of symbolic links; remove it")


def test_a_test_folder_that_is_the_training_folder_is_refused(folder: Path) -> None:
    for path in sorted((folder / "test").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (folder / "test").rmdir()
    (folder / "test").symlink_to(folder / "train")
    refused(folder, r"test is the same folder as .*train")


def test_a_linked_class_folder_is_read(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "cat").rename(tmp_path / "elsewhere")
    (folder / "train" / "cat").symlink_to(tmp_path / "elsewhere")
    assert len(read_image_folder(folder).train_labels) == 8


def test_a_link_to_nothing_is_refused(folder: Path) -> None:
    (folder / "train" / "cat" / "x.png").symlink_to(folder / "absent.png")
    refused(folder, r"x.png leads to no file")


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "train" / "cat" / "x.png")
    refused(folder, r"x.png is no regular file")


def test_an_empty_class_folder_is_refused(folder: Path) -> None:
    (folder / "train" / "emu").mkdir()
    refused(folder, r"class 'emu' has no training pictures: remove its folder, or put some in")


def test_a_class_of_the_test_part_alone_is_refused(folder: Path) -> None:
    put(folder / "test" / "emu" / "0.png")
    refused(folder, r"class 'emu' is in the test part alone")


def test_a_test_folder_without_training_folder_is_refused(folder: Path) -> None:
    (folder / "train").rename(folder / "Other")
    refused(folder, r"has 'test' but no folder 'train'")


def test_two_folders_of_one_part_are_refused(folder: Path) -> None:
    (folder / "Train" / "cat").mkdir(parents=True)
    refused(folder, r"has 'Train' and 'train', both the train part: keep one")


def test_pictures_without_class_folders_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "0.png")
    refused(tmp_path, r"holds pictures but no class folders: put those of each class into a folder with its name")


def test_a_class_that_is_too_small_to_divide_is_refused(tmp_path: Path) -> None:
    for name, count in (("a", 5), ("b", 2)):
        for number in range(count):
            put(tmp_path / name / f"{number}.png")
    refused(tmp_path, r"class 'b' has 2 pictures, too few for a training, a validation and a test part")


def test_a_name_that_is_no_text_is_printed(folder: Path) -> None:
    (folder / "train" / os.fsdecode(b"c\xff\nt")).mkdir()
    refused(folder, r"class 'c\\udcff\\nt' has no training pictures")


def test_pictures_beyond_the_limit_lie_in_a_mapped_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_image_folder(folder)
    monkeypatch.setattr(decoding, "IN_MEMORY_BYTES", 0)
    found = read_image_folder(folder)
    assert isinstance(found.train_images, np.memmap)
    assert np.array_equal(found.train_images, expected.train_images)


def test_no_room_for_the_mapped_file_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoding, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    refused(folder, r"no room for 240 bytes of decoded pictures in .*: No space left on device; set TMPDIR")


def test_an_unknown_folder_names_all_forms(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder of PNG or JPEG pictures by class"):
        load(tmp_path)


def test_of_three_parts_val_is_the_validation_part(folder: Path) -> None:
    for name in ("cat", "dog"):
        put(folder / "val" / name / "0.png", np.zeros((6, 5), np.uint8))
    data = load(folder)
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 2, 4)
    assert int(data.validation.images[:].max()) == 0


def test_progress_is_told_on_a_terminal_and_taken_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decoding, "_SECONDS", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    read_image_folder(folder)
    printed = capsys.readouterr().err
    assert "\r5 of 12 pictures looked at" in printed
    assert printed.endswith("\r12 of 12 pictures decoded\r\x1b[K")


def test_no_progress_is_told_where_nobody_sees_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decoding, "_SECONDS", 0)
    read_image_folder(folder)
    assert capsys.readouterr().err == ""
