"""Files into Cloud Storage: whole, at a generation, and never whole in memory."""

from __future__ import annotations

import tempfile

import pytest

from airflow_provider_clarity.storage import store as store_module
from airflow_provider_clarity.storage.store import GenerationConflict, ObjectStore
from airflow_provider_clarity.storage.uris import GsUri


@pytest.mark.parametrize("size", [0, 5, 9 * 1024 * 1024])
def test_a_file_is_written_whole_and_at_a_generation(
    store: ObjectStore, bucket: GsUri, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks if a large one is cut, or replaces what somebody wrote meanwhile. Above 8 MiB it goes in several parts."""
    monkeypatch.setattr(store_module, "_CHUNK", 4 * 1024 * 1024)
    uri = bucket.child("rows.jsonl")
    with tempfile.TemporaryFile() as file:
        file.write(b"abcde" * (size // 5))
        made = store.create_file(uri, file, if_generation_match=0, content_type="application/jsonl")
        assert store.read(uri, generation=made.generation) == b"abcde" * (size // 5)
        seen = store.stat(uri)
        assert seen is not None
        assert (seen.generation, seen.content_type) == (made.generation, "application/jsonl")
        with pytest.raises(GenerationConflict):
            store.create_file(uri, file, if_generation_match=0)
        again = store.create_file(uri, file, if_generation_match=made.generation)
        assert again.generation != made.generation
