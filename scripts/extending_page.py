"""Write docs/extending.md from the tested examples in tests/extensions/package: `extending_page.py [--check]`."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "tests" / "extensions" / "package"
PAGE = TOP / "docs" / "extending.md"

KINDS = {
    "formats": "A number format",
    "operations": "A kind of operation",
    "dataflows": "A dataflow",
    "recipes": "A recipe",
    "readers": "A reader of data",
    "exporters": "An exporter",
    "sinks": "A sink of curves and figures",
}
"""Heads of the chapters, by the group of entry points behind `fewbits.`, in the order of the page."""

INTRODUCTION = """# Extending fewbits

<!-- Made by scripts/extending_page.py from tests/extensions/package: edit these files, then run the script. -->

An installed package adds to fewbits what its entry points name: a format, a kind of operation, a dataflow, a recipe, a
reader of data, an exporter, a sink of what studies find. Fewbits itself stays as it is. Commands, error messages and
suggestions then know the new name as they know fewbits' own.

- Below is a real example of each kind, in one file each. Together they are a package that installs as it stands:
  `pip install ./tests/extensions/package`. They use public names only, and the tests run each from end to end.
- Names are looked up when a list is asked for; a file is imported when its name is used. An extension that cannot be
  imported, is of another class, or takes a name that is taken is named in one line, with the package that gives it.
  What does not use it goes on working.
- An entry names an instance: a `FormatFamily`, `KindOfOperation`, `Dataflow`, `Recipe`, `Reader`, `Exporter` or `Sink`.
  A family gives formats whose `name` is what was asked for and whose `family` is its own name.
- A format is trained with, lowered and saved; without a circuit it has no cost and no place in a study. A dataflow's
  presets are for `fewbits.cost(accelerator=...)` and a study's `[accelerator] preset`.
- A study compares with the float32 network: an operation without a form at float32 (no entry in `FLOAT`) has no place
  in one.
- Results of a study are kept by what defines them. That includes the package and version that gives a recipe: raise the
  version when what it computes changes.

Tables by operation (`fewbits.bitexact`, `fewbits.hardware.WORKLOAD`) and what calls an entry; a kind of operation that
brings a class of its own has an entry in each, or refuses there:

| table | called with | gives |
| --- | --- | --- |
| `INTEGER` | the operation, once | what computes batches: float64 tensors of integers |
| `FUSED` | | `ONE_BY_ONE`: the fast executor computes as `INTEGER` does |
| `FLOAT` | the operation and the order of sums, once | what computes batches: float32 arrays of numpy |
| `REFERENCE` | the operation, one image's sources, the order of sums | one image's result, number by number |
| `UNROUNDED` | the operation and its sources' values, tensors | its values, nothing rounded |
| `WORKLOAD` | the operation and the network's precision | its `LayerShape`; None if it takes no cycles |

Sums of 2**53 and more reach `INTEGER` as arrays of Python integers or in limbs; a kind that takes rounded values alone
(`call.operand`, which refuses sums) never sees them.

The package's `pyproject.toml`:

```toml
{pyproject}
```
"""


def page() -> str:
    """The page as the examples are now."""
    text = (PACKAGE / "pyproject.toml").read_text()
    groups: dict[str, dict[str, str]] = tomllib.loads(text)["project"].get("entry-points", {})
    if unknown := groups.keys() - {f"fewbits.{kind}" for kind in KINDS}:
        raise SystemExit(f"no chapter for {', '.join(sorted(unknown))}: add it to KINDS")
    chapters = [INTRODUCTION.format(pyproject=text.strip())]
    for kind, head in KINDS.items():
        for name, entry in groups.get(f"fewbits.{kind}", {}).items():
            chapters.append(_chapter(head, name, entry.partition(":")[0].rpartition(".")[2]))
    return "\n".join(chapters)


def _chapter(head: str, name: str, module: str) -> str:
    """A file: its docstring as text, the rest as code."""
    file = PACKAGE / "src" / "fewbits_examples" / f"{module}.py"
    source = file.read_text()
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree)
    if docstring is None:
        raise SystemExit(f"{file} has no docstring to explain it")
    code = "".join(source.splitlines(keepends=True)[tree.body[0].end_lineno :]).strip()
    test = f"tests/extensions/test_{module}.py"
    links = f"[{file.relative_to(TOP)}](../{file.relative_to(TOP)}), tested by [{test}](../{test})"
    return f"## {head}: `{name}`\n\n{docstring}\n\n{links}\n\n```python\n{code}\n```\n"


def main() -> int:
    """Write the page, or say whether it is up to date."""
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text() == page()
        print(
            "up to date" if same else f"{PAGE.relative_to(TOP)} is not what the examples are: run {Path(__file__).name}"
        )
        return 0 if same else 1
    PAGE.write_text(page())
    print(PAGE.relative_to(TOP))
    return 0


if __name__ == "__main__":
    sys.exit(main())
