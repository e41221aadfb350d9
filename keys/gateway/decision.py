"""From the headers of a request to an outcome."""

from dataclasses import dataclass
from datetime import datetime

from keys.addresses import Address
from keys.gateway import credentials, directory
from keys.gateway.directory import Holder
from keys.outcomes import Outcome
from keys.permissions import Need
from keys.verification import Attempt, verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """`holder` is the known key that was used, whatever became of the request; None where there was none."""

    outcome: Outcome
    holder: Holder | None = None


def decide(
    *,
    authorization: str | None,
    api_key: str | None,
    address: Address | None,
    need: Need | None,
    now: datetime,
) -> Decision:
    """May the key in these headers do what has this `need` (None: no route names it)?

    A key with a wrong checksum costs no look-up. Raises DirectoryUnavailable.
    """
    try:
        credential = credentials.read(authorization=authorization, api_key=api_key)
    except credentials.MalformedCredential:
        return Decision(Outcome.MALFORMED)
    holder = directory.find(credential.secret.digest)
    if holder is None:
        return Decision(Outcome.NOT_FOUND)
    attempt = Attempt(
        now=now,
        address=address,
        merchant_id=credential.merchant_id,
        required=need.permission if need else None,
        covered=need is not None,
    )
    return Decision(verdict(holder.facts, attempt), holder)
