"""Client addresses: proxies are believed as far as they are our own, and no further."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

# Some proxies add the client's port: `192.0.2.7:4711`, `[2001:db8::1]:4711`.
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::[0-9]{1,5})?", re.ASCII)


def client_address(*, remote: str, forwarded_for: str, trusted_proxies: int) -> Address | None:
    """The address of whoever spoke to the outermost of our own proxies, or None where it cannot be known.

    `remote` is the other end of the connection, `forwarded_for` the header X-Forwarded-For. Each proxy adds
    at its right end the address that spoke to it, so with n trusted proxies the n-th entry from the right is
    true and everything left of it is hearsay. A header with fewer entries did not pass all of them: None.
    """
    if trusted_proxies == 0:
        return parse(remote)
    entries = forwarded_for.rsplit(",", trusted_proxies)
    return parse(entries[-trusted_proxies]) if len(entries) >= trusted_proxies else None


def parse(text: str) -> Address | None:
    """The address in `text`, perhaps with a port; an IPv4 address written as IPv6 comes back as IPv4."""
    text = text.strip()
    match = _WITH_PORT.fullmatch(text)
    host = (match[1] or match[2]) if match else text
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # A zone (`fe80::1%eth0`) means something on one machine only.
        return None if address.scope_id else address.ipv4_mapped or address
    return address
