"""Which hosts we speak to, and how. Pure: looks at names and addresses, resolves nothing.

Invariants: ``http://`` only to loopback; the key only to the connection's own host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_clarity.exceptions import ClarityValidationError

_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
"""The last part begins with a letter, as every top-level domain: resolvers read ``127.1`` and ``0x7f.1`` as numbers."""

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_INSIDE: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""What clouds answer to their own machines under addresses that Python takes for public: Azure's services, Oracle's."""


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: 127.0.0.0/8, ``::1`` or ``localhost``.

    :param host: a host name or a literal address, with or without the brackets of IPv6
    """
    name = host.strip("[]").rstrip(".").casefold()
    if name == "localhost":
        return True
    address = literal_address(name)
    return address is not None and address.is_loopback


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """Read a literal IP address; an IPv4 address dressed as IPv6 (``::ffff:127.0.0.1``) is read as IPv4.

    :param host: a host name or a literal address
    :return: none, when it is a name
    """
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: str) -> bool:
    """Tell whether a resolved address lies in the public internet: not private, link-local, loopback or multicast.

    An IPv4 address that a gateway would reach by an IPv6 one is looked at itself (NAT64, the only way out of a network
    without IPv4); the other ways of wrapping one (6to4, Teredo, ``::a.b.c.d``) are long dead, and not public.

    :param address: a literal address, as a resolver gives it (a zone such as ``%eth0`` is ignored)
    """
    literal = literal_address(address.partition("%")[0])
    if isinstance(literal, IPv6Address):
        if literal in _NAT64:
            literal = IPv4Address(int(literal) & 0xFFFFFFFF)
        elif literal not in _GLOBAL_UNICAST or literal.sixtofour is not None or literal.teredo is not None:
            return False
    return literal is not None and literal.is_global and not literal.is_multicast and not _is_inside(literal)


def _is_inside(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv4Address) and any(address in network for network in _INSIDE)


def is_name(host: str) -> bool:
    """Tell whether a host is a name that every resolver and proxy reads alike: no number, no odd character.

    :param host: the host name of a URL, in ASCII
    """
    return _NAME.fullmatch(host.removesuffix(".").casefold()) is not None


def host_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Tell whether a host is on an allow-list.

    :param host: the host name of a URL
    :param allowed: names that must match exactly, and suffixes beginning with a dot, which mean any subdomain
    """
    name = host.rstrip(".").casefold()
    for entry in allowed:
        wanted = entry.strip().rstrip(".").casefold()
        if wanted.startswith(".") and len(wanted) > 1 and name.endswith(wanted) and len(name) > len(wanted):
            return True
        if wanted and name == wanted:
            return True
    return False


def checked_base_url(base_url: str) -> str:
    """Return the service's address in the one form we use, or say why the key must not be sent there.

    :param base_url: ``https://host/path``; ``http://`` is taken only for loopback
    :raises ClarityValidationError: no scheme or host, a user, a query, or ``http://`` to another machine
    """
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    hint = "Nothing was sent. Give the connection a host such as https://api.runware.ai/v1."
    if parts.scheme not in ("http", "https") or not host:
        raise ClarityValidationError(f"The Runware address of the connection is not an http(s) URL. {hint}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ClarityValidationError(f"The Runware address carries a user, a query or a fragment. {hint}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ClarityValidationError(
            f"The Runware address http://{host} would send the key unencrypted to another machine. {hint}"
        )
    return base_url.strip().rstrip("/")
