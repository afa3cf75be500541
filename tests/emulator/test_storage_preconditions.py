"""Preconditions: what holds of every one of them, and under a race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from storage_server import StorageServer

pytest_plugins = ["storage_fixtures"]

RACERS = 16


def race(deed: Callable[[int], object]) -> list[object]:
    """Run a deed in 16 threads at once; return what each gave or raised."""
    barrier = threading.Barrier(RACERS)

    def runner(number: int) -> object:
        barrier.wait(20)
        try:
            return deed(number)
        except exceptions.GoogleAPICallError as error:
            return error

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(runner, range(RACERS)))


def test_of_sixteen_racing_creates_exactly_one_wins(store: StorageServer) -> None:
    """The bucket is the lock: two winners would be two purchases. The losers get 412 and the winner's bytes stay."""
    clients = [store.client(AnonymousCredentials()) for _ in range(RACERS)]

    def create(number: int) -> int:
        blob = clients[number].bucket("raw").blob("lock")
        blob.upload_from_string(f"{number}", if_generation_match=0, retry=None)
        return number

    results = race(create)

    winners = [one for one in results if isinstance(one, int)]
    losers = [one for one in results if isinstance(one, exceptions.PreconditionFailed)]
    assert (len(winners), len(losers)) == (1, RACERS - 1)
    assert clients[0].bucket("raw").blob("lock").download_as_bytes() == f"{winners[0]}".encode()


def test_of_sixteen_racing_updates_of_one_generation_exactly_one_wins(store: StorageServer) -> None:
    """A record is taken over by a generation-matched write; only one may become its owner, round after round."""
    clients = [store.client(AnonymousCredentials()) for _ in range(RACERS)]
    clients[0].bucket("raw").blob("record").upload_from_string(b"start")
    for _ in range(3):
        generation = clients[0].bucket("raw").get_blob("record").generation

        def take_over(number: int, generation: int = generation) -> int:
            blob = clients[number].bucket("raw").blob("record")
            blob.upload_from_string(f"{number}", if_generation_match=generation, retry=None)
            return blob.generation

        winners = [one for one in race(take_over) if isinstance(one, int)]
        assert len(winners) == 1
        assert clients[0].bucket("raw").get_blob("record").generation == winners[0]


def test_of_sixteen_racing_finishes_of_upload_sessions_exactly_one_wins(store: StorageServer) -> None:
    """Sessions ask ``ifGenerationMatch`` at their end again: all may start, one may finish."""
    client = store.client(AnonymousCredentials())
    uris = [
        client.bucket("raw").blob("s").create_resumable_upload_session(if_generation_match=0) for _ in range(RACERS)
    ]
    statuses = race(lambda number: store.http.put(uris[number], content=b"%d" % number).status_code)
    assert sorted(map(str, statuses)) == ["200"] + ["412"] * (RACERS - 1)


def test_a_412_is_googles_json(store: StorageServer) -> None:
    """The client takes the reason from the body, not only from the status."""
    client = store.client()
    client.bucket("raw").blob("a").upload_from_string(b"1")
    reply = store.http.post(
        f"{store.url}/upload/storage/v1/b/raw/o?uploadType=media&name=a&ifGenerationMatch=0", content=b"2"
    )
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (412, 412)
    assert error["errors"][0]["reason"] == "conditionNotMet"
    assert error["errors"][0]["domain"] == "global"
    assert error["message"]


CONDITIONS = (
    "if_generation_match",
    "if_metageneration_match",
    "if_generation_not_match",
    "if_metageneration_not_match",
)


@pytest.mark.parametrize("operation", ["reload", "patch", "delete", "download", "rewrite"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_operation_asks_every_precondition(store: StorageServer, operation: str, condition: str) -> None:
    """One that was forgotten would let a stale writer through. First one that does not hold, then one that does."""
    client = store.client()
    blob = client.bucket("raw").blob("a")
    blob.upload_from_string(b"1")
    source = client.bucket("raw").blob("source")
    source.upload_from_string(b"2")
    current = blob.metageneration if "meta" in condition else blob.generation
    fails, holds = (current, current + 1) if "not" in condition else (current + 1, current)
    deeds: dict[str, Callable[..., object]] = {
        "reload": blob.reload,
        "patch": blob.patch,
        "delete": blob.delete,
        "download": blob.download_as_bytes,
        "rewrite": lambda **given: client.bucket("raw").blob("a").rewrite(source, **given),
    }
    expected: type[Exception] = exceptions.PreconditionFailed
    if operation in {"reload", "download"} and "not" in condition:
        expected = exceptions.NotModified
    with pytest.raises(expected):
        deeds[operation](**{condition: fails})
    found = client.bucket("raw").get_blob("a")
    assert (found.generation, found.metageneration) == (blob.generation, 1)
    deeds[operation](**{condition: holds})


@pytest.mark.parametrize("kind", ["media", "resumable"])
@pytest.mark.parametrize("condition", ["Generation", "Metageneration"])
def test_an_insert_asks_every_precondition(store: StorageServer, kind: str, condition: str) -> None:
    """The same for writes, over plain HTTP: the client misspells ``ifMetagenerationNotMatch`` when it uploads."""
    blob = store.client().bucket("raw").blob("a")
    blob.upload_from_string(b"1")
    current = blob.generation if condition == "Generation" else 1
    url = f"{store.url}/upload/storage/v1/b/raw/o?uploadType={kind}&name=a"
    for parameter in (f"if{condition}Match={current + 1}", f"if{condition}NotMatch={current}"):
        assert store.http.post(f"{url}&{parameter}").status_code == 412
    assert store.client().bucket("raw").get_blob("a").generation == blob.generation
    assert store.http.post(f"{url}&if{condition}Match={current}").status_code == 200


@pytest.mark.parametrize("condition", ["if_source_generation_match", "if_source_metageneration_match"])
def test_a_rewrite_asks_about_its_source(store: StorageServer, condition: str) -> None:
    """A staging object that was replaced since it was verified must not be promoted."""
    client = store.client()
    source = client.bucket("raw").blob("source")
    source.upload_from_string(b"2")
    current = source.metageneration if "meta" in condition else source.generation
    final = client.bucket("print").blob("final")
    with pytest.raises(exceptions.PreconditionFailed):
        final.rewrite(source, **{condition: current + 1})
    assert not final.exists()
    final.rewrite(source, **{condition: current})
    assert final.exists()


def test_a_precondition_that_is_no_number_is_refused(store: StorageServer) -> None:
    """Ignoring it would be writing without it."""
    url = f"{store.url}/upload/storage/v1/b/raw/o?uploadType=media&name=a&ifGenerationMatch=none"
    assert store.http.post(url, content=b"1").status_code == 400
