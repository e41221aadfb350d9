"""How the console shows icons, states, times, counts and charts. A builtin of every template."""

import json as json_text
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide import _render_icon

from keys import proof
from keys.console import charts
from keys.losses import Loss
from keys.usage import Totals, Usage

register = template.Library()

STATUS_ICONS = {"enabled": "check", "disabled": "pause", "revoked": "ban"}
# What a browser calls itself, the more particular first: Edge says that it is Chrome too, and Chrome that it is Safari.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
# From this error rate on, a figure is drawn as trouble.
TROUBLE = 0.05


@register.simple_tag
@cache
def icon(name: str, size: int = 16) -> SafeString:
    """An icon of the Lucide package, inline and hidden from screen readers: a word always stands beside it."""
    svg = _render_icon(name, size, **{"class": "icon", "aria_hidden": "true", "focusable": "false"})
    return mark_safe(svg)  # noqa: S308 - it comes from the package


@register.filter
def json(value: Any) -> str:
    """A value for a script, as the text of a `data-` attribute."""
    return json_text.dumps(value)


@register.filter
def percent(rate: float | None) -> str:
    """An error rate as people read it: 0%, <0.1%, 0.8%, 18.4%, 100%, and never a 0 or a 100 that is not."""
    if rate is None:
        return "–"
    if rate in {0, 1}:
        return f"{rate:.0%}"
    if rate < 0.001:
        return "<0.1%"
    return f"{min(rate, 0.999):.1%}"


@register.filter
def is_trouble(totals: Totals) -> bool:
    return (totals.error_rate or 0) >= TROUBLE


@register.simple_tag
def rate(totals: Totals) -> SafeString:
    """The error rate as a figure; trouble has a sign as well as a colour."""
    if is_trouble(totals):
        return format_html(
            '<span class="rate rate-trouble">{}{}</span>',
            icon("triangle-alert", 12),
            percent(totals.error_rate),
        )
    return format_html('<span class="rate">{}</span>', percent(totals.error_rate))


@register.filter
def amount(number: int) -> str:
    return f"{number:,}"


@register.filter
def plural(number: int, noun: str) -> str:
    """`3|plural:"request"` is “3 requests”."""
    many = "people" if noun == "person" else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"


@register.filter
def number_of_errors(errors: Mapping[str, Sequence[str]]) -> int:
    """Of all fields together: one may have several."""
    return sum(map(len, errors.values()))


@register.simple_tag
def can_mail() -> bool:
    """Whether there is a mail server, so that links can be sent."""
    return bool(settings.EMAIL_HOST)


@register.filter
def browser(user_agent: str) -> str:
    """“Firefox on Linux”, as far as the browser says so."""
    name = next((name for word, name in BROWSERS if f"{word}/" in user_agent), "Unknown browser")
    system = next((system for word, system in SYSTEMS if word in user_agent), "")
    return f"{name} on {system}" if system else name


@register.filter
def milliseconds(microseconds: int) -> str:
    return f"{microseconds / 1000:,.1f} ms" if microseconds < 100_000 else f"{microseconds / 1000:,.0f} ms"


@register.filter
def absolute(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.get_default_timezone()):%-d %b %Y, %H:%M:%S} UTC"


@register.filter
def relative(moment: datetime, now: datetime | None = None) -> str:
    """“12 seconds ago”, “yesterday”, “3 Nov”, “7 Feb 2025”: what helps at that distance. Also for moments to come."""
    now = now or timezone.now()
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance >= 30 * 86400:
        return f"{moment:%-d %b}" if moment.year == now.year else f"{moment:%-d %b %Y}"
    days = abs((now.date() - moment.date()).days)
    if distance >= 86400 and days == 1:
        return "yesterday" if seconds > 0 else "tomorrow"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if distance >= length:
            text = plural(int(distance // length), unit)
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "just now"


@register.filter
def day(moment: datetime) -> str:
    return f"{moment:%-d %b}" if moment.year == timezone.now().year else f"{moment:%-d %b %Y}"


@register.simple_tag
def when(moment: datetime | None, never: str = "Never", *, as_day: bool = False) -> SafeString:
    """A moment as relative text or as its day, with the absolute one on hover and on focus."""
    if moment is None:
        return format_html('<span class="muted">{}</span>', never)
    full = absolute(moment)
    return format_html(
        '<time datetime="{}" tabindex="0" class="tip" data-tip="{}">{}<span class="visually-hidden">, {}</span></time>',
        moment.isoformat(timespec="seconds"),
        full,
        day(moment) if as_day else relative(moment),
        full,
    )


@register.simple_tag
def clock(moment: datetime, now: datetime) -> SafeString:
    """A moment of today by the clock, to the millisecond; any other with its date."""
    exact = moment.astimezone(UTC).date() == now.astimezone(UTC).date()
    text = proof.clock(moment, now, exact=exact)
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="milliseconds"), text)


@register.filter
def loss_sentence(loss: Loss) -> str:
    return loss.sentence(timezone.now())


@register.simple_tag
def status_badge(record: Any) -> SafeString:
    """The state of a key or a merchant account: icon, word, and what it means for requests."""
    return _status_badge(type(record).Status, record.status)


@cache
def _status_badge(statuses: Any, value: str) -> SafeString:
    # An account's “enabled” and a key's are equal, but they do not mean the same.
    status = statuses(value)
    return format_html(
        '<span class="badge badge-{} tip" data-tip="{}">{}{}</span>',
        status.value,
        status.meaning,
        icon(STATUS_ICONS[status.value], 12),
        status.label,
    )


@register.simple_tag
@cache
def person_badge(active: bool) -> SafeString:
    """Whether a person comes in: icon and word."""
    looks = ("enabled", "check", "Active") if active else ("disabled", "pause", "Deactivated")
    return format_html('<span class="badge badge-{}">{}{}</span>', looks[0], icon(looks[1], 12), looks[2])


@register.simple_tag
@cache
def mode_tag(mode: str) -> SafeString:
    return format_html('<span class="mode mode-{}">{}</span>', mode, mode)


@register.simple_tag
def bars(usage: Usage) -> SafeString:
    """The small chart of a row: decoration for the figures beside it."""
    width, height = 84, 24
    spark = charts.spark(usage, width=width, height=height)
    return format_html(
        '<svg class="bars" viewBox="0 0 {0} {1}" width="{0}" height="{1}" aria-hidden="true" focusable="false">'
        '<path class="bar" d="{2}"/><path class="bar-failed" d="{3}"/></svg>',
        width,
        height,
        spark.succeeded,
        spark.failed,
    )


@register.inclusion_tag("keys/_chart.html")
def chart(usage: Usage, link: str) -> dict[str, Any]:
    """The chart of a page: each bar links to its requests (`link` and a span of time); a table says the same."""
    return {"chart": charts.draw(usage, width=720, height=120, gap=4), "usage": usage, "link": link}


@register.filter
def undo_of(tags: str) -> str:
    """The address that a message's Undo posts to, or nothing."""
    return next((tag.removeprefix("undo=") for tag in tags.split() if tag.startswith("undo=")), "")


@register.filter
def changes(entry: Any) -> list[tuple[str, Any, Any]]:
    """The fields of a history row with what they held before and after."""
    fields = [*entry.before, *(name for name in entry.after if name not in entry.before)]
    return [
        (name.replace("_", " ").capitalize(), entry.before.get(name), entry.after.get(name))
        for name in fields
    ]
