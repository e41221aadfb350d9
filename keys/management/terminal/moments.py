"""Moments as people type them: a date, a date and time, or so long ago."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

_SPAN = re.compile(r"(\+?)(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
FORMS = "a date (2026-01-31), a time in UTC (2026-01-31T10:00) or so long ago (45m, 12h, 30d, 8w)"
FORMS_AHEAD = f"{FORMS}, or from now (+90d)"


def past(text: str) -> datetime:
    """The moment that `text` names; raises ArgumentTypeError."""
    if text.startswith("+"):
        raise ArgumentTypeError(f"write {FORMS}")
    return any_moment(text)


def any_moment(text: str) -> datetime:
    """The same, where a moment may also lie so far ahead: +90d."""
    if span := _SPAN.fullmatch(text):
        sign, number, unit = span.groups()
        length = timedelta(**{_UNITS[unit]: int(number)})
        return _shifted(length if sign else -length)
    try:
        moment = parse_datetime(f"{text}T00:00" if _DATE.fullmatch(text) else text)
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError(f"write {FORMS_AHEAD}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else _in_utc(moment)


def _shifted(length: timedelta) -> datetime:
    try:
        return timezone.now() + length
    except OverflowError as error:
        raise ArgumentTypeError("that is further away than dates go") from error


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ArgumentTypeError("that is further away than dates go") from error
