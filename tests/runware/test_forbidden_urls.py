"""A result's URL must not make the worker ask anybody but the service's own hosts, whatever it says."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trustme
from attackers_network import Network
from forbidden_urls import API, FORBIDDEN, PUBLIC, REDIRECTS, TARGETS, Vector
from stub import KEY, Answer, Stub

from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.runware import ClarityClient, images, routes

URL = "https://im.runware.ai/x.jpg"
VECTORS = [(group, vector) for group, vectors in FORBIDDEN.items() for vector in vectors]
AUTHORITY = trustme.CA()


@pytest.fixture
def trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stub]:
    """A server with a valid certificate for the service's host of pictures, which gives anybody a picture."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("im.runware.ai").configure_cert(context)
    async with Stub(context) as running:
        running.handler = lambda _: Answer(200, b"picture")
        yield running


@pytest.fixture
def network(server: Stub, monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network(server.port)
    made.answers = [(PUBLIC,)]
    made.install(monkeypatch)
    return made


async def fetch(vector: Vector, trust: ssl.SSLContext) -> bytes:
    async with ClarityClient(api_key=KEY, base_url=vector.base_url, ssl_context=trust, timeout=5) as client:
        return await client.fetch_image(vector.url, max_bytes=1000, allowed_hosts=vector.allowed)


def test_there_are_enough_of_them() -> None:
    """Somebody who shortens the table is told."""
    assert len({(vector.url, vector.answers, vector.base_url, vector.proxy) for _, vector in VECTORS}) == len(VECTORS)
    assert len(VECTORS) >= 60
    assert len(FORBIDDEN) >= 15


@pytest.mark.parametrize(
    ("group", "vector"), VECTORS, ids=[f"{group}: {vector.url[:60]!a} {vector.answers}" for group, vector in VECTORS]
)
async def test_nobody_is_asked(
    group: str,
    vector: Vector,
    network: Network,
    server: Stub,
    trust: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No connection was tried to any address; an error alone would not say so. The message can be shown to anybody."""
    network.answers = [vector.answers]
    if vector.proxy:
        monkeypatch.setenv("HTTPS_PROXY", vector.proxy)
    with pytest.raises(ClarityDeliveryError) as refused:
        await fetch(vector, trust)
    assert (network.tried, server.requests) == ([], []), group
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 500
    assert "was not fetched: " in message
    assert "stays paid" in message
    assert "word" not in message
    assert refused.value.retryable is (vector.answers == ())


async def test_the_services_own_picture_is_asked_for(network: Network, server: Stub, trust: ssl.SSLContext) -> None:
    """The measure of the others: here a request arrives, at the address that was looked at, under the host's name."""
    assert await fetch(Vector(URL), trust) == b"picture"
    assert network.tried == [(PUBLIC, 443)]
    assert [request.headers["host"] for request in server.requests] == ["im.runware.ai"]


@pytest.mark.parametrize("group", ["private", "loopback", "metadata", "IPv4 inside IPv6"])
async def test_without_the_look_at_addresses_they_would_arrive(
    group: str, network: Network, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network above sees what the code does when it does it: the vectors are refused, not lost."""
    monkeypatch.setattr(images, "is_public", lambda _: True)
    monkeypatch.setattr(routes, "is_public", lambda _: True)
    for vector in FORBIDDEN[group]:
        if vector.url.startswith("https:"):
            network.tried.clear()
            network.answers = [vector.answers]
            with suppress(ClarityDeliveryError):  # where the certificate is another's
                await fetch(vector, trust)
            assert network.tried, vector


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_leads_nowhere(
    status: int, target: str, network: Network, server: Stub, trust: ssl.SSLContext
) -> None:
    """Else a listed host that redirects would lead past all of the above."""
    server.then(Answer(status, b"", {"Location": target}))
    with pytest.raises(ClarityDeliveryError, match=rf"{status}|InvalidURL"):
        await fetch(Vector(URL), trust)
    assert len(server.requests) == 1
    assert network.tried == [(PUBLIC, 443)]
    assert network.asked == ["im.runware.ai"]


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
async def test_a_name_that_changes_after_the_look_changes_nothing(
    inside: str, network: Network, server: Stub, trust: ssl.SSLContext
) -> None:
    """DNS rebinding: the first answer is public, each later one private. What was looked at is connected to."""
    network.answers = [(PUBLIC,), (inside,)]
    assert await fetch(Vector(URL), trust) == b"picture"
    assert network.asked == ["im.runware.ai"]
    assert network.tried == [(PUBLIC, 443)]
    with pytest.raises(ClarityDeliveryError, match="private network"):
        await fetch(Vector(URL), trust)
    assert network.tried == [(PUBLIC, 443)]
    assert len(server.requests) == 1


async def test_the_certificate_is_the_hosts_not_the_addresss(network: Network, server: Stub) -> None:
    """Connecting by address must not mean to believe whoever answers there."""
    other = ssl.create_default_context()
    AUTHORITY.configure_trust(other)
    with pytest.raises(ClarityDeliveryError, match="connection failed"):
        await fetch(Vector("https://cdn.runware.ai/x.jpg"), other)
    assert network.tried == [(PUBLIC, 443)]
    assert server.requests == []


async def test_the_next_address_is_tried_when_the_first_takes_no_connection(
    network: Network, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host has addresses of both kinds, and many a worker has no way to those of IPv6."""
    network.answers = [("2606:2800:21f:cb07::1", PUBLIC)]
    lead = network._connector

    def without_ipv6(real: object) -> object:
        led = lead(real)  # type: ignore[arg-type]

        def connect(sock: object, address: tuple[str, int]) -> object:
            led_there = led(sock, address) if ":" not in address[0] else None
            if ":" in address[0]:
                network.tried.append(address[:2])
                raise OSError(101, "Network is unreachable")
            return led_there

        return connect

    monkeypatch.setattr(network, "_connector", without_ipv6)
    with monkeypatch.context() as patch:
        network.install(patch)
        assert await fetch(Vector(URL), trust) == b"picture"
    assert network.tried[0][0] == "2606:2800:21f:cb07::1"


async def test_a_proxy_is_given_the_name_and_nobody_else_is_asked(
    network: Network, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the proxy knows names, resolving here would refuse every picture."""
    async with Stub() as proxy:
        network.port = proxy.port
        monkeypatch.setenv("HTTPS_PROXY", "http://8.8.4.4:3128")
        proxy.then(Answer(403))
        with pytest.raises(ClarityDeliveryError, match="ProxyError"):
            await fetch(Vector(URL), trust)
        assert [(request.method, request.path) for request in proxy.requests] == [("CONNECT", "im.runware.ai:443")]
    assert network.asked == []
    assert network.tried == [("8.8.4.4", 3128)]


async def test_a_host_that_goes_past_the_proxy_is_looked_at(
    network: Network, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leaves the proxy out is connected to from here, and only as looked at here."""
    monkeypatch.setenv("HTTPS_PROXY", "http://8.8.4.4:3128")
    monkeypatch.setenv("NO_PROXY", ".runware.ai")
    assert await fetch(Vector(URL, base_url=API), trust) == b"picture"
    assert network.tried == [(PUBLIC, 443)]
    network.answers = [("10.0.0.1",)]
    with pytest.raises(ClarityDeliveryError, match="private network"):
        await fetch(Vector(URL), trust)
    assert network.tried == [(PUBLIC, 443)]
