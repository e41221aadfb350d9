"""Requests that were answered and could not be recorded: the figures of their time lack them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Max, Min, Sum

from keys.models import RecordingLoss
from keys.usage import Window


@dataclass(frozen=True, slots=True)
class Loss:
    """`requests` were lost between `first_at` and `last_at`, for each of `reasons`."""

    requests: int
    first_at: datetime
    last_at: datetime
    reasons: tuple[str, ...]

    def sentence(self, now: datetime) -> str:
        """As in “1,204 requests could not be recorded between 09:12 and 09:14 UTC: the figures lack them.”"""
        first, last = (_minute(moment, now) for moment in (self.first_at, self.last_at))
        when = f"at {first}" if first == last else f"between {first} and {last}"
        requests = f"{self.requests:,} request{'' if self.requests == 1 else 's'}"
        they = "it" if self.requests == 1 else "them"
        return f"{requests} could not be recorded {when} UTC: the figures lack {they}."


def last_24_hours(*, now: datetime | None = None) -> Loss | None:
    """What the figures of the last 24 hours lack, as far as it is known; None where they are complete. One query."""
    start = Window.last_24_hours(now).start
    rows = (
        RecordingLoss.objects.filter(at__gte=start)
        .order_by()
        .values_list("reason")
        .annotate(lost=Sum("requests"), first=Min("at"), last=Max("at"))
        .order_by("-lost", "reason")
    )
    found = list(rows)
    if not found:
        return None
    reasons, lost, first, last = zip(*found, strict=True)
    return Loss(
        requests=sum(lost),
        first_at=min(first),
        last_at=max(last),
        reasons=tuple(RecordingLoss.Reason(reason).label for reason in reasons),
    )


def _minute(moment: datetime, now: datetime) -> str:
    at = moment.astimezone(UTC)
    return f"{at:%H:%M}" if at.date() == now.astimezone(UTC).date() else f"{at:%-d %b, %H:%M}"
