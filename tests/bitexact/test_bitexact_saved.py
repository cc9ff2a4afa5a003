"""Saved bit-exact networks: another process computes the same, and no file does harm or passes for another network."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import FLOAT_PRECISIONS, INTEGER_PRECISIONS, Case, networks
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork, Layer, Operation, load
from fewbits.bitexact.field_values import Reader, Writer
from fewbits.bitexact.soundness import check_network
from fewbits.formats import Format
from fewbits.graph.operations import ReLU
from fewbits.models import build, input_shape
from fewbits.tensor_file import read_tensors, write_tensors

KINDS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "integer": ("lenet", "fixed8", {}, {}),
    "wide powers": ("lenet", "pow2-8", {}, {}),
    "binary": ("lenet", "binary", {}, {}),
    "per channel": ("lenet", "pow2-6/fixed16", {"per_channel": True}, {}),
    "truncated products": ("lenet", "fixed8", {}, {"product_bits": 6}),
    "formats by layer": ("lenet", "fixed8", {"layers": {"conv1": "fixed16", "conv2": "pow2-4/fixed8"}}, {}),
    "float32": ("lenet", "float32", {}, {}),
    "narrow float": ("lenet", "float-e3m2", {}, {}),
    "residual": ("resnet20", "fixed8", {}, {}),
}


def _network(kind: str) -> tuple[BitExactNetwork, Tensor]:
    model, precision, quantizing, lowering = KINDS[kind]
    shape = input_shape(model)
    assert shape is not None
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3))
    network = fb.fold_batch_norm(build(model, seed=0).eval(), images=images)
    names = [name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    layers = dict(zip(names, quantizing.get("layers", {}).values(), strict=False))
    q = fb.quantize(network, precision, per_channel=quantizing.get("per_channel", False), layers=layers)
    fb.calibrate(q, images)
    return fb.lower(q, images, **lowering), images


@pytest.fixture(scope="module")
def small() -> tuple[BitExactNetwork, Tensor]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4))
    images = torch.randn(4, 1, 8, 8)
    q = fb.quantize(model, "fixed8")
    fb.calibrate(q, images)
    return fb.lower(q, images), images


def test_another_process_computes_the_same_logits_bit_for_bit(tmp_path: Path) -> None:
    expected: dict[str, Tensor] = {}
    for kind in KINDS:
        network, images = _network(kind)
        network.save(tmp_path / f"{kind}.safetensors")
        torch.save(images, tmp_path / f"{kind}.pt")
        expected[kind] = network.run(images)
    script = (
        "import sys, torch, fewbits as fb\nfrom pathlib import Path\n"
        "for path in Path(sys.argv[1]).glob('*.safetensors'):\n"
        "    logits = fb.load(path).run(torch.load(path.with_suffix('.pt')))\n"
        "    torch.save(logits, path.with_suffix('.logits'))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=120)
    for kind, logits in expected.items():
        assert torch.equal(torch.load(tmp_path / f"{kind}.logits"), logits), kind


def _assert_same_when_loaded(case: Case, folder: Path) -> None:
    network = fb.lower(case.model, case.images)
    network.save(folder / "network")
    loaded = load(folder / "network")
    assert torch.equal(loaded.run(case.images), network.run(case.images))
    for one, other in zip(loaded.operations, network.operations, strict=True):
        _assert_equal(one, other)


def _assert_equal(one: object, other: object) -> None:
    """Fields are equal, those of values inside too."""
    assert type(one) is type(other)
    for field in dataclasses.fields(one):  # pyright: ignore[reportArgumentType]
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(mine) and not isinstance(mine, Format):
            _assert_equal(mine, theirs)
        else:
            np.testing.assert_equal(mine, theirs)


_FIXTURE = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_FIXTURE
@given(case=networks(INTEGER_PRECISIONS, mixed=True))
def test_every_field_of_an_integer_network_comes_back(case: Case, tmp_path: Path) -> None:
    _assert_same_when_loaded(case, tmp_path)


@_FIXTURE
@given(case=networks(FLOAT_PRECISIONS, mixed=True))
def test_every_field_of_a_float_network_comes_back(case: Case, tmp_path: Path) -> None:
    _assert_same_when_loaded(case, tmp_path)


def test_pow2_weights_wider_than_64_bits_stay_exact_integers(tmp_path: Path) -> None:
    network, _ = _network("wide powers")
    network.save(tmp_path / "n")
    for one, other in zip(load(tmp_path / "n").layers, network.layers, strict=True):
        assert one.weight.integers.dtype == object
        np.testing.assert_array_equal(one.weight.integers, other.weight.integers)


def test_loaded_weights_are_read_only(small: tuple[BitExactNetwork, Tensor], tmp_path: Path) -> None:
    small[0].save(tmp_path / "n")
    with pytest.raises(ValueError, match="read-only"):
        load(tmp_path / "n").layers[0].weight.codes[0] = 0


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_or_missing_byte_is_refused(
    data: st.DataObject, small: tuple[BitExactNetwork, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "n"
    small[0].save(path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    path.write_bytes(content)
    if (loaded := _loaded(path)) is not None:  # a byte of the header that says the same, such as a space
        assert torch.equal(loaded.run(small[1]), small[0].run(small[1]))


def _loaded(path: Path) -> BitExactNetwork | None:
    """What a file holds; None if it is refused in one line."""
    refusal = ""
    try:
        return load(path)
    except fb.ModelError as error:
        refusal = str(error)
    assert refusal
    assert "\n" not in refusal
    return None


Record = dict[str, Any]


def _forged(network: BitExactNetwork, path: Path, change: Callable[[Record, dict[str, Tensor]], None]) -> Path:
    """The network's file with its record or tensors changed, and sealed anew."""
    network.save(path)
    tensors, record = read_tensors(path)
    change(record, tensors)
    write_tensors(path, tensors, json.dumps(record))
    return path


def _fields(record: Record, index: int) -> Record:
    return record["network"]["operations"][index]["fields"]


def _weight(record: Record) -> Record:
    return _fields(record, 1)["weight"]["fields"]


def _leaves(data: Any) -> list[tuple[Any, Any]]:
    """Every place of a value in some JSON: the container and its key."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, each in items for place in [(data, key), *_leaves(each)]]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_forged_record_is_refused_or_gives_a_network_that_runs(
    data: st.DataObject, small: tuple[BitExactNetwork, Tensor], tmp_path: Path
) -> None:
    def change(record: Record, tensors: dict[str, Tensor]) -> None:
        places = _leaves(record)
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        values = st.one_of(
            st.none(), st.booleans(), st.integers(), st.integers(-3, 30), st.floats(), st.text(max_size=3),
            st.just([]), st.just({}), st.just(10**400), st.sampled_from(["fixed4", "float32", "Linear", "images", "0"]),
        )  # fmt: skip
        container[key] = data.draw(values)

    path = _forged(small[0], tmp_path / "n", change)
    if (loaded := _loaded(path)) is not None:
        assert loaded.run(torch.zeros(1, *loaded.input_shape)).isfinite().all()


FORGERIES: dict[str, tuple[Callable[[Record, dict[str, Tensor]], object], str]] = {
    "another version": (lambda r, t: r.update(format=2), r"is in format 2 .* this version reads 1"),
    "unknown operation": (
        lambda r, t: r["network"]["operations"][2].update({"class": "Sinus"}),
        r"operations\.2 is the operation 'Sinus', which is not known here",
    ),
    "operation of an extension": (
        lambda r, t: (
            r["network"]["operations"][2].update({"class": "absent_package.GELU"}),
            r.update(givers={"absent_package": "fewbits-gelu 1.0"}),
        ),
        "'absent_package.GELU', which is not known here: install fewbits-gelu 1.0",
    ),
    "a missing input": (lambda r, t: _fields(r, 1).update(inputs=["nowhere"]), r"takes 'nowhere', which no operation"),
    "a circle": (lambda r, t: _fields(r, 1).update(inputs=[_fields(r, 1)["name"]]), "which no operation before it"),
    "a name twice": (lambda r, t: _fields(r, 2).update(name="input"), "'input' is there twice"),
    "a huge shape": (lambda r, t: _fields(r, 0).update(output_shape=[2**40, 2**40]), "no shape of at most"),
    "another shape": (
        lambda r, t: _fields(r, 1).update(output_shape=[3, 7, 7]),
        r"gives \(3, 6, 6\) and says \(3, 7, 7\)",
    ),
    "no operations": (lambda r, t: r["network"].update(operations=[]), "it has no layers"),
    "another format": (lambda r, t: _weight(r).update(number_format="fixed4"), "no code of its format"),
    "a scale of blocks": (
        lambda r, t: _weight(r)["scale"]["fields"].update(granularity={"class": "Block", "fields": {"size": 4}}),
        "blocks have codes of a scale format",
    ),
    "a far scale": (
        lambda r, t: _weight(r)["scale"]["fields"]["factors"]["fields"].update(points=[10**9]),
        "-512 to 512",
    ),
    "a radix point": (lambda r, t: _fields(r, 0).update(fraction_bits=9), "another format or radix point"),
    "a far radix point": (lambda r, t: _fields(r, 0).update(fraction_bits=5000), "radix point 5000, beyond 1022"),
    "too narrow sums": (lambda r, t: _fields(r, 1).update(accumulator_bits=8), r"its sums need .* not 8"),
    "an unknown field": (lambda r, t: _fields(r, 1).update(sparsity=2), "sparsity, which this version does not know"),
    "a far padding": (lambda r, t: _fields(r, 1).update(padding=[[2**30, 0], [0, 0]]), "padding is out of range"),
    "a type": (lambda r, t: _fields(r, 1).update(groups=True), "groups must be int, not True"),
    "weights of another shape": (
        lambda r, t: t.update({name: each[:, :9] for name, each in t.items() if each.ndim == 2}),
        "its weights take 9 values",
    ),
    "weights that are missing": (lambda r, t: t.clear(), "must be the tensor"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_file_is_refused_in_one_line(
    forgery: str, small: tuple[BitExactNetwork, Tensor], tmp_path: Path
) -> None:
    change, message = FORGERIES[forgery]
    path = _forged(small[0], tmp_path / "n", lambda record, tensors: (change(record, tensors), None)[1])
    with pytest.raises(fb.ModelError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def _spoil(record: Record, tensors: dict[str, Tensor]) -> None:
    for tensor in tensors.values():
        tensor.view(torch.int32).fill_(0x7FC00000)  # a NaN's code


def test_weights_that_are_nan_are_refused(tmp_path: Path) -> None:
    network, _ = _network("float32")
    path = _forged(network, tmp_path / "n", _spoil)
    with pytest.raises(fb.ModelError, match="a weight is NaN or infinite"):
        load(path)


def test_a_file_without_digest_is_refused(small: tuple[BitExactNetwork, Tensor], tmp_path: Path) -> None:
    small[0].save(tmp_path / "n")
    tensors, record = read_tensors(tmp_path / "n")
    save_file(tensors, tmp_path / "n", {"fewbits": json.dumps(record)})
    with pytest.raises(fb.ModelError, match="carries no digest"):
        load(tmp_path / "n")


def test_a_deeply_nested_record_is_refused(small: tuple[BitExactNetwork, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "n"
    write_tensors(
        path, {}, '{"content": "bit-exact network", "format": 1, "network": ' + "[" * 10**5 + "]" * 10**5 + "}"
    )
    with pytest.raises(fb.ModelError, match="damaged"):
        load(path)


def test_other_kinds_of_files_are_named(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "t.pt")
    np.save(tmp_path / "a.npy", np.zeros(3))
    write_tensors(tmp_path / "weights", {"w": torch.zeros(3)}, '{"key": "x"}')
    (tmp_path / "text").write_text("hello")
    for name, what in {
        "t.pt": "a zip file",
        "a.npy": "an array of numpy",
        "weights": "trained network's",
        "text": "no file of tensors",
    }.items():
        with pytest.raises(fb.ModelError, match=what):
            load(tmp_path / name)
    with pytest.raises(fb.ModelError, match="no file"):
        load(tmp_path)
    with pytest.raises(fb.ModelError, match="no file"):
        load(tmp_path / "absent")


def test_nothing_is_pickled(small: tuple[BitExactNetwork, Tensor], tmp_path: Path) -> None:
    small[0].save(tmp_path / "n")
    with safe_open(tmp_path / "n", framework="np") as file:  # another reader of the format reads it
        assert file.metadata()["fewbits"].startswith('{"content"')


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    small: tuple[BitExactNetwork, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n"
    small[0].save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(fb.ModelError, match="No space left"):
        small[0].save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["n"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Labelled(ReLU):
    """An operation from outside, whose field has no form in a file."""

    tags: object = dataclasses.field(default_factory=set)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300])
def test_what_is_no_name_of_a_file_is_refused_in_one_line(name: str, small: tuple[BitExactNetwork, Tensor]) -> None:
    with pytest.raises(fb.ModelError, match=r"give another (name|folder)$"):
        small[0].save(name)


def test_a_field_without_form_is_refused_when_saved(small: tuple[BitExactNetwork, Tensor], tmp_path: Path) -> None:
    network = small[0]
    odd = Labelled(name="odd", inputs=(network.operations[-1].name,), output_shape=network.output_shape)
    with pytest.raises(fb.ModelError, match=r"operations\.[0-9]+\.tags is set, which cannot be saved"):
        BitExactNetwork((*network.operations, odd), network.precision, network.input_shape).save(tmp_path / "n")
    assert not (tmp_path / "n").exists()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Foreign(Operation):
    """An operation from outside of which nothing is known."""


def test_behind_an_operation_from_outside_shapes_and_widths_are_still_checked(
    small: tuple[BitExactNetwork, Tensor],
) -> None:
    operations = list(small[0].operations)
    last = operations.pop()
    assert isinstance(last, Layer)
    foreign = Foreign(name="foreign", inputs=last.inputs, output_shape=last.input_shape)
    behind = dataclasses.replace(last, inputs=("foreign",))
    check_network([*operations, foreign, behind], small[0].input_shape)
    with pytest.raises(fb.ModelError, match="its sums need"):
        check_network([*operations, foreign, dataclasses.replace(behind, accumulator_bits=9)], small[0].input_shape)
    odd = dataclasses.replace(foreign, output_shape=(26,))
    with pytest.raises(fb.ModelError, match="its weights take 27 values"):
        check_network([*operations, odd, behind], small[0].input_shape)


def test_layers_are_what_they_were(small: tuple[BitExactNetwork, Tensor], tmp_path: Path) -> None:
    small[0].save(tmp_path / "n")
    assert [type(one) for one in load(tmp_path / "n").operations] == [type(one) for one in small[0].operations]
    assert all(isinstance(one, Layer) for one in load(tmp_path / "n").layers)


@dataclasses.dataclass(frozen=True)
class Knee:
    """A value inside an operation."""

    at: int
    table: np.ndarray[Any, np.dtype[np.int64]]
    kind: Literal["hard", "soft"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Bent(ReLU):
    """An operation from outside, with a value that has fields of its own."""

    knee: Knee
    label: str = "bent"


def test_values_inside_an_operation_come_back(small: tuple[BitExactNetwork, Tensor]) -> None:
    operation = Bent(name="b", inputs=("input",), output_shape=(1,), knee=Knee(2**70, np.arange(3), "soft"))
    writer = Writer()
    data = json.loads(json.dumps(writer.value(operation, "o")))
    loaded = Reader(writer.tensors, {}).value(data, Operation, "o")
    assert isinstance(loaded, Bent)
    assert (loaded.knee.at, loaded.knee.kind, loaded.knee.table.tolist()) == (2**70, "soft", [0, 1, 2])
    del data["fields"]["label"]  # a field that came later
    assert Reader(writer.tensors, {}).value(data, Operation, "o").label == "bent"
    data["fields"]["knee"]["fields"]["kind"] = "steep"
    with pytest.raises(fb.ModelError, match=r"o\.knee\.kind must be one of"):
        Reader(writer.tensors, {}).value(data, Operation, "o")


class Side(Enum):
    """A choice."""

    LEFT = 1
    RIGHT = 2


@dataclasses.dataclass(frozen=True)
class Everything:
    """A value of each form."""

    side: Side
    raw: bytes
    tensor: Tensor
    wide: np.ndarray[Any, np.dtype[Any]]
    pair: tuple[int, float]
    maybe: tuple[str, ...] | None = None


EVERYTHING = Everything(
    Side.RIGHT, b"\x00\xff", torch.arange(3), np.array([[2**90, -1], [0, -(2**64)]], dtype=object), (3, -0.0), ("a",)
)


def _data() -> tuple[Record, Reader]:
    writer = Writer()
    return json.loads(json.dumps(writer.value(EVERYTHING, "e"))), Reader(writer.tensors, {})


def test_each_form_of_value_comes_back() -> None:
    data, reader = _data()
    loaded = reader.value(data, Everything, "e")
    assert (loaded.side, loaded.raw, loaded.tensor.tolist()) == (Side.RIGHT, b"\x00\xff", [0, 1, 2])
    assert loaded.wide.tolist() == [[2**90, -1], [0, -(2**64)]]
    assert (loaded.pair, math.copysign(1, loaded.pair[1]), loaded.maybe) == ((3, 0.0), -1, ("a",))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("side", "UP", "e.side must be one of LEFT, RIGHT, not 'UP'"),
        ("raw", "0g", "e.raw must be hexadecimal digits"),
        ("tensor", "e.wide", "e.tensor must be the tensor 'e.tensor'"),
        ("wide", {"bytes": "e.tensor"}, "e.wide must be the tensor 'e.wide'"),
        ("pair", [1, 2.0, 3.0], "e.pair must be a list of 2"),
        ("pair", [1, float("nan")], "e.pair.1 must be float, not nan"),
        ("pair", 4, "e.pair must be a list, not 4"),
        ("maybe", [1], "e.maybe.0 must be str, not 1"),
    ],
)
def test_a_value_of_another_form_is_refused_with_its_place(field: str, value: object, message: str) -> None:
    data, reader = _data()
    data["fields"][field] = value
    with pytest.raises(fb.ModelError, match=re.escape(message)):
        reader.value(data, Everything, "e")
