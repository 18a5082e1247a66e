"""Which part of the network a host is in. A redirect must not lead from the outside into a private network."""

from __future__ import annotations

import ipaddress
import socket

PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL = "public", "private", "loopback", "link-local"
_INNER_NAMES = {"localhost": LOOPBACK, "local": PRIVATE, "internal": PRIVATE, "lan": PRIVATE}  # by last label


def is_loopback(host: str) -> bool:
    """True where `host` is written as this machine itself; no name is looked up."""
    return _zone_as_written(host) == LOOPBACK


def zone_of(host: str, *, look_up: bool) -> str:
    """The least public zone of the addresses of `host`. `look_up=False` (behind a proxy): as written, no DNS."""
    written = _zone_as_written(host)
    if written or not look_up:
        return written or PUBLIC
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return PUBLIC  # the connection will say that there is no such host
    zones = {_zone_of_address(str(entry[4][0])) for entry in found}
    return next((zone for zone in (LINK_LOCAL, LOOPBACK, PRIVATE) if zone in zones), PUBLIC)


def _zone_as_written(host: str) -> str:
    host = host.strip("[]").rstrip(".").lower()
    try:
        return _zone_of_address(host)
    except ValueError:
        return _INNER_NAMES.get(host.rpartition(".")[2], "")


def _zone_of_address(text: str) -> str:
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    if address.is_link_local:
        return LINK_LOCAL
    return PUBLIC if address.is_global and not address.is_multicast else PRIVATE
