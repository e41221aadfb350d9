"""What a key may be allowed to do (the catalogue), and which request needs which permission (the routes).

Both come from one TOML file, keys/permissions.toml unless KEYS_PERMISSION_CATALOGUE names another; docs/permissions.md
describes its form. It is read and checked once, when the process starts.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.db.models import TextChoices

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PARAMETER = re.compile(r"\{[a-z_]+\}")
_LITERAL = re.compile(r"[A-Za-z0-9._~-]+")


class Access(TextChoices):
    NONE = "none", "None"
    READ = "read", "Read"
    WRITE = "write", "Write"


_STRENGTH = {Access.NONE: 0, Access.READ: 1, Access.WRITE: 2}


class CatalogueError(ValueError):
    """The catalogue cannot be used; the message names the place in the file."""


class Grants(Mapping[str, Access]):
    """The permissions of one key: resource name to access, None left out. Immutable and hashable.

    Its text, `payments:write reports:read`, sorted by resource, is what the database stores and what
    `X-Key-Permissions` says.
    """

    __slots__ = ("_accesses",)

    def __init__(self, accesses: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = ((name, Access(access)) for name, access in dict(accesses).items())
        self._accesses = {name: access for name, access in sorted(pairs) if access is not Access.NONE}

    @classmethod
    def parse(cls, text: str) -> "Grants":
        """The grants in their stored text; raises ValueError for anything that is not that form."""
        pairs = [item.partition(":") for item in text.split()]
        if any(not separator or not NAME.fullmatch(name) for name, separator, _ in pairs):
            raise ValueError(f"not a list of permissions: {text!r}")
        return cls([(name, access) for name, _, access in pairs])

    def __getitem__(self, resource: str) -> Access:
        return self._accesses[resource]

    def __iter__(self) -> Iterator[str]:
        return iter(self._accesses)

    def __len__(self) -> int:
        return len(self._accesses)

    def __hash__(self) -> int:
        return hash(tuple(self._accesses.items()))

    def __str__(self) -> str:
        return " ".join(f"{name}:{access.value}" for name, access in self._accesses.items())

    def __repr__(self) -> str:
        return f"<Grants {self}>"


@dataclass(frozen=True, slots=True)
class Permission:
    """One need: an access to one resource. Write includes read."""

    resource: str
    access: Access

    def granted_by(self, grants: Grants) -> bool:
        return _STRENGTH[grants.get(self.resource, Access.NONE)] >= _STRENGTH[self.access]

    def __str__(self) -> str:
        return f"{self.resource}:{self.access.value}"


@dataclass(frozen=True, slots=True)
class Resource:
    name: str
    label: str
    description: str
    accesses: tuple[Access, ...]


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    label: str
    description: str
    grants: Grants


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of a key; `permission` is None for a route that is open to every usable key."""

    permission: Permission | None


@dataclass(slots=True)
class _Node:
    """One segment of the route tree. A literal child wins over a parameter, and that over a closing `**`."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    needs: dict[str, Need] = field(default_factory=dict)
    rest: dict[str, Need] = field(default_factory=dict)

    def find(self, method: str, segments: list[str]) -> Need | None:
        if not segments:
            return self.needs.get(method)
        head, tail = segments[0], segments[1:]
        for child in (self.literals.get(head), self.parameter):
            if child and (need := child.find(method, tail)):
                return need
        return self.rest.get(method)


class Catalogue:
    """Resources, presets and routes, as read from a TOML document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.resources: dict[str, Resource] = {}
        # As written in the file (`GET /v1/payments/{payment}`), in its order.
        self.routes: dict[str, Need] = {}
        self._root = _Node()
        for route in _strings(document, "open", "the catalogue"):
            self._add_route(route, Need(None))
        for table in document.get("resources", []):
            self._add_resource(table)
        if not self.resources:
            raise CatalogueError("the catalogue has no [[resources]]")
        self.presets = tuple(self._preset(table) for table in document.get("presets", []))

    @classmethod
    def load(cls, path: Path) -> "Catalogue":
        try:
            with path.open("rb") as file:
                return cls(tomllib.load(file))
        except OSError as error:
            raise CatalogueError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, CatalogueError) as error:
            raise CatalogueError(f"{path}: {error}") from error

    def need(self, method: str, path: str) -> Need | None:
        """What the request needs, or None when no route names it. `path` is as sent: encoded, perhaps with a query."""
        segments = split_path(path)
        method = "GET" if method == "HEAD" else method
        return None if segments is None else self._root.find(method, segments)

    def validated(self, accesses: Mapping[str, str]) -> Grants:
        """Grants that this catalogue knows; raises ValueError for a resource or an access that it does not offer."""
        for name, access in accesses.items():
            resource = self.resources.get(name)
            if resource is None:
                raise ValueError(f"There is no resource called “{name[:40]}”.")
            if access not in {Access.NONE, *resource.accesses}:
                raise ValueError(f"“{access[:40]}” is not an access that {resource.label} offers.")
        return Grants(accesses)

    def _add_resource(self, table: Mapping[str, Any]) -> None:
        name = table.get("name", "")
        where = f"resource {name!r}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise CatalogueError(f"{where}: a name is lower-case letters, digits, - and _, at most 40")
        if name in self.resources:
            raise CatalogueError(f"{where} is named twice")
        if unknown := set(table) - {"name", "label", "description", "read", "write"}:
            raise CatalogueError(f"{where}: unknown setting {sorted(unknown)[0]!r}")
        accesses = tuple(access for access in (Access.READ, Access.WRITE) if table.get(access.value))
        if not accesses:
            raise CatalogueError(f"{where} has no read and no write routes")
        self.resources[name] = Resource(
            name, str(table.get("label", name.capitalize())), str(table.get("description", "")), accesses
        )
        for access in accesses:
            for route in _strings(table, access.value, where):
                self._add_route(route, Need(Permission(name, access)))

    def _add_route(self, route: str, need: Need) -> None:
        method, _, path = route.partition(" ")
        if method not in METHODS or not path.startswith("/"):
            raise CatalogueError(f"route {route!r}: write it as a method and a path, such as 'GET /v1/payments'")
        node = self._root
        *segments, last = path[1:].split("/")
        for segment in [*segments, *([] if last == "**" else [last])]:
            if _PARAMETER.fullmatch(segment):
                node.parameter = node = node.parameter or _Node()
            elif _LITERAL.fullmatch(segment):
                node = node.literals.setdefault(segment, _Node())
            else:
                raise CatalogueError(f"route {route!r}: {segment!r} is neither a word nor a {{name}}")
        needs = node.rest if last == "**" else node.needs
        if needs.setdefault(method, need) is not need:
            raise CatalogueError(f"route {route!r} is given twice")
        self.routes[route] = need

    def _preset(self, table: Mapping[str, Any]) -> Preset:
        name = str(table.get("name", ""))
        accesses: dict[str, str] = {}
        for resource, access in dict(table.get("grants", {})).items():
            if resource == "*":
                accesses |= {each.name: _at_most(each, access) for each in self.resources.values()}
            else:
                accesses[resource] = access
        try:
            grants = self.validated(accesses)
        except ValueError as error:
            raise CatalogueError(f"preset {name!r}: {error}") from error
        return Preset(name, str(table.get("label", name)), str(table.get("description", "")), grants)


def _at_most(resource: Resource, access: str) -> str:
    """`access`, or the strongest that the resource offers below it."""
    return access if access in resource.accesses else resource.accesses[0].value


def _strings(table: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CatalogueError(f"{where}: {name!r} must be a list of routes")
    return values


def split_path(path: str) -> list[str] | None:
    """The decoded segments of a request path, or None where servers could disagree about what it names.

    Refused: a path that is not absolute, `.` and `..`, empty segments, backslashes, control characters, encoded
    slashes, and bytes that are not UTF-8, before or after one round of percent-decoding.
    """
    path = path.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        return None
    segments = []
    for raw in path[1:].split("/"):
        try:
            segment = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return None
        if segment in {"", ".", ".."} or "%" in segment or any(c in "/\\;" or c < " " or c == "\x7f" for c in segment):
            return None
        segments.append(segment)
    return segments


@cache
def catalogue() -> Catalogue:
    """The catalogue that the settings name."""
    return Catalogue.load(settings.KEYS_PERMISSION_CATALOGUE)
