"""How the host of a picture is reached: through a proxy by its name, or at an address that was looked at.

Invariant: a name is resolved once, and what was looked at is what is connected to. Left to the connection, the
name would be resolved a second time, and whoever answers for it could have changed the answer between the two (DNS
rebinding).
"""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from dataclasses import dataclass

import httpx

from airflow_provider_clarity.runware.hosts import is_loopback, is_public


class NoRouteError(Exception):
    """The host must not be asked, or is not known; the text is half a sentence that says so.

    :param passing: whether it may be otherwise later
    """

    def __init__(self, why: str, *, passing: bool = False) -> None:
        super().__init__(why)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Routes:
    """Where to connect to for one URL.

    :param url: what is wanted
    :param addresses: where its host is, to be tried in this order; none, when a proxy looks that up
    :param proxy: the proxy's URL
    """

    url: httpx.URL
    addresses: tuple[str, ...] = ()
    proxy: str | None = None

    def requests(self, http: httpx.AsyncClient, headers: dict[str, str]) -> list[httpx.Request]:
        """Make one request for each address. The certificate is still asked for by the host's name.

        :param http: whose defaults are taken
        :param headers: beside those
        """
        if self.proxy is not None:
            return [http.build_request("GET", self.url, headers=headers)]
        name = self.url.raw_host.decode("ascii").removesuffix(".")
        named = {**headers, "Host": self.url.netloc.decode("ascii")}
        return [
            http.build_request(
                "GET", self.url.copy_with(host=address), headers=named, extensions={"sni_hostname": name}
            )
            for address in self.addresses
        ]


async def find(url: httpx.URL, *, loopback: bool) -> Routes:
    """Say how a checked URL is reached.

    :param url: checked; its host is a name or a literal address
    :param loopback: whether the connection's own host is loopback; then there is no proxy, and loopback is allowed
    :raises NoRouteError: one of the host's addresses is private, or its name is not known
    """
    host = url.raw_host.decode("ascii").strip("[]")
    proxy = None if loopback else _proxy(url.scheme, host)
    if proxy is not None:
        return Routes(url, proxy=proxy)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NoRouteError("its host name is unknown here", passing=True) from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    expected = is_loopback if loopback and is_loopback(host) else is_public
    if not addresses or not all(expected(address) for address in addresses):
        raise NoRouteError("its host lies in a private network")
    return Routes(url, addresses)


def _proxy(scheme: str, host: str) -> str | None:
    """Read the proxy from the environment, as ``httpx`` would."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
