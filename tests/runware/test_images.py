"""Fetching a picture: only so much, and nothing secret in an error. What is never asked for: test_forbidden_urls.py."""

from __future__ import annotations

import pytest
from stub import KEY, Answer, Stub

from airflow_provider_clarity.exceptions import ClarityDeliveryError
from airflow_provider_clarity.runware import IMAGE_HOSTS, ClarityClient
from airflow_provider_clarity.runware.images import checked_url


async def test_the_picture_comes_whole_and_the_key_stays_here(client: ClarityClient, stub: Stub) -> None:
    """The host of pictures is another than the API's."""
    stub.then(Answer(200, b"\xff\xd8picture"))
    url = f"http://127.0.0.1:{stub.port}/image/x.jpg"
    assert await client.fetch_image(url, max_bytes=100) == b"\xff\xd8picture"
    assert "authorization" not in stub.requests[0].headers
    assert stub.requests[0].method == "GET"


BROKEN = {
    "a page": Answer(200, b"<!doctype html>", {"Content-Type": "text/html; charset=utf-8"}),
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
    async with ClarityClient(api_key=KEY, base_url=stub.url, timeout=1) as client:
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


def test_a_loopback_connection_may_fetch_from_loopback_only_in_addition() -> None:
    """The emulator serves its pictures from loopback, on either scheme."""
    assert checked_url("http://localhost:1/x", allowed_hosts=(), loopback=True)
    with pytest.raises(ClarityDeliveryError):
        checked_url("http://im.runware.ai/x", allowed_hosts=IMAGE_HOSTS, loopback=True)
