"""Where a request to the gateway comes from."""

from functools import lru_cache

from keys.addresses import Address, client_address
from keys.spool import NONE


@lru_cache(maxsize=10_000)
def address_of(remote: str, forwarded_for: str, trusted_proxies: int) -> tuple[Address | None, str]:
    """The client's address, with as many proxies believed as are trusted; and as the spool writes it."""
    address = client_address(remote=remote, forwarded_for=forwarded_for, trusted_proxies=trusted_proxies)
    return address, str(address) if address else NONE
