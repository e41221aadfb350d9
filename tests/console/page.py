"""A page as a test reads it: elements by tag, attributes and words, and forms as a browser would send them.

Parsing is strict. A tag that is closed without having been opened, or left open, fails the test: that is what
text looks like that was put into a page without being escaped.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from django.http import HttpResponse

ADDRESSES = frozenset("href src action formaction hx-get hx-post data srcset poster".split())
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


class Element:
    def __init__(self, tag: str, attributes: dict[str, str], parent: "Element | None") -> None:
        self.tag = tag
        self.attributes = attributes
        self.parent = parent
        self.children: list[Element | str] = []

    def __repr__(self) -> str:
        return f"<{self.tag} {self.attributes}> {self.text[:60]!r}"

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]

    def get(self, attribute: str) -> str | None:
        return self.attributes.get(attribute)

    @property
    def text(self) -> str:
        """All the text inside, in single spaces."""
        return " ".join("".join(self._strings()).split())

    def _strings(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, Element):
                yield from child._strings()
            else:
                yield child

    def elements(self) -> Iterator["Element"]:
        """Every element inside, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.elements()

    def all(self, tag: str = "", /, text: str | None = None, **attributes: str | bool) -> list["Element"]:
        """Elements with these attributes: `aria_label="…"`; True for any value, False for none at all.

        `class_="pill"` is one of several classes.
        """
        return [element for element in self.elements() if element._fits(tag, text, attributes)]

    def one(self, tag: str = "", /, text: str | None = None, **attributes: str | bool) -> "Element":
        found = self.all(tag, text, **attributes)
        assert len(found) == 1, f"{len(found)} of <{tag}> {text or ''} {attributes}: {found}"
        return found[0]

    def has(self, tag: str = "", /, text: str | None = None, **attributes: str | bool) -> bool:
        return bool(self.all(tag, text, **attributes))

    def _fits(self, tag: str, text: str | None, attributes: dict[str, str | bool]) -> bool:
        if (tag and self.tag != tag) or (text is not None and self.text != text):
            return False
        for name, wanted in attributes.items():
            if name == "class_":
                fits = wanted in (self.get("class") or "").split()
            elif isinstance(wanted, bool):
                fits = (name.replace("_", "-") in self.attributes) is wanted
            else:
                fits = self.get(name.replace("_", "-")) == wanted
            if not fits:
                return False
        return True

    @property
    def name(self) -> str:
        """The accessible name of a control, as far as these pages need it."""
        return self.get("aria-label") or self.text

    def button(self, name: str) -> "Element":
        return self._named("button", name)

    def link(self, name: str) -> "Element":
        return self._named("a", name)

    def _named(self, tag: str, name: str) -> "Element":
        found = [element for element in self.all(tag) if element.name == name]
        assert len(found) == 1, f"{len(found)} of <{tag}> named {name!r}"
        return found[0]

    def names(self, tag: str) -> list[str]:
        return [element.name for element in self.all(tag)]

    @property
    def form(self) -> "Element":
        """The form that this element is in, or that its `form` attribute names."""
        element: Element | None = self
        root = self
        while root.parent is not None:
            root = root.parent
        if named := self.get("form"):
            return root.one("form", id=named)
        while element is not None and element.tag != "form":
            element = element.parent
        assert element is not None, f"{self!r} is in no form"
        return element

    def values(self) -> dict[str, list[str]]:
        """What a browser sends for this form, without the button that was pressed."""
        data: dict[str, list[str]] = {}
        for control in self.elements():
            name = control.get("name")
            if not name or control.get("disabled") is not None:
                continue
            for value in control.control_values():
                data.setdefault(name, []).append(value)
        return data

    def control_values(self) -> list[str]:
        match self.tag, self.get("type"):
            case "input", "radio" | "checkbox":
                return [self.get("value") or "on"] if "checked" in self.attributes else []
            case "input", "submit" | "button" | "image":
                return []
            case "input", _:
                return [self.get("value") or ""]
            case "textarea", _:
                return ["".join(self._strings()).removeprefix("\n")]
            case "select", _:
                options = self.all("option")
                chosen = [option for option in options if "selected" in option.attributes] or options[:1]
                return [option["value"] for option in chosen]
        return []


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.current = Element("document", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = self._add(tag, attrs)
        if tag not in VOID:
            self.current = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs)

    def _add(self, tag: str, attrs: list[tuple[str, str | None]]) -> Element:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs), f"an attribute is given twice: <{tag} {attrs}>"
        element = Element(tag, attributes, self.current)
        self.current.children.append(element)
        return element

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.current.tag, f"</{tag}> closes <{self.current.tag} {self.current.attributes}>"
        assert self.current.parent is not None
        self.current = self.current.parent

    def handle_data(self, data: str) -> None:
        self.current.children.append(data)


# Half of a page's tags are the lines of its icons, which no test asks about.
_ICON_LINES = re.compile(r'(<svg[^<>]* class="icon"[^<>]*>)[^"\'&]*?(?:<[a-z]+ [^<>&]*/>\s*)*(</svg>)')


def parse(html: str) -> Element:
    builder = _Builder()
    builder.feed(_ICON_LINES.sub(r"\1\2", html))
    builder.close()
    assert builder.current is builder.root, f"left open: {builder.current!r}"
    return builder.root


def page_of(response: HttpResponse, status: int = 200) -> Element:
    """The page in `response`, once its status is the one expected."""
    assert response.status_code == status, (response.status_code, response.content.decode()[:500])
    assert response["Content-Type"] == "text/html; charset=utf-8"
    return parse(response.content.decode())


def messages_of(page: Element) -> list[str]:
    return [message.one("p").text for message in page.all("div", class_="message")]


def rows_of(page: Element) -> list[Element]:
    """The rows of the grid, without its header."""
    return page.one("tbody", role="rowgroup").all("tr") if page.has("table", data_grid=True) else []


def row_names(page: Element) -> list[str]:
    return [row.one("th").all("a")[0].text for row in rows_of(page)]


def inline_code(page: Element) -> list[str]:
    """Everything that a content security policy of 'self' would refuse."""
    found = []
    for element in page.elements():
        found += [
            f"{element.tag} {name}={value}"
            for name, value in element.attributes.items()
            if re.match(r"on[a-z]+$|style$|hx-on", name)
            or (name in ADDRESSES and value.strip().lower().startswith("javascript:"))
        ]
        if element.tag == "style" or (element.tag == "script" and not element.get("src")):
            found.append(repr(element))
    return found
