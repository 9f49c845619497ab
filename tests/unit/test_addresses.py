"""Where a tenant may have requests sent: the table of addresses, and what a resolver may and may not give."""

import asyncio
import ipaddress

import pytest

from pipelines.providers.transport.resolver import AddressInfo, Resolver
from scheduler.webhooks.post import GuardedResolver, Poster
from synthralos.domain.addresses import may_be_called

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "", "localhost", "2130706433", "0x7f.1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_nobodys_on_the_internet_is_not_called(address: str) -> None:
    assert not may_be_called(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert may_be_called(address)


def test_networks_that_are_allowed_are_called_and_nothing_beside_them() -> None:
    allowed = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::7", "1.1.1.1"):
        assert may_be_called(address, allowed)
    for address in ("10.2.0.1", "127.0.0.1", "fc00::1", "169.254.169.254"):
        assert not may_be_called(address, allowed)


def _info(address: str) -> AddressInfo:
    return (2, 1, 6, "", (address, 443))


def _resolved(monkeypatch: pytest.MonkeyPatch, resolver: GuardedResolver, *addresses: str) -> list[str]:
    async def look_up(self: Resolver, host: str, port: int) -> list[AddressInfo]:
        return [_info(address) for address in addresses]

    monkeypatch.setattr(Resolver, "addresses", look_up)
    return [str(each[4][0]) for each in asyncio.run(resolver.addresses("example.com", 443))]


def test_of_a_names_addresses_only_those_that_may_be_called_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _resolved(monkeypatch, GuardedResolver(()), "127.0.0.1", "1.1.1.1", "10.0.0.1") == ["1.1.1.1"]
    with pytest.raises(PermissionError):
        _resolved(monkeypatch, GuardedResolver(()), "127.0.0.1", "169.254.169.254")


def test_what_is_not_encrypted_goes_to_the_allowed_networks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = GuardedResolver((ipaddress.ip_network("10.0.0.0/8"),), public=False)
    assert _resolved(monkeypatch, resolver, "1.1.1.1", "10.0.0.1") == ["10.0.0.1"]


@pytest.mark.parametrize("url", ["ftp://example.com/", "https://user:secret@example.com/", "https://", "nonsense"])
def test_what_is_no_url_is_refused_before_anything_is_sent(url: str) -> None:
    poster = Poster((), 1.0)
    with pytest.raises(ValueError, match=r"URL|host"):
        poster.post(url, [], b"{}")
    poster.close()
