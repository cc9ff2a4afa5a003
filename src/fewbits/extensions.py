"""Extensions from outside: kinds that installed packages add by entry points, and who gave what.

A package names its extensions in its `pyproject.toml`, such as `[project.entry-points."fewbits.recipes"]` with the line
`my-recipe = "my_package:my_recipe"`; docs/extending.md has a tested example of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fewbits.errors import FewbitsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_T = TypeVar("_T")

Kind = Literal["formats", "recipes", "readers", "operations", "dataflows", "exporters", "sinks"]
"""What can be added; the group of entry points is `fewbits.` and this."""


class ExtensionError(FewbitsError):
    """An extension that cannot be loaded, or whose name is taken."""


@dataclass(frozen=True)
class Extension:
    """One entry point."""

    name: str
    kind: Kind
    giver: str
    """The distribution that gives it, with its version: `fewbits-posit 1.0`."""

    entry: EntryPoint
    rival: Extension | None = None
    """Another that is given under the same name: then neither can be loaded, and whatever has other names can."""

    def load(self) -> Any:
        """The object that it names.

        Raises ExtensionError, naming the giver, if importing it fails; naming both, if there is a rival.
        """
        if self.rival is not None:
            raise ExtensionError(
                f"{self.kind[:-1]} {self.name!r} is given by {self.rival.giver} ({self.rival.entry.value}) and by "
                f"{self.giver} ({self.entry.value}): uninstall one of them"
            )
        try:
            return self.entry.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ExtensionError(
                f"{self.kind[:-1]} {self.name!r} of {self.giver} cannot be loaded from {self.entry.value!r}: {reason}; "
                f"mend or uninstall {self.giver.split()[0]}"
            ) from error


@cache
def found(kind: Kind) -> Mapping[str, Extension]:
    """The installed extensions of a kind by name, not loaded yet; looked up once a process."""
    from importlib.metadata import entry_points  # here, since `fewbits --help` has no use for it

    extensions: dict[str, Extension] = {}
    for entry in entry_points(group=f"fewbits.{kind}"):
        giver = "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        other = extensions.get(entry.name)
        is_other = other is not None and (other.entry.value, other.giver) != (entry.value, giver)
        extensions[entry.name] = Extension(entry.name, kind, giver, entry, other if is_other else None)
    return extensions


class Registry(Mapping[str, _T]):
    """What there is of a kind, by name: fewbits' own and those of installed packages.

    Names are known at once; an extension is loaded when it is asked for, so that a broken one disturbs nobody else.
    """

    def __init__(self, kind: Kind, own: Mapping[str, _T], what: type[_T]) -> None:
        """what: the class that each entry must be of."""
        self._kind: Kind = kind
        self._own = own
        self._what = what

    def __getitem__(self, name: str) -> _T:
        """The entry of that name.

        Raises KeyError without one, ExtensionError for an extension that cannot be loaded, is of another class, or
        whose name is taken.
        """
        extension = found(self._kind).get(name)
        return self._own[name] if extension is None else loaded(extension, self._own, self._what)

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in found(self._kind) if name not in self._own)

    def __len__(self) -> int:
        return len({*self._own, *found(self._kind)})

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in found(self._kind)


def giver_of(kind: Kind, name: str) -> str | None:
    """The distribution that gives an entry, with its version; None for one of fewbits' own, and for an unknown one."""
    extension = found(kind).get(name)
    return None if extension is None else extension.giver


def usable(kind: Kind, own: Mapping[str, _T], what: type[_T]) -> tuple[dict[str, _T], tuple[str, ...]]:
    """The entries of a kind, fewbits' own and those of installed packages, loaded; and a sentence for each that fails.

    For lists of which an entry's name does not tell who needs it: whoever finds nothing in them says the sentences.
    what: the class that an entry must be of.
    """
    entries, broken = dict(own), list[str]()
    for name, extension in found(kind).items():
        try:
            entries[name] = loaded(extension, own, what)
        except ExtensionError as error:
            broken.append(str(error))
    return entries, tuple(broken)


def loaded(extension: Extension, own: Mapping[str, Any], what: type[_T]) -> _T:
    """The object of one extension.

    Raises ExtensionError if it takes a name of fewbits' own, is of another class, or cannot be loaded.
    """
    if extension.name in own:
        raise ExtensionError(
            f"{extension.kind[:-1]} {extension.name!r} of {extension.giver} has a name of fewbits' own: rename it there"
        )
    value = extension.load()
    if not isinstance(value, what):
        is_class = isinstance(value, type) and issubclass(value, what)
        given = f"the class {value.__name__}: name an instance of it" if is_class else type(value).__name__
        raise ExtensionError(
            f"{extension.kind[:-1]} {extension.name!r} of {extension.giver} is "
            + (given if is_class else f"{given}, not {what.__name__}")
        )
    return value
