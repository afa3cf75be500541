"""What the identity may do in the buckets: every operation of an operator, each once, on objects of a few bytes.

Invariant: what is written is remembered before it is written, so that the clean-up knows it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Barrier
from typing import Final

from airflow_provider_clarity.check.runner import Check, NotNeededError, Result
from airflow_provider_clarity.check.setup import Setup
from airflow_provider_clarity.exceptions import ClarityDeliveryError, ClarityError
from airflow_provider_clarity.storage.store import GenerationConflict, StoredObject
from airflow_provider_clarity.storage.uris import GsUri

_OBJECT: Final = "object"
_RACE: Final = "race"
_CONTENT: Final = b"Written by airflow-provider-clarity's check. It may be deleted.\n"
_RACERS: Final = 2


def checks(setup: Setup) -> list[Check]:
    """Give the checks of the destination, and of the sources where they were named."""
    return [
        Check("create", lambda: _create(setup), needs=("credentials",)),
        Check("read", lambda: _read(setup), needs=("create",)),
        Check("list", lambda: _list(setup), needs=("create",)),
        Check("replace", lambda: _replace(setup), needs=("create",)),
        Check("rewrite", lambda: _rewrite(setup), needs=("create",)),
        Check("preconditions", lambda: _preconditions(setup), needs=("create",)),
        Check("sources", lambda: _sources(setup), needs=("credentials",)),
        Check("delete", lambda: _delete(setup), needs=("create",)),
    ]


def _create(setup: Setup) -> str:
    uri = setup.touch(_OBJECT)
    setup.touched[uri] = setup.store.create(uri, _CONTENT, if_generation_match=0, content_type="text/plain")
    return f"an object of {len(_CONTENT)} bytes was written under {setup.folder}."


def _written(setup: Setup) -> StoredObject:
    stored = setup.touched[setup.folder.child(_OBJECT)]
    if stored is None:
        raise ClarityDeliveryError("The object is not known any more. Run the check again.")
    return stored


def _read(setup: Setup) -> str:
    written = _written(setup)
    found = setup.store.stat(written.uri)
    if found is None or setup.store.read(found.uri, generation=found.generation) != _CONTENT:
        raise ClarityDeliveryError(
            f"{written.uri} was written and does not read back as it was. Nothing was paid. Does something else "
            "(a lifecycle rule, a function on new objects) change or delete objects under _clarity/?"
        )
    if setup.store.stat(setup.folder.child("nothing")) is not None:
        raise ClarityDeliveryError(f"{setup.folder.child('nothing')} exists and nobody wrote it. Nothing was paid.")
    return "it reads back as it was written, and what is not there is reported as not there."


def _list(setup: Setup) -> str:
    names = [found.uri for found in setup.store.list(setup.folder)]
    if _written(setup).uri not in names:
        raise ClarityDeliveryError(f"A list of {setup.folder} does not show what was written there. Nothing was paid.")
    return "a list of its folder shows it."


def _replace(setup: Setup) -> str:
    before = _written(setup)
    now = setup.store.create(before.uri, _CONTENT, if_generation_match=before.generation, content_type="text/plain")
    setup.touched[before.uri] = now
    return "it was written anew over its own generation, as a task record is at each step."


def _rewrite(setup: Setup) -> str:
    setup.touched.setdefault(setup.copy, None)
    copied = setup.store.rewrite(
        _written(setup), setup.copy, if_generation_match=0, content_type="text/plain", metadata={"clarity-check": "1"}
    )
    if copied is None:
        raise ClarityDeliveryError(f"{_written(setup).uri} was gone when it was to be copied. Nothing was paid.")
    setup.touched[setup.copy] = copied
    return f"it was copied to {setup.copy} inside Cloud Storage, as a picture takes its final name."


def _preconditions(setup: Setup) -> str:
    uri = setup.touch(_RACE)
    start = Barrier(_RACERS)

    def run(_: int) -> StoredObject | None:
        start.wait(timeout=10)
        try:
            return setup.store.create(uri, _CONTENT, if_generation_match=0, content_type="text/plain")
        except GenerationConflict:
            return None

    with ThreadPoolExecutor(_RACERS) as racers:
        won = [one for one in racers.map(run, range(_RACERS)) if one is not None]
    if len(won) == 1:
        setup.touched[uri] = won[0]
        return "of two creates at the same time that both expect nothing there, one won."
    if won:
        raise ClarityDeliveryError(
            f"Two creates of {uri} with ifGenerationMatch=0 both succeeded, so two runs could pay for one image. "
            "Nothing was paid. Is a proxy or gateway in front of Cloud Storage that drops preconditions?"
        )
    raise ClarityDeliveryError(
        f"Neither of two creates of {uri} was answered with success (a lost reply can do that). Nothing was paid. "
        "Run the check again."
    )


def _sources(setup: Setup) -> str:
    prefix = setup.options.source_bucket
    if prefix is None:
        raise NotNeededError("--source-bucket was not given.")
    first = next((one for one in islice(setup.store.list(prefix), 100) if one.size), None)
    if first is None:
        raise NotNeededError(f"{prefix} can be listed; it has no object among its first 100 that could be read.")
    if not setup.store.read(first.uri, generation=first.generation, length=1):
        raise ClarityDeliveryError(f"{first.uri} was gone when it was to be read. Nothing was paid. Run it again.")
    return f"{prefix} can be listed, and {first.uri} can be read."


def _delete(setup: Setup) -> str:
    written = _written(setup)
    setup.store.delete(written.uri, generation=written.generation)
    if setup.store.stat(written.uri) is not None:
        raise ClarityDeliveryError(
            f"{written.uri} was deleted and is still there. Nothing was paid. Does the bucket have a hold on objects?"
        )
    del setup.touched[written.uri]
    return "it was deleted."


def clean_up(setup: Setup) -> Result:
    """Delete whatever was written, as far as it can be deleted. Raises nothing but an interrupt."""
    name, count = "clean-up", len(setup.touched)
    left: list[GsUri] = []
    why = ""
    for uri in list(setup.touched):
        try:
            _remove(setup, uri)
        except ClarityError as error:
            left.append(uri)
            why = error.message
    if left:
        shown = ", ".join(map(str, left))
        return Result(name, "FAIL", f"{len(left)} of {count} may be left, delete them by hand: {shown}. {why}")
    return Result(name, "ok", f"nothing of the check is left under {setup.folder}.")


def _remove(setup: Setup, uri: GsUri) -> None:
    """Delete what lies there now; if it cannot be looked at, what we know to lie there."""
    try:
        found = setup.store.stat(uri)
    except ClarityError:
        found = setup.touched[uri]
        if found is None:
            raise
    if found is not None:
        setup.store.delete(uri, generation=found.generation)
    setup.touched.pop(uri, None)
