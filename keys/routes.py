"""The routes of the platform's API: what a request needs, and how a path is read so that nobody is fooled."""

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PATH_LENGTH_MAX = 8192
_READ_AS = {"HEAD": "GET"}
_PARAMETER = re.compile(r"\{[a-z_]+\}")
# Control characters (C0 and C1), and what a server that decodes twice or cuts parameters off stumbles over.
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f-\x9f/\\;?#%]")
_PLAIN_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
_LITERAL = re.compile(r"[A-Za-z0-9._~-]+")
# What a route asks for: a value, of which two that are equal ask for the same.
Need = TypeVar("Need")


@dataclass(slots=True)
class _Node(Generic[Need]):
    """One segment of the route tree. A literal child wins over a parameter, and that over a closing `**`."""

    literals: dict[str, "_Node[Need]"] = field(default_factory=dict)
    parameter: "_Node[Need] | None" = None
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

    def joined_needs(self, method: str, segments: list[str]) -> set[Need]:
        """The needs of `segments` read in every way in which two or more neighbours are really one segment.

        Walks the tree once, with all the places in `segments` that some reading has reached, each beside
        whether that reading has joined anything yet.
        """
        found: set[Need] = set()
        end = len(segments)
        pending: list[tuple[_Node[Need], set[tuple[int, bool]]]] = [(self, {(0, False)})]
        while pending:
            node, places = pending.pop()
            onward = _onward(places, end)
            if (end, True) in places and method in node.needs:
                found.add(node.needs[method])
            if (end, True) in onward and method in node.rest:
                found.add(node.rest[method])
            for literal, child in node.literals.items():
                matching = {
                    (place + 1, joined)
                    for place, joined in places
                    if place < end and segments[place] == literal
                }
                if matching:
                    pending.append((child, matching))
            if node.parameter and onward:
                pending.append((node.parameter, onward))
        return found


def _onward(places: set[tuple[int, bool]], end: int) -> set[tuple[int, bool]]:
    """Where one more segment leads from `places`: a single one, or as many as are left joined into one."""
    single = {(place + 1, False) for place, joined in places if not joined and place < end}
    nearest = min((place + 1 if joined else place + 2 for place, joined in places), default=end + 1)
    return single | {(place, True) for place in range(nearest, end + 1)}


class RouteTree(Generic[Need]):
    """Routes such as `GET /v1/payments/{payment}`, each with its need."""

    def __init__(self) -> None:
        self._root = _Node[Need]()

    def need(self, method: str, path: str) -> Need | None:
        """What the request needs; `path` is as sent."""
        segments = split_path(path)
        return None if segments is None else self._root.find(_READ_AS.get(method, method), segments)

    def need_of_decoded(self, method: str, path: str) -> Need | None:
        """The same for a path that was decoded on the way; None where its slashes leave it open what was sent."""
        segments = split_path(quote(path, errors="surrogatepass"))
        if segments is None:
            return None
        method = _READ_AS.get(method, method)
        need = self._root.find(method, segments)
        return need if need and self._root.joined_needs(method, segments) <= {need} else None

    def add(self, route: str, need: Need) -> None:
        """Raises ValueError for a route that is badly written, or there already."""
        method, _, path = route.partition(" ")
        if method not in METHODS or not path.startswith("/"):
            raise ValueError(
                f"route {route!r}: write it as a method ({', '.join(sorted(METHODS))}) and a path, "
                "such as 'GET /v1/payments'"
            )
        node = self._root
        *segments, last = path[1:].split("/")
        for segment in [*segments, *([] if last == "**" else [last])]:
            if _PARAMETER.fullmatch(segment):
                node.parameter = node = node.parameter or _Node()
            elif _LITERAL.fullmatch(segment) and segment not in {".", ".."}:
                node = node.literals.setdefault(segment, _Node())
            else:
                raise ValueError(
                    f"route {route!r}: {segment!r} is neither a word nor a {{name}}, nor ** at the end"
                )
        needs = node.rest if last == "**" else node.needs
        if needs.setdefault(method, need) is not need:
            raise ValueError(f"route {route!r} is given twice")


def split_path(path: str) -> list[str] | None:
    """The decoded segments of a request path, or None where servers could disagree about what it names.

    Refused: a path that is not absolute, is longer than PATH_LENGTH_MAX, or is not ASCII; and, after one
    round of percent-decoding, `.` and `..`, empty segments (so a closing slash too), slashes, backslashes,
    `;`, `?`, `#`, `%`, control characters, and bytes that are not UTF-8.
    """
    path = path.partition("?")[0]
    if len(path) > PATH_LENGTH_MAX:
        return None
    if _PLAIN_PATH.fullmatch(path):
        # Almost every path: nothing in it is encoded, and nothing can be misread.
        return path[1:].split("/")
    if not path.startswith("/") or not path.isascii():
        return None
    segments = []
    for raw in path[1:].split("/"):
        try:
            segment = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return None
        if segment in {"", ".", ".."} or _AMBIGUOUS.search(segment):
            return None
        segments.append(segment)
    return segments
