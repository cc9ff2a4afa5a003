"""Count rooms, arrows, upward arrows and circles of the import graph.

Usage: python scripts/import_graph.py [CHECKOUT] [--list]
A room is a package or module right below fewbits; in a package of DIVIDED, a package or module right below that, its
`__init__` being one too (that of fewbits itself is none). An arrow leads from a room to one that a file in it imports,
at its head or inside a function; a name that an `__init__` hands on counts as imported from where it was made. An arrow
is upward if ORDER has its end above its beginning; inside a divided package the fewest arrows count that lead upward
however its rooms are ordered. A circle is a set of rooms each of which reaches all the others. Each count is given
without imports under `if TYPE_CHECKING:` and with them, as ../shared/design.md counts.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

ORDER = (
    (
        "errors",
        "arguments",
        "compiled",
        "devices",
        "extensions",
        "lazy",
        "output_folder",
        "tensor_file",
        "toml_table",
        "assignment_table",
        "torch_data",
    ),
    ("executors",),
    ("formats",),
    ("graph",),
    ("quantize", "quantization"),
    ("train", "models", "data"),
    ("bitexact",),
    ("hardware", "export"),
    ("search",),
    ("study",),
    ("report",),
    ("exit_status", "cli", "__main__"),
)
"""The packages from the lowest, those of one line side by side (../shared/design.md); first what all others share."""

DIVIDED = ("hardware", "quantize", "quantization", "graph", "bitexact")

Room = str
Arrow = tuple[Room, Room]
Graph = dict[Room, set[Room]]


class Package:
    """The imports of a checkout's package."""

    def __init__(self, folder: Path, with_types: bool) -> None:
        self._name = folder.name
        self._with_types = with_types
        self._trees: dict[str, ast.Module] = {}
        for path in sorted(folder.rglob("*.py")):
            parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
            self._trees[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
        self._handed_on = {
            (module.removesuffix(".__init__"), alias.asname or alias.name): (made, alias.name)
            for module in self._trees
            if module.endswith(".__init__")
            for made, alias in self._imported_names(module, with_types=True)
        }

    def graph(self, rooms_of: str | None = None) -> Graph:
        """By room, the rooms that it imports. rooms_of: a package to divide, alone; None: all of them, undivided."""
        found: Graph = {}
        for module in self._trees:
            source = self._room(module, rooms_of)
            if source is None:
                continue
            targets = found.setdefault(source, set())
            targets |= {room for made in self.imports[module] if (room := self._room(made, rooms_of)) is not None}
            targets.discard(source)
        return found

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """By module, the modules that it imports, dotted; an `__init__` ends its package's name."""
        return {module: self._imports(module) for module in self._trees}

    def _room(self, module: str, rooms_of: str | None) -> Room | None:
        parts = module.split(".")
        if rooms_of is None:
            return parts[1] if len(parts) > 1 and parts[1] != "__init__" else None
        return parts[2] if len(parts) > 2 and parts[1] == rooms_of else None

    def _imports(self, module: str) -> set[str]:
        """The modules that a module imports, each name from where it was made."""
        found = {self._origin((made, alias.name)) for made, alias in self._imported_names(module, self._with_types)}
        for node in self._nodes(self._trees[module], self._with_types):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name.split(".")[0] == self._name}
        return found

    def _imported_names(self, module: str, with_types: bool) -> Iterator[tuple[str, ast.alias]]:
        """Each name taken by `from ... import`, with the module that it is taken from."""
        for node in self._nodes(self._trees[module], with_types):
            if isinstance(node, ast.ImportFrom):
                made = node.module or ""
                if node.level:
                    parts = module.split(".")[: -node.level]
                    made = ".".join([*parts, *filter(None, [node.module])])
                if made.split(".")[0] == self._name:
                    yield from ((made, alias) for alias in node.names)

    def _origin(self, place: tuple[str, str]) -> str:
        """The module that a name was made in."""
        for _ in range(9):
            module, name = place
            if f"{module}.{name}" in self._trees or f"{module}.{name}.__init__" in self._trees:
                return f"{module}.{name}"
            if place not in self._handed_on:
                break
            place = self._handed_on[place]
        return place[0]

    def _nodes(self, node: ast.AST, with_types: bool) -> Iterator[ast.AST]:
        """All nodes below, without what only a type checker reads."""
        yield node
        for child in ast.iter_child_nodes(node):
            is_typing = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            if with_types or not is_typing or child not in node.body:
                yield from self._nodes(child, with_types)


def upward(graph: Graph) -> list[Arrow]:
    """The arrows between packages that lead upward."""
    places = {name: number for number, names in enumerate(ORDER) for name in names}
    return [one for one in arrows(graph) if places.get(one[1], -1) > places.get(one[0], len(ORDER))]


def fewest_upward(graph: Graph) -> list[Arrow]:
    """The fewest arrows that lead upward, whatever the order of the rooms: all are in circles."""
    return [arrow for rooms in circles(graph) for arrow in _fewest(graph, rooms)]


def _fewest(graph: Graph, rooms: Sequence[Room]) -> list[Arrow]:
    """The same of one circle: by all sets of rooms, the least when these are the lowest, each time by the topmost."""
    best: dict[int, list[Arrow]] = {0: []}
    for lowest in range(1, 1 << len(rooms)):
        members = [number for number in range(len(rooms)) if lowest >> number & 1]
        choices = (
            best[lowest ^ 1 << top] + [(rooms[one], rooms[top]) for one in members if rooms[top] in graph[rooms[one]]]
            for top in members
        )
        best[lowest] = min(choices, key=len)
    return best[(1 << len(rooms)) - 1]


def arrows(graph: Graph) -> list[Arrow]:
    """All arrows of a graph."""
    return [(source, target) for source in sorted(graph) for target in sorted(graph[source])]


def circles(graph: Graph) -> list[list[Room]]:
    """The strongly connected components of more than one room."""
    reached = {room: _reached(graph, room) for room in graph}
    found = {frozenset(other for other in reached[room] if room in reached.get(other, ())) for room in graph}
    return sorted(sorted(rooms) for rooms in found if len(rooms) > 1)


def _reached(graph: Graph, start: Room) -> set[Room]:
    found: set[Room] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    parser.add_argument("--list", action="store_true", help="print the arrows")
    given = parser.parse_args(arguments)
    for with_types in (False, True):
        print("with imports for types:" if with_types else "without imports for types:")
        package = Package(given.checkout / "src" / "fewbits", with_types)
        for name in (None, *DIVIDED):
            if graph := package.graph(name):
                _print(name or "fewbits", graph, upward(graph) if name is None else fewest_upward(graph), given.list)
    return 0


def _print(name: str, graph: Graph, against: list[Arrow], with_arrows: bool) -> None:
    found = circles(graph)
    counts = (len(graph), len(arrows(graph)), len(against), len(found))
    print("  {}: {} rooms, {} arrows, {} upward, {} circles".format(name, *counts))
    for rooms in found:
        print(f"    circle of {len(rooms)}: {', '.join(rooms)}")
    for source, target in against:
        print(f"    upward: {source} -> {target}")
    for room in sorted(graph) if with_arrows else ():
        print(f"    {room} -> {', '.join(sorted(graph[room])) or 'nothing'}")


if __name__ == "__main__":
    sys.exit(main())
