"""Which request needs which permission, written once more: one character and one route after the other, and slowly."""

import re
from itertools import pairwise, product

from keys.permissions import Need


def plain_split(path: str) -> list[str] | None:
    """What `split_path` promises, one character after the other."""
    path = path.split("?", maxsplit=1)[0]
    if not path.startswith("/") or len(path) > 8192:
        return None
    segments, octets, position = [], b"", 1
    while position < len(path):
        escape = re.match(r"%([0-9A-Fa-f]{2})", path[position : position + 3])
        if ord(path[position]) > 127:
            return None
        if path[position] == "/":
            segments.append(octets)
            octets = b""
        else:
            octets += bytes([int(escape[1], 16)]) if escape else path[position].encode()
        position += 3 if escape else 1
    decoded = []
    for segment in [*segments, octets]:
        try:
            text = segment.decode("utf-8", "strict")
        except UnicodeDecodeError:
            return None
        if text in ("", ".", "..") or any(c in "/\\;?#%" or ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
            return None
        decoded.append(text)
    return decoded


def fits(pattern: str, segments: list[str]) -> tuple[int, ...] | None:
    """How the route fits: for each of its segments 0 (a word), 1 (a parameter) or 2 (the rest); or None."""
    kinds: list[int] = []
    parts = pattern[1:].split("/")
    for place, part in enumerate(parts):
        if part == "**":
            return (*kinds, 2) if len(segments) > place else None
        if place >= len(segments) or (not part.startswith("{") and part != segments[place]):
            return None
        kinds.append(1 if part.startswith("{") else 0)
    return tuple(kinds) if len(parts) == len(segments) else None


def plain_needs(routes: dict[str, Need], method: str, segments: list[str]) -> list[Need]:
    """The needs of all routes that fit, the one that wins first."""
    method = "GET" if method == "HEAD" else method
    fitting = [
        (kinds, need)
        for route, need in routes.items()
        if route.startswith(f"{method} ")
        and (kinds := fits(route.removeprefix(f"{method} "), segments)) is not None
    ]
    return [need for _, need in sorted(fitting, key=lambda each: each[0])]


def groupings(segments: list[str]) -> list[list[str]]:
    """All ways to take neighbours together as one segment with slashes inside, the plain one first."""
    ways = []
    for cuts in product([True, False], repeat=len(segments) - 1):
        places = [0, *[place for place, cut in enumerate(cuts, 1) if cut], len(segments)]
        ways.append(["/".join(segments[start:end]) for start, end in pairwise(places)])
    return ways
