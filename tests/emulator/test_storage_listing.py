"""Listings: what is shown, in which order, on which page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_server import StorageServer

from airflow_provider_clarity.emulator.storage_listing import ListingQuery, glob_pattern, list_objects
from airflow_provider_clarity.emulator.storage_objects import Attributes
from airflow_provider_clarity.emulator.storage_state import Store

pytest_plugins = ["storage_fixtures"]

NAMES = ["a.png", "b/", "b/1.png", "b/2.jpg", "b/c/3.png", "b/c/d/4.png", "e", "é", "\uffff", "\U0001f600"]


def fill(store: StorageServer) -> None:
    client = store.client()
    for name in NAMES:
        client.bucket("raw").blob(name).upload_from_string(b"1")


def test_names_come_in_the_order_of_their_bytes_on_pages(store: StorageServer) -> None:
    """A merge of two listings needs one order, the same on every page; that is UTF-8, not the locale's."""
    fill(store)
    pages = list(store.client().list_blobs("raw", page_size=3).pages)
    names = [blob.name for page in pages for blob in page]
    assert names == sorted(NAMES, key=lambda name: name.encode())
    assert len(pages) == 4


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"prefix": "b/"}, ["b/", "b/1.png", "b/2.jpg", "b/c/3.png", "b/c/d/4.png"]),
        ({"start_offset": "b/2", "end_offset": "e"}, ["b/2.jpg", "b/c/3.png", "b/c/d/4.png"]),
        ({"start_offset": "b/2.jpg", "end_offset": "b/c/3.png"}, ["b/2.jpg"]),
        ({"prefix": "b/", "start_offset": "b/c"}, ["b/c/3.png", "b/c/d/4.png"]),
        ({"match_glob": "*.png"}, ["a.png"]),
        ({"match_glob": "**.png"}, ["a.png", "b/1.png", "b/c/3.png", "b/c/d/4.png"]),
        ({"match_glob": "b/*.{png,jpg}"}, ["b/1.png", "b/2.jpg"]),
        ({"match_glob": "b/[!1].jpg"}, ["b/2.jpg"]),
        ({"match_glob": "b/?.png"}, ["b/1.png"]),
        ({"match_glob": "b/**/4.png"}, ["b/c/d/4.png"]),
        ({"max_results": 2}, ["a.png", "b/"]),
        ({"prefix": "nothing"}, []),
        ({"fields": "items(name),nextPageToken", "prefix": "e"}, ["e"]),
    ],
)
def test_what_is_asked_for_is_what_is_shown(store: StorageServer, asked: dict[str, str], expected: list[str]) -> None:
    """Start is included and end is not; ``*`` stops at a slash and ``**`` does not."""
    fill(store)
    assert [blob.name for blob in store.client().list_blobs("raw", **asked)] == expected


def test_a_delimiter_folds_names_into_prefixes(store: StorageServer) -> None:
    """Folders are shown once, on whichever page they fall."""
    fill(store)
    for page_size in (1, 2, 100):
        shown = store.client().list_blobs("raw", prefix="b/", delimiter="/", page_size=page_size)
        assert [blob.name for blob in shown] == ["b/", "b/1.png", "b/2.jpg"]
        assert shown.prefixes == {"b/c/"}
    shown = store.client().list_blobs("raw", delimiter="/", include_trailing_delimiter=True)
    assert "b/" in [blob.name for blob in shown]


def test_versions_are_listed_oldest_first(store: StorageServer) -> None:
    """With ``versions`` the noncurrent generations are shown too, also when they fall on different pages."""
    client = store.client()
    bucket = client.bucket("raw")
    bucket.versioning_enabled = True
    bucket.patch()
    generations = []
    for content in (b"1", b"2", b"3"):
        blob = bucket.blob("a")
        blob.upload_from_string(content)
        generations.append(blob.generation)
    bucket.blob("gone").upload_from_string(b"1")
    bucket.blob("gone").delete()
    for page_size in (1, 2, 100):
        shown = list(client.list_blobs("raw", versions=True, page_size=page_size))
        assert [blob.generation for blob in shown if blob.name == "a"] == generations
        assert [blob.time_deleted is None for blob in shown] == [False, False, True, False]
    assert [blob.name for blob in client.list_blobs("raw")] == ["a"]


@pytest.mark.parametrize(
    "query",
    [
        "pageToken=nonsense",
        "pageToken=WzFd",
        "maxResults=-1",
        "matchGlob=[a",
        "matchGlob={a,b",
        "matchGlob=a&delimiter=x",
    ],
)
def test_a_question_that_makes_no_sense_is_refused(store: StorageServer, query: str) -> None:
    """A 400, not a page from the beginning, which a client would take for the next."""
    assert store.http.get(f"{store.url}/storage/v1/b/raw/o?{query}").status_code == 400


words = st.text(alphabet="ab/", max_size=5)


@given(
    names=st.sets(words.filter(bool), max_size=20),
    prefix=words,
    delimiter=st.sampled_from(["", "/"]),
    limit=st.integers(1, 4),
)
def test_pages_together_are_the_whole(names: set[str], prefix: str, delimiter: str, limit: int) -> None:
    """However a listing is cut into pages, each name and each prefix comes exactly once, in order."""
    store = Store(lambda: 1.0)
    bucket = store.create_bucket("raw")
    for name in names:
        store.insert("raw", name, b"", Attributes())
    items, prefixes, after = [], [], None
    for _ in range(50):
        page = list_objects(bucket, ListingQuery(prefix=prefix, delimiter=delimiter, limit=limit, after=after))
        assert len(page.items) + len(page.prefixes) <= limit
        items += [version.name for version in page.items]
        prefixes += page.prefixes
        if page.next_page_token is None:
            break
        after = ListingQuery.from_query({"pageToken": page.next_page_token}).after
    wanted = sorted(name for name in names if name.startswith(prefix))
    folded = [name for name in wanted if delimiter and delimiter in name[len(prefix) :]]
    assert items == [name for name in wanted if name not in folded]
    ends = {name: name.index("/", len(prefix)) + 1 for name in folded}
    assert prefixes == sorted({name[:end] for name, end in ends.items()})


def test_a_glob_is_a_pattern_and_no_expression() -> None:
    """Characters that mean something to regular expressions stand for themselves; a backslash quotes a wildcard."""
    assert glob_pattern("a+(b).png").fullmatch("a+(b).png")
    assert not glob_pattern("a.png").fullmatch("aXpng")
    assert glob_pattern(r"a\*b").fullmatch("a*b")
    assert not glob_pattern(r"a\*b").fullmatch("axb")
    assert glob_pattern("[a-c]1").fullmatch("b1")
    assert not glob_pattern("[a-c]1").fullmatch("d1")
