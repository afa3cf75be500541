"""Presigned URLs of version 4: the right ones are taken, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]

NAME = "day 1/ä+b&c=%2F.png"


def sign(store: StorageServer, method: str = "GET", name: str = NAME, **more: Any) -> str:
    """Let the real client sign."""
    blob = store.client().bucket("raw").blob(name)
    url = blob.generate_signed_url(
        version="v4", expiration=more.pop("expiration", 600), method=method, api_access_endpoint=store.url, **more
    )
    return str(url)


def refused(reply: httpx.Response, status: int, code: str) -> bool:
    """Whether a reply is Google's XML of that error."""
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/xml"), reply.text
    assert reply.text.startswith("<?xml version='1.0' encoding='UTF-8'?><Error><Code>")
    assert f"<Code>{code}</Code><Message>" in reply.text
    return True


def test_put_then_get_then_head(store: StorageServer) -> None:
    """The service that upscales holds two URLs and nothing else: it reads with one and writes with the other."""
    put = store.http.put(sign(store, "PUT"), content=b"picture", headers={"content-type": "image/png"})
    assert put.status_code == 200
    assert put.headers["etag"].startswith('"')
    found = store.client().bucket("raw").get_blob(NAME)
    assert (found.generation, found.content_type) == (int(put.headers["x-goog-generation"]), "image/png")
    got = store.http.get(sign(store, "GET"))
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, b"picture", "image/png")
    ranged = store.http.get(sign(store, "GET"), headers={"range": "bytes=1-2"})
    assert (ranged.status_code, ranged.content) == (206, b"ic")
    head = store.http.head(sign(store, "HEAD"))
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "7")
    assert store.http.delete(sign(store, "DELETE")).status_code == 204
    assert store.http.head(sign(store, "HEAD")).status_code == 404


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda url: re.sub("Signature=..", "Signature=00", url), id="signature"),
        pytest.param(lambda url: url.replace("day%201", "day%202"), id="object"),
        pytest.param(lambda url: url.replace("/raw/", "/print/"), id="bucket"),
        pytest.param(lambda url: url.replace("127.0.0.1", "localhost"), id="host"),
        pytest.param(lambda url: url.replace("X-Goog-Expires=600", "X-Goog-Expires=601"), id="expiry"),
        pytest.param(lambda url: url.replace("generation=1", "generation=2"), id="parameter"),
        pytest.param(lambda url: url.replace("generation=1&", ""), id="parameter taken away"),
        pytest.param(lambda url: url + "&generation=3", id="parameter added"),
        pytest.param(lambda url: url.replace("emulator%40", "other%40"), id="account"),
        pytest.param(lambda url: re.sub(r"(Date=\d{8}T)\d{6}", r"\g<1>000001", url), id="date"),
    ],
)
def test_whatever_is_altered_is_403(store: StorageServer, tamper: Callable[[str], str]) -> None:
    """One part that is not looked at would let a test pass with a URL that the real service refuses."""
    url = sign(store, query_parameters={"generation": "1"})
    altered = tamper(url)
    assert altered != url
    assert refused(store.http.get(altered), 403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(("signed", "used"), [("PUT", "GET"), ("GET", "PUT"), ("GET", "HEAD"), ("PUT", "DELETE")])
def test_a_url_is_for_one_method(store: StorageServer, signed: str, used: str) -> None:
    """A URL to read must not write, nor the other way round."""
    assert store.http.request(used, sign(store, signed)).status_code == 403
    assert store.client().bucket("raw").get_blob(NAME) is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "image/jpeg"}, {"content-type": "image/png; charset=x"}],
    ids=["missing", "changed", "longer"],
)
def test_a_signed_header_must_come_as_it_was_signed(store: StorageServer, headers: dict[str, str]) -> None:
    """Who signs a content type binds the uploader to it; that is why only the host is signed in production."""
    url = sign(store, "PUT", content_type="image/png")
    assert refused(store.http.put(url, content=b"1", headers=headers), 403, "SignatureDoesNotMatch")
    assert store.http.put(url, content=b"1", headers={"content-type": "image/png"}).status_code == 200


def test_a_google_header_must_be_signed(store: StorageServer) -> None:
    """Else anybody with the URL could add preconditions or metadata to it."""
    url = sign(store, "PUT")
    reply = store.http.put(url, content=b"1", headers={"x-goog-meta-a": "1"})
    assert refused(reply, 400, "MalformedSecurityHeader")
    assert store.client().bucket("raw").get_blob(NAME) is None


def test_signed_google_headers_take_effect(store: StorageServer) -> None:
    """A signed generation match is enforced: the second PUT on a free name is 412; metadata arrives."""
    headers = {"x-goog-if-generation-match": "0", "x-goog-meta-task": "t1"}
    url = sign(store, "PUT", headers=dict(headers))
    assert store.http.put(url, content=b"first", headers=headers).status_code == 200
    assert refused(store.http.put(url, content=b"second", headers=headers), 412, "PreconditionFailed")
    found = store.client().bucket("raw").get_blob(NAME)
    assert (found.download_as_bytes(), found.metadata) == (b"first", {"task": "t1"})


def test_it_is_good_until_it_expires(store: StorageServer) -> None:
    """Taken in its last second, refused in the next: 400 with ExpiredToken, not 403."""
    store.client().bucket("raw").blob(NAME).upload_from_string(b"1")
    url = sign(store, expiration=600)
    store.ahead = 598
    assert store.http.get(url).status_code == 200
    store.ahead = 602
    assert refused(store.http.get(url), 400, "ExpiredToken")


def test_a_week_is_the_longest_and_tomorrow_is_no_date(store: StorageServer) -> None:
    """Seven days are taken to their end; a URL from the future is refused."""
    store.client().bucket("raw").blob(NAME).upload_from_string(b"1")
    url = sign(store, expiration=604_800)
    store.ahead = 604_700
    assert store.http.get(url).status_code == 200
    store.ahead = -3600
    assert refused(store.http.get(url), 403, "RequestTimeTooSkewed")


@pytest.mark.parametrize(
    "mangle",
    [
        pytest.param(lambda url: re.sub("&X-Goog-Signature=.*", "", url), id="no signature"),
        pytest.param(lambda url: re.sub("X-Goog-Date=[^&]*&", "", url), id="no date"),
        pytest.param(lambda url: re.sub("Date=[^&]*", "Date=today", url), id="date"),
        pytest.param(lambda url: re.sub("Expires=600", "Expires=604801", url), id="more than a week"),
        pytest.param(lambda url: re.sub("Expires=600", "Expires=0", url), id="no time"),
        pytest.param(lambda url: re.sub("Expires=600", "Expires=soon", url), id="expiry"),
        pytest.param(lambda url: re.sub("Signature=..", "Signature=zz", url), id="not hexadecimal"),
        pytest.param(lambda url: url.replace("GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256"), id="algorithm"),
        pytest.param(lambda url: url.replace("%2Fauto%2F", "%2Fus%2F"), id="scope"),
        pytest.param(lambda url: url.replace("SignedHeaders=host", "SignedHeaders=range"), id="host not signed"),
        pytest.param(lambda url: url + "&X-Goog-Date=20200101T000000Z", id="twice"),
        pytest.param(lambda url: url.replace("X-Goog-Date", "x-goog-date"), id="spelling"),
    ],
)
def test_what_cannot_be_read_is_400(store: StorageServer, mangle: Callable[[str], str]) -> None:
    """A query that is no V4 signature is refused as malformed, in XML, and never ends in a 500."""
    url = sign(store)
    mangled = mangle(url)
    assert mangled != url
    assert refused(store.http.get(mangled), 400, "MalformedSecurityHeader")


def test_version_2_is_named(store: StorageServer) -> None:
    """The client's default is version 2; who forgets ``version="v4"`` is told so."""
    blob = store.client().bucket("raw").blob(NAME)
    reply = store.http.get(blob.generate_signed_url(expiration=600, version="v2", api_access_endpoint=store.url))
    assert refused(reply, 400, "InvalidArgument")
    assert "version 4" in reply.text


def test_without_a_signature_only_a_token_opens(store: StorageServer) -> None:
    """The XML API is not public: 403 without anything, 401 with a token from elsewhere, 200 with one of ours."""
    client = store.client()
    client.bucket("raw").blob(NAME).upload_from_string(b"1")
    url = f"{store.url}/raw/{quote(NAME, safe='/~')}"
    for method in ("GET", "PUT", "DELETE", "POST"):
        assert refused(store.http.request(method, url), 403, "AccessDenied")
    assert refused(store.http.get(url, headers={"authorization": "Bearer ya29.other"}), 401, "AuthenticationRequired")
    token = client._credentials.token
    assert store.http.get(url, headers={"authorization": f"Bearer {token}"}).content == b"1"


def test_the_generation_is_part_of_the_url(store: StorageServer) -> None:
    """An input URL names the generation that was inspected: replaced meanwhile, it is gone and not another picture."""
    blob = store.client().bucket("raw").blob(NAME)
    blob.upload_from_string(b"old")
    url = sign(store, generation=blob.generation)
    assert store.http.get(url).content == b"old"
    blob.upload_from_string(b"new")
    assert refused(store.http.get(url), 404, "NoSuchKey")
    assert store.http.get(sign(store)).content == b"new"


def test_what_is_missing_is_named(store: StorageServer) -> None:
    """NoSuchKey for the object and NoSuchBucket for the bucket, and no body for HEAD."""
    assert refused(store.http.get(sign(store)), 404, "NoSuchKey")
    assert store.http.head(sign(store, "HEAD")).content == b""
    elsewhere = store.client().bucket("nowhere").blob("a")
    url = elsewhere.generate_signed_url(version="v4", expiration=60, api_access_endpoint=store.url)
    assert refused(store.http.get(url), 404, "NoSuchBucket")


def test_the_reply_may_be_dressed(store: StorageServer) -> None:
    """Signed ``response-`` parameters change the headers of the reply."""
    store.client().bucket("raw").blob(NAME).upload_from_string(b"1", content_type="image/png")
    reply = store.http.get(sign(store, response_type="text/x", response_disposition="attachment"))
    assert (reply.headers["content-type"], reply.headers["content-disposition"]) == ("text/x", "attachment")


def test_a_signed_url_starts_a_session(store: StorageServer) -> None:
    """``RESUMABLE`` signs a POST that gives a session URI; what is PUT there needs no signature any more."""
    url = sign(store, "RESUMABLE", content_type="image/png")
    assert store.http.post(url, headers={"content-type": "image/png"}).status_code == 403
    started = store.http.post(url, headers={"content-type": "image/png", "x-goog-resumable": "start"})
    assert started.status_code == 201
    done = store.http.put(started.headers["location"], content=b"picture")
    assert (done.status_code, done.headers["x-goog-stored-content-length"]) == (200, "7")
    found = store.client().bucket("raw").get_blob(NAME)
    assert (found.download_as_bytes(), found.content_type) == (b"picture", "image/png")


def test_a_signed_digest_binds_the_body(store: StorageServer) -> None:
    """With ``x-goog-content-sha256`` signed, another body is refused."""
    digest = "0" * 64
    url = sign(store, "PUT", headers={"x-goog-content-sha256": digest})
    reply = store.http.put(url, content=b"1", headers={"x-goog-content-sha256": digest})
    assert refused(reply, 400, "BadDigest")


@pytest.mark.parametrize("header", ["content-md5", "x-goog-hash"])
def test_a_wrong_sum_of_the_body_is_refused(store: StorageServer, header: str) -> None:
    """A PUT that was damaged on its way does not become a picture."""
    value = "AAAAAAAAAAAAAAAAAAAAAA==" if header == "content-md5" else "crc32c=AAAAAA=="
    url = sign(store, "PUT", headers={header: value})
    assert refused(store.http.put(url, content=b"1", headers={header: value}), 400, "BadDigest")
    assert store.client().bucket("raw").get_blob(NAME) is None
