"""When each watched task is due."""

from __future__ import annotations

import math
from uuid import uuid4

import pytest

from airflow_provider_clarity.runware.schedule import Schedule


def test_a_task_is_due_when_asked_for_or_as_is_usual_for_its_age() -> None:
    """A trigger knows from its worker when the first look is worth while."""
    schedule = Schedule()
    soon, late, usual, new = uuid4(), uuid4(), uuid4(), uuid4()
    assert schedule.watch(soon, 100, age=3, first_look=0) == 100
    assert schedule.watch(late, 100, first_look=30) == 130
    assert schedule.watch(usual, 100, age=3) == pytest.approx(101.25)
    assert schedule.watch(new, 100, age=0.5, first_look=0) == 101.5  # whatever is deferred is older by then
    assert schedule.due(105) == [soon, usual, new]
    assert schedule.next_moment() == 100


def test_the_second_watcher_may_only_bring_a_look_forward() -> None:
    """One who is in no hurry must not slow down one who is."""
    schedule = Schedule()
    task = uuid4()
    schedule.watch(task, 0, age=9, first_look=5)
    assert schedule.watch(task, 0, age=9, first_look=50) == 5
    assert schedule.watch(task, 0, age=9, first_look=1) == 1


def test_a_task_is_forgotten_with_its_last_watcher() -> None:
    """The triggerer runs for months."""
    schedule = Schedule()
    task = uuid4()
    schedule.watch(task, 0)
    schedule.watch(task, 0)
    assert not schedule.leave(task)
    assert schedule.leave(task)
    assert (len(schedule), schedule.next_moment()) == (0, math.inf)


def test_a_task_that_is_done_is_not_due_again_and_teaches_how_long_tasks_take() -> None:
    """The first looks of later tasks then aim at the time that tasks take."""
    schedule = Schedule()
    for _ in range(5):
        assert schedule.median is None
        task = uuid4()
        schedule.watch(task, 0)
        schedule.looked(task, 30)
        schedule.done(task, 40)
        schedule.done(task, 4000)
        schedule.looked(uuid4(), 50)
    assert schedule.median == 40
    assert schedule.next_moment() == math.inf
    assert schedule.watch(uuid4(), 100) == 116
    assert schedule.watch(uuid4(), 100, first_look=2) == 116  # a worker knows of its own tasks only
    assert schedule.watch(uuid4(), 100, first_look=30) == 130
    assert schedule.watch(uuid4(), 100, age=20, first_look=0) == 100  # it may be done: asked for at once


def test_nothing_is_learned_of_a_task_that_was_done_at_the_first_look() -> None:
    """After a restart of the triggerer its tasks are done since hours: looks would begin hours late."""
    schedule = Schedule()
    for _ in range(20):
        task = uuid4()
        schedule.watch(task, 0, age=7200)
        schedule.done(task, 1)
    assert schedule.median is None


def test_the_age_of_a_task_counts() -> None:
    """A trigger that moves to another triggerer must not begin again with the quick looks."""
    schedule = Schedule()
    old, young = uuid4(), uuid4()
    assert schedule.watch(old, 0, age=60) > 5
    schedule.watch(young, 0)
    schedule.looked(old, 10)
    schedule.looked(young, 10)
    assert schedule.due(12) == [young]


def test_a_sweep_asks_in_whole_arrays() -> None:
    """A request for ten tasks costs as much as one for a hundred."""
    schedule = Schedule()
    dues = [0.0] * 3 + [0.5] * 4 + [3.0] * 8 + [20.0] * 9
    tasks = [uuid4() for _ in dues]
    for task, due in zip(tasks, dues, strict=True):
        schedule.watch(task, 0, age=9, first_look=due)
    order = schedule.due(20)
    assert schedule.sweep(0, 10) == order[:10]  # three must go; the array is filled with what comes next
    assert schedule.sweep(0, 100) == order[:15]  # but not with what comes much later
    assert schedule.sweep(0, 3) == order[:6]  # seven may go: one more array is full, the next would not be
    assert set(order[:3]) == set(tasks[:3])


def test_nothing_that_is_due_stays_behind() -> None:
    """A task that has to wait for a fuller array is told late."""
    schedule = Schedule()
    tasks = {uuid4() for _ in range(101)}
    for task in tasks:
        schedule.watch(task, 0, age=9, first_look=0)
    assert set(schedule.sweep(0, 100)) == tasks
