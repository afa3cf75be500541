"""Where the key and the presigned URLs go, and where they never do."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from pathlib import Path

import httpx
import pytest
import trustme
from stub import KEY, Answer, Request, Stub, answer, error, task, uuids

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityValidationError
from airflow_provider_clarity.runware import ClarityClient, shared_ssl_context, tls, to_exception


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\n", "\tkey", "ключ", "key\x00"])
def test_a_key_that_cannot_be_one_is_refused_with_a_hint(key: str) -> None:
    """A key copied with its line break makes an invalid header, which libraries print in full."""
    with pytest.raises(ClarityAuthError, match="connection's password") as refused:
        ClarityClient(api_key=key)
    assert not key.strip() or key not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.runware.ai/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://10.0.0.5/v1",
        "ftp://api.runware.ai",
        "api.runware.ai/v1",
        "https://user:pw@api.runware.ai/v1",
        "https://api.runware.ai/v1?key=secret",
        "https://",
        "https://[::1",
        "",
    ],
)
def test_an_address_that_must_not_have_the_key_is_refused(url: str) -> None:
    """Plain http would show the key to everyone on the way."""
    with pytest.raises(ClarityValidationError) as refused:
        ClarityClient(api_key=KEY, base_url=url)
    assert "secret" not in str(refused.value)
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1:80", "127.8.9.1", "[::1]:8080", "localhost:1", "LOCALHOST"])
def test_plain_http_is_spoken_to_loopback(host: str) -> None:
    """The emulator has no certificate."""
    assert ClarityClient(api_key=KEY, base_url=f"http://{host}/v1/").base_url == f"http://{host}/v1"


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"timeout": -1}, {"max_connections": 0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, int]) -> None:
    """A semaphore of none waits for ever."""
    with pytest.raises(ClarityValidationError):
        ClarityClient(api_key=KEY, **settings)  # type: ignore[arg-type]


async def test_nothing_of_ours_reaches_the_libraries_logs(
    client: ClarityClient, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG httpcore writes the headers, with the key; at INFO httpx writes whole URLs."""
    for name in (None, "httpx", "httpcore"):  # Airflow quiets them by itself
        caplog.set_level(logging.DEBUG, logger=name)
    stub.handler = lambda r: Answer(200, b"JPEG") if r.method == "GET" else answer({"data": []})
    await client.submit([task() for _ in range(150)])
    await client.fetch_image(f"http://127.0.0.1:{stub.port}/x.jpg?sig=secret", max_bytes=10)
    await client.aclose()
    assert [record.name for record in caplog.records if record.name.startswith("http")] == []
    assert KEY not in caplog.text


async def test_the_requests_of_others_are_still_logged(
    client: ClarityClient, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    """Silencing the whole process would take another provider's logs away."""
    for name in (None, "httpx", "httpcore"):  # Airflow quiets them by itself
        caplog.set_level(logging.INFO, logger=name)
    await client.get_response(uuids(1))
    async with httpx.AsyncClient(trust_env=False) as other:
        await asyncio.gather(other.post(stub.url, json=[{"taskType": "x", "taskUUID": "y"}]), client.get_response([]))
    assert [record.name for record in caplog.records if record.name.startswith("http")] == ["httpx"]


async def test_the_key_is_in_no_repr_and_no_message(client: ClarityClient, stub: Stub) -> None:
    """Task logs are read by more people than connections are."""

    def tell_tale(request: Request) -> Answer:
        said = f"key {KEY} may not read https://storage.example/b?X-Goog-Signature=abc Bearer {KEY}"
        return answer({"errors": [{**error("invalidInput", request.uuids[0]), "message": said}]}, 400)

    stub.then(tell_tale)
    outcome = (await client.submit([task()])).outcomes[0]
    assert outcome.error
    for shown in (repr(client), repr(outcome), str(to_exception(outcome.error))):
        assert KEY not in shown
        assert "abc" not in shown


async def test_no_redirect_is_followed(client: ClarityClient, stub: Stub) -> None:
    """A redirect would carry the tasks, with their presigned URLs, to another host."""
    async with Stub() as elsewhere:
        stub.then(Answer(308, b"", {"Location": elsewhere.url}))
        await client.submit([task()])
        assert elsewhere.requests == []


async def test_a_proxy_of_the_environment_does_not_see_loopback(monkeypatch: pytest.MonkeyPatch, stub: Stub) -> None:
    """Over plain http the proxy would be given the key."""
    async with Stub() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with ClarityClient(api_key=KEY, base_url=stub.url) as client:
            await client.get_response(uuids(1))
        assert (len(stub.requests), len(proxy.requests)) == (1, 0)


async def test_cookies_are_not_kept(client: ClarityClient, stub: Stub) -> None:
    """They would tie requests together, and go along with the fetch of a picture."""
    stub.then(Answer(200, b'{"data": []}', {"Set-Cookie": "session=1; Path=/"}))
    await client.get_response(uuids(1))
    await client.get_response(uuids(1))
    assert "cookie" not in stub.requests[1].headers


async def test_the_tls_context_is_built_once_and_its_thread_ends() -> None:
    """Built for each client it would block the triggerer's loop 45 ms each time."""
    before = threading.active_count()
    first, second = await asyncio.gather(shared_ssl_context(), shared_ssl_context())
    assert first is second
    assert first.verify_mode == ssl.CERT_REQUIRED
    await asyncio.sleep(0.05)
    assert threading.active_count() <= before


async def test_the_certificate_authority_of_the_environment_is_believed_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A company's proxy signs with its own authority; anybody else's certificate must not get the key."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with Stub(server) as stub:
        url = stub.url.replace("http://127.0.0.1", "https://localhost")
        async with ClarityClient(api_key=KEY, base_url=url, timeout=5) as client:
            assert (await client.get_response(uuids(1))).states == {}
        assert stub.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with ClarityClient(api_key=KEY, base_url=url, timeout=5) as client:
            assert (await client.submit([task()])).outcomes[0].status == "accepted"


async def test_a_certificate_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bare error of the ssl module does not say which setting to look at."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    monkeypatch.setattr(tls, "_built", {})
    with pytest.raises(ClarityValidationError, match="SSL_CERT_FILE"):
        await shared_ssl_context()
