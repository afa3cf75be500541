"""All that the handlers of the Cloud Storage emulator share, in one place.

Invariant: one backend belongs to one server and so to one event loop; nothing here is a module's global.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.keys import ServiceAccountKey
from airflow_provider_clarity.emulator.storage_rewrites import Rewrites
from airflow_provider_clarity.emulator.storage_state import Store
from airflow_provider_clarity.emulator.storage_tokens import KeyRing, TokenBook
from airflow_provider_clarity.emulator.storage_uploads import Uploads

__all__ = ["Backend"]


@dataclass(frozen=True)
class Backend:
    """The store and what stands around it."""

    store: Store
    uploads: Uploads
    rewrites: Rewrites
    tokens: TokenBook
    ring: KeyRing
    faults: Faults
    project_id: str
    clock: Callable[[], float]

    @classmethod
    def make(
        cls,
        *,
        faults: Faults,
        key: ServiceAccountKey,
        buckets: Sequence[str],
        clock: Callable[[], float],
        rewrite_bytes_per_call: int,
    ) -> Backend:
        """Put one together, with empty buckets of these names."""
        store = Store(clock)
        for bucket in buckets:
            store.create_bucket(bucket)
        return cls(
            store=store,
            uploads=Uploads(store, clock),
            rewrites=Rewrites(store, rewrite_bytes_per_call),
            tokens=TokenBook(clock),
            ring=KeyRing(key),
            faults=faults,
            project_id=key.project_id,
            clock=clock,
        )
