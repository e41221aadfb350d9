"""What a key may be allowed to do (the catalogue), and which request needs which permission.

Both come from one TOML file, keys/permissions.toml unless KEYS_PERMISSION_CATALOGUE names another;
docs/permissions.md describes its form. It is read once; the system check keys.E001 says what is wrong in it.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import TextChoices

from keys.routes import RouteTree

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class Access(TextChoices):
    NONE = "none", "None"
    READ = "read", "Read"
    WRITE = "write", "Write"


_STRENGTH = {Access.NONE: 0, Access.READ: 1, Access.WRITE: 2}


_NAME_RULE = "a name is lower-case letters, digits, - and _, at most 40, and begins with a letter"


class CatalogueError(ValueError):
    """The catalogue cannot be used; the message names the place in the file."""


class Grants(Mapping[str, Access]):
    """The permissions of one key: resource name to access, None left out. Immutable and hashable.

    Its text, `payments:write reports:read`, sorted by resource, is what the database stores and what
    `X-Key-Permissions` says.
    """

    __slots__ = ("_accesses", "covered")

    # Each need that these grants cover, as text: what write includes is worked out once, not at every request.
    covered: frozenset[str]

    def __init__(self, accesses: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = ((name, Access(access)) for name, access in dict(accesses).items())
        self._accesses = {name: access for name, access in sorted(pairs) if access is not Access.NONE}
        self.covered = frozenset(
            f"{name}:{covered.value}"
            for name, access in self._accesses.items()
            for covered in Access
            if _STRENGTH[covered] <= _STRENGTH[access]
        )

    @classmethod
    def parse(cls, text: str) -> "Grants":
        """The grants in their stored text; raises ValueError for anything that is not that form."""
        pairs = [item.partition(":") for item in text.split()]
        if any(not separator or not NAME.fullmatch(name) for name, separator, _ in pairs):
            raise ValueError(f"not a list of permissions: {text!r}")
        if len({name for name, _, _ in pairs}) < len(pairs):
            raise ValueError(f"a resource is named twice: {text!r}")
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
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.resource}:{self.access.value}")

    def granted_by(self, grants: Grants) -> bool:
        return self.text in grants.covered or self.access is Access.NONE

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Resource:
    name: str
    label: str
    description: str
    accesses: tuple[Access, ...]
    # Whether live keys that may write here are for the few who may handle strong keys.
    restricted: bool = False


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


class Catalogue:
    """Resources, presets and routes, as read from a TOML document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.resources: dict[str, Resource] = {}
        # As written in the file (`GET /v1/payments/{payment}`), in its order.
        self.routes: dict[str, Need] = {}
        self._tree = RouteTree[Need]()
        _expect(document, {"open", "resources", "presets"}, "the catalogue")
        for route in _strings(document, "open", "the catalogue"):
            self._add_route(route, Need(None))
        for table in _tables(document, "resources"):
            self._add_resource(table)
        if not self.resources:
            raise CatalogueError("the catalogue has no [[resources]]")
        self.presets: tuple[Preset, ...] = ()
        for table in _tables(document, "presets"):
            self._add_preset(table)

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
        """What the request needs, or None when no route names it.

        `path` is as sent: percent-encoded, perhaps with a query string.
        """
        return self._tree.need(method, path)

    def need_of_decoded(self, method: str, path: str) -> Need | None:
        """The same for a path that a server has decoded before handing it on: `a%2Fb` arrives as `a/b`.

        None too where the request would have another need if some of its slashes had been sent encoded: the
        API could then read it differently.
        """
        return self._tree.need_of_decoded(method, path)

    def permission(self, text: str) -> Permission:
        """The permission `payments:write`; raises ValueError for what no key can be granted."""
        name, _, access = text.partition(":")
        resource = self.resources.get(name)
        if resource is None or access not in resource.accesses:
            raise ValueError(
                f"“{text[:80]}” is not a permission of the catalogue; write it as payments:write."
            )
        return Permission(resource.name, Access(access))

    def validated(self, accesses: Mapping[str, str]) -> Grants:
        """Grants that this catalogue knows; raises ValueError for a resource or access that it does not."""
        for name, access in accesses.items():
            resource = self.resources.get(name)
            if resource is None:
                raise ValueError(f"There is no resource called “{name[:40]}”.")
            if access not in {Access.NONE, *resource.accesses}:
                raise ValueError(f"“{access[:40]}” is not an access that {resource.label} offers.")
        return Grants(accesses)

    def is_strong(self, mode: str, accesses: Mapping[str, str]) -> bool:
        """Whether a key of this mode and these permissions is one that only some people may handle."""
        return mode == "live" and any(
            accesses.get(resource.name) == Access.WRITE
            for resource in self.resources.values()
            if resource.restricted
        )

    def _add_resource(self, table: Mapping[str, Any]) -> None:
        name = table.get("name", "")
        where = f"resource {name!r}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise CatalogueError(f"{where}: {_NAME_RULE}")
        if name in self.resources:
            raise CatalogueError(f"{where} is named twice")
        _expect(table, {"name", "label", "description", "restricted", "read", "write"}, where)
        accesses = tuple(access for access in (Access.READ, Access.WRITE) if table.get(access.value))
        if not accesses:
            raise CatalogueError(f"{where} has no read and no write routes")
        label = _text(table, "label", name.replace("-", " ").replace("_", " ").capitalize(), where)
        restricted = table.get("restricted", False)
        if not isinstance(restricted, bool) or (restricted and Access.WRITE not in accesses):
            raise CatalogueError(f"{where}: 'restricted' is true or false, and about its write routes")
        description = _text(table, "description", "", where)
        self.resources[name] = Resource(name, label, description, accesses, restricted)
        for access in (Access.READ, Access.WRITE):
            for route in _strings(table, access.value, where):
                self._add_route(route, Need(Permission(name, access)))

    def _add_route(self, route: str, need: Need) -> None:
        try:
            self._tree.add(route, need)
        except ValueError as error:
            raise CatalogueError(str(error)) from error
        self.routes[route] = need

    def _add_preset(self, table: Mapping[str, Any]) -> None:
        name = table.get("name", "")
        where = f"preset {name!r}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise CatalogueError(f"{where}: {_NAME_RULE}")
        if any(preset.name == name for preset in self.presets):
            raise CatalogueError(f"{where} is named twice")
        _expect(table, {"name", "label", "description", "grants"}, where)
        grants = self._preset_grants(table.get("grants", {}), where)
        label = _text(table, "label", name, where)
        self.presets += (Preset(name, label, _text(table, "description", "", where), grants),)

    def _preset_grants(self, table: Any, where: str) -> Grants:
        if not isinstance(table, dict) or not all(access in Access.values for access in table.values()):
            raise CatalogueError(f"{where}: 'grants' must be a table of resources and none, read or write")
        everywhere = Access(table.get("*", Access.NONE))
        accesses: dict[str, str] = {each.name: _at_most(each, everywhere) for each in self.resources.values()}
        try:
            return self.validated(accesses | {name: access for name, access in table.items() if name != "*"})
        except ValueError as error:
            raise CatalogueError(f"{where}: {error}") from error


def _at_most(resource: Resource, access: Access) -> Access:
    """The strongest access that the resource offers and that is no stronger than `access`."""
    offered = [each for each in resource.accesses if _STRENGTH[each] <= _STRENGTH[access]]
    return offered[-1] if offered else Access.NONE


def _expect(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := set(table) - known:
        raise CatalogueError(f"{where}: unknown setting {min(unknown)!r}")


def _tables(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CatalogueError(f"the catalogue: write each of {name!r} as a table under [[{name}]]")
    return tables


def _text(table: Mapping[str, Any], name: str, default: str, where: str) -> str:
    value = table.get(name, default)
    if not isinstance(value, str):
        raise CatalogueError(f"{where}: {name!r} must be a text")
    return value


def _strings(table: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CatalogueError(f"{where}: {name!r} must be a list of routes, such as ['GET /v1/payments']")
    return values


def catalogue() -> Catalogue:
    """The catalogue that the settings name."""
    return _loaded(settings.KEYS_PERMISSION_CATALOGUE)


@cache
def _loaded(path: Path) -> Catalogue:
    return Catalogue.load(path)
