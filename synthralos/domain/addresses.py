"""Which addresses are somebody's on the internet: where a tenant may have requests sent by the installation."""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def may_be_called(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether an address is public, or in one of the networks that are allowed beside those."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inner = _within(address)
    if any(each.version == network.version and each in network for each in (address, inner) for network in allowed):
        return True
    return _is_public(inner)


def _is_public(address: Address) -> bool:
    reserved = address.is_reserved or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    return address.is_global and not (
        address.is_multicast or reserved or address.is_loopback or address.is_unspecified or address.is_link_local
    )


def _within(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to by one of the ways across; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
