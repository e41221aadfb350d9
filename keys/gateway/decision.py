"""From a credential to an outcome."""

from datetime import datetime
from typing import NamedTuple

from keys.addresses import Address
from keys.gateway import credentials
from keys.gateway.credentials import Credential, MalformedCredential
from keys.gateway.directory import Directory, Holder
from keys.keyformat import MalformedKey
from keys.outcomes import Outcome
from keys.permissions import Need
from keys.verification import Attempt, verdict


class Decision(NamedTuple):
    """`holder` is the known key that was used, whatever became of the request; None where there was none."""

    outcome: Outcome
    holder: Holder | None = None


MALFORMED = Decision(Outcome.MALFORMED)
NOT_FOUND = Decision(Outcome.NOT_FOUND)


def decide(
    directory: Directory,
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
        credential = credentials.read(authorization, api_key)
    except MalformedCredential:
        return MALFORMED
    return judge(directory, credential, address=address, need=need, now=now)


def judge(
    directory: Directory, credential: Credential, *, address: Address | None, need: Need | None, now: datetime
) -> Decision:
    """The same for a credential that has been read already."""
    try:
        holder = directory.find(credential.key)
    except MalformedKey:
        return MALFORMED
    if holder is None:
        return NOT_FOUND
    if need is None:
        attempt = Attempt(now, address, credential.merchant_id, None, covered=False)
    else:
        attempt = Attempt(now, address, credential.merchant_id, need.permission)
    return Decision(verdict(holder.facts, attempt), holder)
