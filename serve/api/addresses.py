"""Addresses: from where a request comes, as far as somebody says so who is to be believed."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

from cluster.front_door import ADDRESS, CLUSTER

Networks = Sequence[IPv4Network | IPv6Network]

SUBSCRIBER = 64  # bits of an IPv6 address that one line has all to itself (RFC 6177)


def address_of(request: Request, mark: str, proxies: Networks) -> str:
    """Return the address that a request came from, of IPv6 the network of one subscriber.

    Our balancer says whom it heard, in place of whatever a client says, and marks the request. Where there is none, it
    is who connected. `X-Forwarded-For` is believed of proxies that the operator named, and of nobody else.

    mark: as `cluster_mark`; proxies: networks in which those are.
    """
    is_ours = bool(mark) and request.headers.get(CLUSTER) == mark
    said = request.headers.get(ADDRESS) if is_ours else request.client and request.client.host
    address = _read(said or "")
    if address is None:
        return said or ""
    if proxies:
        told = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while told and _is_in(address, proxies) and (before := _read(told.pop().strip())) is not None:
            address = before
    return str(address if address.version == 4 else ip_network((int(address), SUBSCRIBER), strict=False))


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
