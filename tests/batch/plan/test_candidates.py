"""Which listed objects are taken, and why others are not."""

from __future__ import annotations

from uuid import UUID

import pytest

from airflow_provider_clarity.batch.plan.candidates import Candidates
from airflow_provider_clarity.storage.listing import ListedObject
from airflow_provider_clarity.storage.provenance import Provenance

OURS = Provenance("k", "i", UUID(int=0), "gs://raw/a.jpg").to_metadata()
RULES = Candidates(("_clarity/", "tmp/"))


def why_not(
    name: str, content_type: str | None = None, size: int = 1, metadata: dict[str, str] | None = None
) -> object:
    return RULES.why_not(ListedObject(name, 1, size, content_type, metadata or {}))


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.jpg", None),
        ("a/b.JPEG", "application/octet-stream"),
        ("a.png", "text/plain"),
        ("a.webp", ""),
        ("scan0001", "image/jpeg"),
        ("a.jfif", "Image/JPEG; q=1"),
        (".jpg", "image/png"),
        ("a_clarity/b.png", None),
    ],
)
def test_an_image_is_told_by_its_ending_or_its_content_type(name: str, content_type: str | None) -> None:
    """Breaks if images are quietly left out, because a tool wrote no content type or no extension."""
    assert why_not(name, content_type) is None


@pytest.mark.parametrize(
    ("name", "content_type", "reason"),
    [
        ("a/", "image/png", "folder"),
        ("_clarity/staging/x.jpg", "image/jpeg", "workspace"),
        ("tmp/x.jpg", "image/jpeg", "workspace"),
        ("a.txt", "text/plain", "not_an_image"),
        ("a.gif", "image/gif", "not_an_image"),
        (".jpg", None, "not_an_image"),
        ("a.jpg.gz", None, "not_an_image"),
    ],
)
def test_what_is_no_image_is_passed_over(name: str, content_type: str | None, reason: str) -> None:
    """Breaks if folders, notes or our own staging are bought."""
    assert why_not(name, content_type) == reason


def test_an_empty_object_is_passed_over() -> None:
    """Breaks if an upload that is still to come is counted as a failure."""
    assert why_not("a.jpg", size=0) == "empty"


def test_our_own_pictures_are_no_sources_unless_that_is_wanted() -> None:
    """Breaks if pictures are upscaled again and again, each time paid."""
    assert why_not("a.jpg", metadata=OURS) == "upscaled"
    assert why_not("a.jpg", metadata={"clarity-v": "1", "camera": "x"}) is None
    wanted = Candidates(allow_upscaled=True)
    assert wanted.why_not(ListedObject("a.jpg", 1, 1, None, OURS)) is None
    assert wanted.why_not(ListedObject("_clarity/a.jpg", 1, 1, None, {})) is None
