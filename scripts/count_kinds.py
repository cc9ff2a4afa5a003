"""Count the lines under src/ that decide by a kind outside the place where that kind lives.

Usage: python scripts/count_kinds.py [CHECKOUT] [--list]
A line counts, once a counter, where one of these expressions begins. They are found in the syntax tree, so that no
comment or text counts:
- a call of isinstance or issubclass, a comparison with type(x), a `case` with a class pattern, that names a kind;
- a comparison (==, !=, in, not in, is, <) of an attribute `.family`, of one of OPCODES, or of `kind` with KIND_TEXTS;
- one of FLAGS by itself as a condition: of if, while, assert, a conditional expression or a comprehension, a part of
  and, or, not, of a comparison, of &, | and ~ between signals, or of Amaranth's Mux, m.If and m.Elif.
Kinds are, by counter:
- operation: what is derived from bitexact's Operation; the kind of a workload's layer (KIND_TEXTS);
- family: what is derived from formats' Format; `.family`; flags of precisions and circuits (is_float and its like);
- module: classes of torch.nn but NO_KINDS, fewbits' own modules and the markers of traced calls (MARKERS);
- opcode: the values of the accelerator's field `operation`, and flags in hardware/ that say no more than such a value.
A constant of a module that is made of kinds (a tuple, a set, a union) is a kind too, wherever it is imported. A table
keyed by kind does not count: it is no decision. Files of HOMES are left out.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

HOMES = ("formats/*", "graph/*", "hardware/datapath/*", "hardware/dataflow/*/tables.py")
"""Where kinds live, below src/fewbits; `*` also matches what lies in folders."""

BASES = {"Format": "family", "Operation": "operation"}
"""Base class to the counter of what is derived from it."""

MARKERS = frozenset(
    {
        *("FloatLayer", "QuantizedLayer", "TensorRounding", "FoldedNorm"),
        *("Addition", "Concatenation", "Reshape", "View", "Squeeze", "Unsqueeze"),
    }
)
"""Module kinds of fewbits: classes of quantize/ (where not derived from Operation), by name."""

NO_KINDS = frozenset({"Module", "Parameter", "ModuleList", "ModuleDict", "DataParallel", "UninitializedParameter"})
"""Of torch.nn: what no operation is."""

FLAGS = {
    "family": frozenset({"is_float", "is_integer", "is_float32", "is_popcount"}),
    "opcode": frozenset({"weighted", "_weighted", "pools", "averages", "neurons_average", "has_weights"}),
}
OPCODES = frozenset({"WEIGHTED", "MAXIMUM", "AVERAGE"})
KIND_TEXTS = frozenset({"convolution", "linear", "max-pool", "average-pool", "addition"})
"""Of the workload (`LayerShape.kind`)."""

COUNTERS = ("operation", "family", "module", "opcode")

NN = ("nn", "torch.nn")
Place = tuple[str, str]
"""A dotted module and a name in it."""


@dataclass
class Source:
    """A parsed file."""

    path: str
    """Below src/fewbits."""

    module: str
    tree: ast.Module
    lines: list[str]
    imported: dict[str, Place] = field(default_factory=dict[str, Place])
    """By its name here, where a name is from."""


def read(package: Path) -> list[Source]:
    """All files of the package."""
    found: list[Source] = []
    for path in sorted(package.rglob("*.py")):
        text, relative = path.read_text(encoding="utf-8"), path.relative_to(package)
        parts = [package.name, *relative.with_suffix("").parts]
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source = Source(relative.as_posix(), module, ast.parse(text), text.splitlines())
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                source.imported |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        found.append(source)
    return found


class Kinds:
    """Which counter each name of each module belongs to."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {source.module: source for source in sources}
        self._counters: dict[Place, set[str]] = defaultdict(set)
        while sum(map(self._learn, sources)):
            pass

    def of(self, source: Source, node: ast.expr) -> set[str]:
        """The counters of the kinds that an expression is made of: names, tuples, sets, unions, calls of frozenset."""
        match node:
            case ast.Name(id=name):
                return self._counters.get(self._origin((source.module, name)), set())
            case ast.Attribute(attr=name) if ast.unparse(node.value) in NN:
                return {"module"} if name[0].isupper() and name not in NO_KINDS else set()
            case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
                return set().union(*(self.of(source, element) for element in elements))
            case ast.BinOp(left=left, right=right):
                return self.of(source, left) | self.of(source, right)
            case ast.Starred(value=value):
                return self.of(source, value)
            case ast.Call(func=ast.Name(id="frozenset" | "tuple" | "set"), args=arguments):
                return set().union(*(self.of(source, each) for each in arguments))
            case _:
                return set()

    def _origin(self, place: Place) -> Place:
        """Where a name was made, through packages that hand it on."""
        for _ in range(9):
            source = self._sources.get(place[0])
            if source is None or place[1] not in source.imported:
                break
            place = source.imported[place[1]]
        return place

    def _learn(self, source: Source) -> int:
        """Note the kinds that a file makes; how many were new."""
        before = sum(map(len, self._counters.values()))
        for node in source.tree.body:
            match node:
                case ast.ClassDef(name=name, bases=bases):
                    counters = {BASES[one.id] for one in bases if isinstance(one, ast.Name) and one.id in BASES}
                    derived = set().union(*(self.of(source, base) for base in bases)) & set(BASES.values())
                    self._add(source, name, counters | derived or ({"module"} if name in MARKERS else set()))
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    self._add(source, name, self.of(source, value))
                case _:
                    pass
        return sum(map(len, self._counters.values())) - before

    def _add(self, source: Source, name: str, counters: set[str]) -> None:
        if counters:
            self._counters[source.module, name] |= counters


Decision = tuple[str, int]
"""Counter and line."""


def decisions(source: Source, kinds: Kinds) -> Iterator[Decision]:
    """Where a file decides by a kind."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kind]):
                yield from ((counter, node.lineno) for counter in kinds.of(source, kind))
            case ast.MatchClass(cls=kind):
                yield from ((counter, node.lineno) for counter in kinds.of(source, kind))
            case ast.Compare(left=left, comparators=others):
                yield from ((counter, node.lineno) for counter in _compared(source, kinds, [left, *others]))
            case _:
                pass
        for condition in _conditions(node):
            yield from ((counter, condition.lineno) for counter in _flags(source, condition))


def _compared(source: Source, kinds: Kinds, operands: list[ast.expr]) -> Iterator[str]:
    """The counters of a comparison."""
    leaves = [leaf for operand in operands for leaf in _leaves(operand)]
    attributes = {leaf.attr for leaf in leaves if isinstance(leaf, ast.Attribute)}
    names = {leaf.id for leaf in leaves if isinstance(leaf, ast.Name)}
    texts = {leaf.value for leaf in leaves if isinstance(leaf, ast.Constant)}
    if "family" in attributes:
        yield "family"
    if (names | attributes) & OPCODES:
        yield "opcode"
    if "kind" in (names | attributes) and texts & KIND_TEXTS:
        yield "operation"
    if any(isinstance(one, ast.Call) and ast.unparse(one.func) == "type" for one in operands):
        yield from (counter for operand in operands for counter in kinds.of(source, operand))


def _leaves(node: ast.expr) -> Iterator[ast.Attribute | ast.Name | ast.Constant]:
    """What stands on a side of a comparison: a value, or those of a tuple, a set or a list."""
    match node:
        case ast.Attribute() | ast.Name() | ast.Constant():
            yield node
        case ast.Tuple(elts=elements) | ast.Set(elts=elements) | ast.List(elts=elements):
            for element in elements:
                yield from _leaves(element)
        case _:
            pass


def _conditions(node: ast.AST) -> list[ast.expr]:
    """The expressions of a node whose truth decides."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return [test]
        case ast.comprehension(ifs=tests) | ast.BoolOp(values=tests):
            return tests
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=test):
            return [test]
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr(), left=left, right=right):
            return [left, right]
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case ast.Call(func=ast.Name(id="Mux"), args=[test, *_]):
            return [test]
        case ast.Call(func=ast.Attribute(attr="If" | "Elif"), args=[test]):
            return [test]
        case _:
            return []


def _flags(source: Source, condition: ast.expr) -> Iterator[str]:
    """The counters of a flag that is a condition by itself; what a condition is made of is one of its own."""
    if isinstance(condition, ast.Attribute | ast.Name):
        name = condition.attr if isinstance(condition, ast.Attribute) else condition.id
        below = {counter for counter in FLAGS if counter != "opcode" or source.path.startswith("hardware/")}
        yield from (counter for counter in below if name in FLAGS[counter])


def counted(checkout: Path) -> dict[str, dict[str, set[int]]]:
    """By counter and file, the lines that decide."""
    sources = read(checkout / "src" / "fewbits")
    kinds = Kinds(sources)
    found: dict[str, dict[str, set[int]]] = {counter: defaultdict(set) for counter in COUNTERS}
    for source in sources:
        if not any(fnmatch(source.path, home) for home in HOMES):
            for counter, line in decisions(source, kinds):
                found[counter][source.path].add(line)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    parser.add_argument("--list", action="store_true", help="print the lines")
    given = parser.parse_args(arguments)
    found, total = counted(given.checkout), 0
    for counter, files in found.items():
        lines = sum(map(len, files.values()))
        total += lines
        print(f"{counter}: {lines} lines in {len(files)} files")
        for path, numbers in sorted(files.items(), key=lambda one: (-len(one[1]), one[0])):
            print(f"  {len(numbers):3} {path}")
            if given.list:
                text = (given.checkout / "src" / "fewbits" / path).read_text(encoding="utf-8").splitlines()
                print("\n".join(f"      {number:4}: {text[number - 1].strip()}" for number in sorted(numbers)))
    print(f"total: {total} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
