"""The rules that hold for every reply there can be."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.runware.envelope import read
from airflow_provider_clarity.runware.reading import read_details, read_poll, read_submit

TASKS = [UUID(int=number, version=4) for number in range(3)]
CODES = ["conflictTaskUUID", "rateLimitExceeded", "invalidWidth", "internalServerError", "invalidApiKey", "", "new"]
WHO = st.sampled_from([str(uuid) for uuid in TASKS] + ["", "another"])
ITEMS = st.fixed_dictionaries(
    {"taskUUID": WHO},
    optional={"status": st.sampled_from(["processing", "success", "error"]), "imageURL": st.just("https://x")},
)
ERRORS = st.fixed_dictionaries({"code": st.sampled_from(CODES)}, optional={"taskUUID": WHO})
REPLIES = st.fixed_dictionaries(
    {}, optional={"data": st.lists(ITEMS, max_size=4), "errors": st.lists(ERRORS, max_size=4)}
)
STATUSES = st.sampled_from([200, 400, 401, 402, 403, 404, 409, 429, 500, 502, 503, 504])


def named(reply: dict[str, list[dict[str, str]]], uuid: UUID) -> bool:
    return any(row.get("taskUUID") == str(uuid) for rows in reply.values() for row in rows)


@given(STATUSES, REPLIES)
def test_only_what_names_a_task_settles_its_submit(status: int, reply: dict[str, list[dict[str, str]]]) -> None:
    """The rule on which "never pay twice" stands: all else is unknown, or refused with the whole request."""
    outcomes = read_submit(status, read(reply, status), TASKS).outcomes
    assert [outcome.task_uuid for outcome in outcomes] == TASKS
    for outcome in outcomes:
        if not named(reply, outcome.task_uuid):
            assert outcome.status in (("unknown", "refused") if status in (401, 403) else ("unknown",))
        if outcome.status == "failed":
            assert outcome.error
            assert outcome.error.task_uuid == outcome.task_uuid


@given(STATUSES, REPLIES)
def test_a_task_named_in_data_is_never_failed_by_a_submit(status: int, reply: dict[str, list[dict[str, str]]]) -> None:
    """It was accepted and may be paid for; another attempt would pay again."""
    for outcome in read_submit(status, read(reply, status), TASKS).outcomes:
        rows = [row for row in reply.get("data", []) if row["taskUUID"] == str(outcome.task_uuid)]
        if any(row.get("status") != "error" for row in rows):
            assert outcome.status == "accepted"


@given(STATUSES, REPLIES)
def test_only_an_error_that_names_a_task_fails_it(status: int, reply: dict[str, list[dict[str, str]]]) -> None:
    """A poll's own failure is no news; silence is believed of a whole, readable 2xx only."""
    states = read_poll(status, read(reply, status), TASKS).states
    for uuid, state in states.items():
        assert state.task_uuid == uuid
        if state.status in ("failed", "success", "processing"):
            assert named(reply, uuid)
        if state.status == "silent" and not named(reply, uuid):
            assert status == 200
            assert all(
                row.get("taskUUID") in {str(task) for task in TASKS} | {"another", ""} for row in reply.get("data", [])
            )


@given(STATUSES, REPLIES)
def test_task_details_never_raise_and_never_stop_for_what_was_recorded(
    status: int, reply: dict[str, list[dict[str, str]]]
) -> None:
    """The archive may hold the refusal of an old key: that is history."""
    rows = {"data": [{"taskUUID": str(uuid), "response": reply} for uuid in TASKS]}
    found = read_details(status, read(rows, status), TASKS)
    assert found.stop is None
    for uuid, state in found.states.items():
        if state.status == "failed":
            assert state.error
            assert state.error.scope == "task"
            assert state.error.task_uuid == uuid
