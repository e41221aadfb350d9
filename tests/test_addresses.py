"""The client's address: trusted proxies are counted from the right, and nothing else is believed."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.addresses import client_address, parse

addresses = st.ip_addresses().filter(lambda address: not getattr(address, "ipv4_mapped", None))


@pytest.mark.parametrize(
    ("trusted_proxies", "expected"),
    [(0, "10.0.0.1"), (1, "10.0.0.2"), (2, "203.0.113.7"), (3, "198.51.100.66"), (4, None), (10, None)],
)
def test_proxies_are_counted_from_the_right(trusted_proxies: int, expected: str | None) -> None:
    address = client_address(
        remote="10.0.0.1",
        forwarded_for="198.51.100.66, 203.0.113.7,10.0.0.2",
        trusted_proxies=trusted_proxies,
    )
    assert address == (ip_address(expected) if expected else None)


@given(addresses, st.lists(addresses, min_size=1, max_size=4), st.text())
def test_whatever_a_client_writes_its_own_address_is_found(client, proxies, forged: str) -> None:
    """Each trusted proxy appends who spoke to it; the last one is the other end of our connection."""
    forwarded_for = ", ".join([forged, str(client), *map(str, proxies[:-1])])
    found = client_address(remote=str(proxies[-1]), forwarded_for=forwarded_for, trusted_proxies=len(proxies))
    assert found == client


@given(st.text(), st.text(), st.integers(0, 10))
def test_no_header_breaks_it(remote: str, forwarded_for: str, trusted_proxies: int) -> None:
    address = client_address(remote=remote, forwarded_for=forwarded_for, trusted_proxies=trusted_proxies)
    assert address is None or parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\t", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
    ],
)
def test_the_ways_in_which_proxies_write_addresses(text: str, expected: str) -> None:
    assert str(parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "unknown", "_hidden", "localhost", "2130706433", "0x7f000001", "for=192.0.2.7",
        "192.0.2", "192.0.2.256", "192.0.2.007", "192.0.2.7/24", "192.0.2.7\x00", "\uff11.2.3.4",
        "192.0.2.7:", "192.0.2.7:http", "192.0.2.7:123456", "2001:db8::1:::", "[192.0.2.7", "[[::1]]",
        "::1]:80", "fe80::1%eth0", "[fe80::1%1]",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None
