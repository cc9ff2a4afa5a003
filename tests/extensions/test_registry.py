"""Registries of extensions: names at once, objects when asked for, one line that names the giver of what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits import extensions
from fewbits.data import READERS
from fewbits.export import EXPORTERS
from fewbits.formats import all_format_names
from fewbits.train import RECIPES

Install = Callable[..., None]


class _Sigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


_FAMILY = """
from dataclasses import dataclass
from fewbits.formats import FixedPoint, FormatFamily

@dataclass(frozen=True)
class Halves(FixedPoint):
    name = "halves8"
    family = "halves"

FAMILY = FormatFamily("halves", "halves8", lambda text: Halves(8), ("halves8",), "halves8")
"""
RECIPE = "from fewbits.train import Recipe\nrecipe = Recipe('theirs', 'nothing', train=lambda run: None)\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution of one module with one entry point, `name = module:object` of a group."""
    modules: list[str] = []

    def install_one(distribution: str, group: str, entry: str, code: str) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-2.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
        module = entry.partition("=")[2].partition(":")[0].strip()
        modules.append(module)
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        invalidate_caches()
        extensions.found.cache_clear()

    extensions.found.cache_clear()
    yield install_one
    extensions.found.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


def test_an_extension_is_listed_behind_fewbits_own(install: Install) -> None:
    own = list(RECIPES)
    install("one", "fewbits.recipes", "theirs = one:recipe", RECIPE)
    assert list(RECIPES) == [*own, "theirs"]
    assert len(RECIPES) == len(own) + 1
    assert RECIPES["theirs"].summary == "theirs"
    assert extensions.giver_of("recipes", "theirs") == "one 2.0"
    assert extensions.giver_of("recipes", "lsq") is None


def test_listing_does_not_import(install: Install) -> None:
    install("one", "fewbits.recipes", "theirs = one:recipe", "raise RuntimeError('imported')\n")
    assert "theirs" in list(RECIPES)
    assert "one" not in sys.modules


def test_a_broken_extension_is_named_where_it_is_asked_for_and_disturbs_nobody_else(install: Install) -> None:
    install("one", "fewbits.recipes", "theirs = one:recipe", "import a_package_that_is_not_there\n")
    assert RECIPES["lsq"].start == "float"
    with pytest.raises(
        fb.ExtensionError, match=r"recipe 'theirs' of one 2.0 cannot be loaded from 'one:recipe': Module"
    ):
        _ = RECIPES["theirs"]


def test_a_module_that_exits_is_broken_like_any_other(install: Install) -> None:
    install("one", "fewbits.recipes", "theirs = one:recipe", "import sys\nsys.exit(3)\n")
    with pytest.raises(fb.ExtensionError, match=r"recipe 'theirs' of one 2.0 cannot be loaded .* SystemExit: 3"):
        _ = RECIPES["theirs"]


def test_a_broken_operation_leaves_networks_alone_that_have_forms_without_it(install: Install) -> None:
    install("one", "fewbits.operations", "theirs = one:kind", "1 / 0\n")
    assert fb.cost("lenet", "fixed8").cycles > 0


@pytest.mark.parametrize("curve", [nn.SiLU(), _Sigmoid()], ids=["module", "call"])
def test_a_broken_operation_is_named_where_something_has_no_form(curve: nn.Module, install: Install) -> None:
    install("one", "fewbits.operations", "theirs = one:kind", "1 / 0\n")
    network = nn.Sequential(nn.Conv2d(1, 2, 3), curve, nn.Conv2d(2, 2, 3))
    with pytest.raises(fb.ModelError, match=r"no bit-exact form of it.*; operation 'theirs' of one 2.0 cannot be load"):
        fb.cost(network, "fixed8", input_shape=(1, 8, 8))


def test_a_broken_format_leaves_others_alone_and_is_named_where_a_format_is_unknown(install: Install) -> None:
    install("one", "fewbits.formats", "theirs = one:FAMILY", "1 / 0\n")
    install("two", "fewbits.formats", "halves = two:FAMILY", _FAMILY)
    assert "halves8" in all_format_names()
    assert fb.parse_format("halves8").bits == 8
    with pytest.raises(
        fb.FormatError, match=r"unknown format 'theirs8': .*; format 'theirs' of one 2.0 cannot be load"
    ):
        fb.parse_format("theirs8")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("Abstract()", "'halves' fails to make 'halves8': TypeError: Can't instantiate abstract class Abstract with"),
        (
            "FixedPoint(8)",
            "gives a Format of the name 'fixed8' and the family 'fixed' for 'halves8': a Format of the name",
        ),
        ("8", "gives 8 for 'halves8': a Format of the name 'halves8' and the family 'halves' is due"),
    ],
)
def test_what_a_family_does_wrong_is_one_line_with_its_name(made: str, message: str, install: Install) -> None:
    abstract = "from fewbits.formats import Format\nclass Abstract(Format):\n    name = 'halves8'\n"
    install("two", "fewbits.formats", "halves = two:FAMILY", abstract + _FAMILY.replace("Halves(8)", made))
    with pytest.raises(fb.ExtensionError, match=re.escape(message)):
        fb.parse_format("halves8")


@pytest.mark.parametrize("half", ["0", "1"])
def test_a_format_that_rounds_zero_to_a_fraction_has_no_padding(half: str, install: Install) -> None:
    rounding = f"    def nearest(self, x):\n        return Fraction({half}, 2)\n"
    code = "from fractions import Fraction\n" + _FAMILY.replace(
        '    family = "halves"\n', f'    family = "halves"\n{rounding}'
    )
    install("two", "fewbits.formats", "halves = two:FAMILY", code)
    halves = fb.parse_format("halves8")
    assert halves.has_zero == (half == "0")
    if half == "1":
        with pytest.raises(fb.FormatError, match="halves8 rounds zero to 1/2, and what is padded must be an integer"):
            _ = halves.rounded_zero


def test_the_list_of_formats_ends_with_what_is_broken(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    from fewbits.cli import main

    install("one", "fewbits.formats", "theirs = one:FAMILY", "1 / 0\n")
    assert main(["formats"]) == 0
    listed = capsys.readouterr()
    assert "fixed8 " in listed.out
    assert listed.err.startswith("fewbits: format 'theirs' of one 2.0 cannot be loaded")


def test_a_broken_dataflow_leaves_others_alone_and_is_named_where_an_accelerator_is_unknown(install: Install) -> None:
    install("one", "fewbits.dataflows", "theirs = one:DATAFLOW", "1 / 0\n")
    assert fb.hardware.accelerator_named("diannao-16x16") == fb.Accelerator()
    with pytest.raises(fb.HardwareError, match=r"install the package that has it; dataflow 'theirs' of one 2.0 cannot"):
        fb.hardware.accelerator_named("theirs-16x16")


_KIND = (
    "from fewbits.graph import KindOfOperation\nfrom torch import nn\nclass Theirs(KindOfOperation):\n"
    "    name, meanings, effect, keeps_dims = 'theirs', (nn.SiLU,), 'operands', True\n    {}\nkind = Theirs()\n"
)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("name = None", "operation 'theirs' of one 2.0 has no name: set it to a text"),
        ("meanings = nn.SiLU", "of one 2.0 declares meanings that are no tuple of classes"),
        ("calls = ('silu',)", "of one 2.0 declares calls that are no mapping"),
        ("lower = lambda self, call: None", "operation 'theirs' lowers '1' to nothing: add an operation, or pass on"),
    ],
)
def test_what_a_kind_declares_wrongly_is_one_line_with_its_name(declared: str, message: str, install: Install) -> None:
    install("one", "fewbits.operations", "theirs = one:kind", _KIND.format(declared))
    images = torch.rand(2, 1, 8, 8)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.Conv2d(2, 2, 3))
    with pytest.raises(fb.ModelError, match=re.escape(message)):
        fb.lower(fb.calibrate(fb.quantize(network, "fixed8"), images), images)


def test_a_class_in_the_place_of_its_instance_is_named(install: Install) -> None:
    code = "from fewbits.graph import KindOfOperation\nclass Theirs(KindOfOperation):\n    name = 'theirs'\n"
    install("one", "fewbits.operations", "theirs = one:Theirs", code)
    with pytest.raises(fb.ModelError, match=r"'theirs' of one 2.0 is the class Theirs: name an instance of it"):
        fb.cost(nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU()), "fixed8", input_shape=(1, 8, 8))


def test_an_object_that_is_not_there_is_named(install: Install) -> None:
    install("one", "fewbits.recipes", "theirs = one:receipt", RECIPE)
    with pytest.raises(fb.ExtensionError, match=r"cannot be loaded from 'one:receipt': AttributeError"):
        _ = RECIPES["theirs"]


def test_an_object_of_another_class_is_named(install: Install) -> None:
    install("one", "fewbits.exporters", "theirs = one:recipe", RECIPE)
    with pytest.raises(fb.ExtensionError, match=r"exporter 'theirs' of one 2.0 is Recipe, not Exporter"):
        _ = EXPORTERS["theirs"]


def test_an_object_that_refuses_itself_is_named(install: Install) -> None:
    install("one", "fewbits.recipes", "theirs = one:recipe", RECIPE.replace("nothing", "anywhere"))
    with pytest.raises(fb.ExtensionError, match=r"'theirs' of one 2.0 .*ModelError: a recipe's start is one of"):
        _ = RECIPES["theirs"]


def test_a_name_that_two_packages_give_names_both(install: Install) -> None:
    install("one", "fewbits.recipes", "theirs = one:recipe", RECIPE)
    install("two", "fewbits.recipes", "theirs = two:recipe", RECIPE)
    assert RECIPES["lsq"].start == "float"
    with pytest.raises(
        fb.ExtensionError, match=r"is given by (one|two) 2.0 \(.*\) and by (one|two) 2.0 \(.*\): uninstall"
    ):
        _ = RECIPES["theirs"]


def test_a_name_of_fewbits_own_cannot_be_taken(install: Install) -> None:
    install("one", "fewbits.recipes", "lsq = one:recipe", RECIPE)
    assert list(RECIPES).count("lsq") == 1
    with pytest.raises(fb.ExtensionError, match=r"recipe 'lsq' of one 2.0 has a name of fewbits' own: rename it there"):
        _ = RECIPES["lsq"]


def test_a_name_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        _ = RECIPES["theirs"]


def test_groups_that_fewbits_does_not_know_are_no_ones_concern(install: Install) -> None:
    before = [list(RECIPES), list(READERS), list(EXPORTERS)]
    install("one", "fewbits.colours", "theirs = one:recipe", RECIPE)
    assert [list(RECIPES), list(READERS), list(EXPORTERS)] == before


def test_a_broken_reader_is_named_where_no_other_reads(install: Install, tmp_path: Path) -> None:
    install("one", "fewbits.readers", "theirs = one:reader", "1 / 0\n")
    assert fb.data.load("digits").classes == 10
    with pytest.raises(fb.DataError, match=r"holds no data set: .*; reader 'theirs' of one 2.0 cannot be loaded"):
        fb.data.load(tmp_path)


_READER = (
    "from fewbits.data import Reader, Arrays\nimport numpy as np\nreader = Reader('a thing', lambda path: True, READ)\n"
)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ("lambda path: {}['x']", "the reader 'theirs' of one 2.0 failed on .*: KeyError"),
        ("lambda path: Arrays(*[np.zeros((2, 1, 3, 3))] * 4)", "must give images as uint8, .* not float64 of shape"),
        ("lambda path: Arrays(*[np.zeros((2, 3), 'u1')] * 4)", r"not uint8 of shape \(2, 3\)"),
    ],
)
def test_what_a_reader_does_wrong_is_one_line_with_its_name(
    read: str, message: str, install: Install, tmp_path: Path
) -> None:
    install("one", "fewbits.readers", "theirs = one:reader", _READER.replace("READ)", f"{read})"))
    with pytest.raises(fb.DataError, match=message):
        fb.data.load(tmp_path)


_EXPORTER = "from fewbits.export import Exporter\nexporter = Exporter('a thing', WRITE)\n"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        ("lambda network, path: 1 / 0", "exporter 'theirs' of one 2.0 failed: ZeroDivisionError"),
        ("lambda network, path: None", "exporter 'theirs' of one 2.0 wrote no file 'net.h'"),
    ],
)
def test_an_exporter_that_fails_leaves_the_old_file(write: str, message: str, install: Install, tmp_path: Path) -> None:
    from fewbits.export import export_network

    install("one", "fewbits.exporters", "theirs = one:exporter", _EXPORTER.replace("WRITE", write))
    (tmp_path / "net.h").write_text("old")
    with pytest.raises(fb.ModelError, match=message):
        export_network(SimpleNamespace(layers=()), "theirs", tmp_path / "net.h")  # pyright: ignore[reportArgumentType]
    assert (tmp_path / "net.h").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.h", "one"]


def test_help_lists_extensions(examples: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{Path(fb.__file__).parents[1]}:{examples}"}
    for command, name in (("run", "alpha-blending"), ("export", "c-header")):
        asked = [sys.executable, "-m", "fewbits", command, "--help"]
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=True)
        assert name in done.stdout
