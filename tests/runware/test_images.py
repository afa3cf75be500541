"""Fetching a picture: only from where the service keeps them, and only so much."""

from __future__ import annotations

import pytest
from stub import KEY, Answer, Stub

from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.runware import IMAGE_HOSTS, ClarityClient
from airflow_provider_clarity.runware.images import check_address, checked_url


async def test_the_picture_comes_whole_and_the_key_stays_here(client: ClarityClient, stub: Stub) -> None:
    """The host of pictures is another than the API's."""
    stub.then(Answer(200, b"\xff\xd8picture"))
    url = f"http://127.0.0.1:{stub.port}/image/x.jpg"
    assert await client.fetch_image(url, max_bytes=100) == b"\xff\xd8picture"
    assert "authorization" not in stub.requests[0].headers
    assert stub.requests[0].method == "GET"


BROKEN = {
    "redirect": Answer(302, b"", {"Location": "https://im.runware.ai/"}),
    "404": Answer(404, b"gone"),
    "too large": Answer(200, b"x" * 101),
    "empty": Answer(200, b""),
    "cut": Answer(200, b"half", length=50),
    "reset": Answer(reset=True),
    "dripping": Answer(200, b"x" * 50, drip=1),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_picture_that_does_not_come_is_a_delivery_error_without_its_secret(name: str, stub: Stub) -> None:
    """It is paid for: no error here may lead to a new purchase, nor show the URL's query."""
    stub.then(BROKEN[name])
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=0.2) as client:
        with pytest.raises(ClarityDeliveryError) as failed:
            await client.fetch_image(f"http://127.0.0.1:{stub.port}/x.jpg?sig=secret", max_bytes=100)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://im.runware.ai/image/x.jpg",
        "https://IM.runware.ai/x.jpg",
        "https://a.b.runware.ai/x.jpg",
        "https://im.runware.ai./x.jpg",
    ],
)
def test_the_services_own_hosts_are_allowed(url: str) -> None:
    """Else no paid picture could be rescued."""
    assert checked_url(url, allowed_hosts=IMAGE_HOSTS, loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://im.runware.ai/x.jpg",
        "https://runware.ai.evil.example/x.jpg",
        "https://evilrunware.ai/x.jpg",
        "https://runware.ai/x.jpg",
        "https://im.runware.ai@evil.example/x.jpg",
        "https://user@im.runware.ai/x.jpg",
        "https://127.0.0.1/x.jpg",
        "http://127.0.0.1/x.jpg",
        "https://169.254.169.254/computeMetadata/v1/",
        "file:///etc/passwd",
        "https://[::ffff:169.254.169.254]/",
        "https://\\evil",
        "",
        "not a url",
        "https://im.runware.ai\n.evil.example/",
    ],
)
@pytest.mark.parametrize("loopback", [False])
def test_any_other_address_is_refused(url: str, *, loopback: bool) -> None:
    """A URL in a reply must not make the worker fetch from its own network."""
    with pytest.raises(ClarityDeliveryError):
        checked_url(url, allowed_hosts=IMAGE_HOSTS, loopback=loopback)


def test_a_loopback_connection_may_fetch_from_loopback_only_in_addition() -> None:
    """The emulator serves its pictures from loopback, on either scheme."""
    assert checked_url("http://localhost:1/x", allowed_hosts=(), loopback=True)
    with pytest.raises(ClarityDeliveryError):
        checked_url("http://im.runware.ai/x", allowed_hosts=IMAGE_HOSTS, loopback=True)


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[fe80::1]", "[::1]", "100.64.0.1", "224.0.0.1"])
async def test_a_listed_host_in_a_private_network_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name on the list may be made to resolve to the metadata server."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    url = checked_url(f"https://{host}/x", allowed_hosts=[host.strip("[]")], loopback=False)
    with pytest.raises(ClarityDeliveryError, match="private network"):
        await check_address(url, loopback=False)


async def test_behind_a_proxy_names_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the proxy knows names, resolving here would refuse every picture."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    url = checked_url("https://im.runware.ai/x", allowed_hosts=IMAGE_HOSTS, loopback=False)
    await check_address(url, loopback=False)
