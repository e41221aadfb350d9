"""From a credential to an outcome."""

from datetime import UTC, datetime

from keys.addresses import Address
from keys.gateway import credentials
from keys.gateway.credentials import Credential, MalformedCredential
from keys.gateway.directory import Holder, Lookup
from keys.keyformat import MalformedKey
from keys.outcomes import Outcome
from keys.permissions import Need
from keys.verification import Attempt, verdict

# The known key that was used, whatever became of the request, comes with the outcome; None where there was none.
Decision = tuple[Outcome, Holder | None]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MALFORMED: Decision = (Outcome.MALFORMED, None)
NOT_FOUND: Decision = (Outcome.NOT_FOUND, None)


def decide(
    directory: Lookup,
    authorization: str | None,
    api_key: str | None,
    *,
    address: Address | None,
    need: Need | None,
    at_ns: int,
) -> Decision:
    """May the key in these headers do what has this `need` (None: no route names it)?

    `at_ns` is the time of the request, in nanoseconds since 1970.
    A key with a wrong checksum costs no look-up. Raises DirectoryUnavailable.
    """
    try:
        credential = credentials.read(authorization, api_key)
    except MalformedCredential:
        return MALFORMED
    return judge(directory, credential, address=address, need=need, at_ns=at_ns)


def judge(
    directory: Lookup, credential: Credential, *, address: Address | None, need: Need | None, at_ns: int
) -> Decision:
    """The same for a credential that has been read already."""
    try:
        holder = directory.find(credential.key)
    except (MalformedKey, UnicodeEncodeError):
        return MALFORMED
    if holder is None:
        return NOT_FOUND
    # A key that never expires does not mind what time it is.
    now = datetime.fromtimestamp(at_ns / 1e9, UTC) if holder.facts.expires_at else EPOCH
    if need is None:
        attempt = Attempt(now, address, credential.merchant_id, None, covered=False)
    else:
        attempt = Attempt(now, address, credential.merchant_id, need.permission)
    return verdict(holder.facts, attempt), holder
