"""The demo of a backfill from its first line to its last. Invariant: whatever it started is ended, however it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from airflow_provider_clarity.demo.airflow import AirflowError, AirflowInstance
from airflow_provider_clarity.demo.arguments import Options
from airflow_provider_clarity.demo.backfill.account import account_of, since
from airflow_provider_clarity.demo.backfill.bill import Line, disagreements, lines
from airflow_provider_clarity.demo.backfill.bill_table import bill_table
from airflow_provider_clarity.demo.backfill.days import DAG_ID, DAYS, DESTINATION, EACH, SOURCE, TASK_ID, source_name
from airflow_provider_clarity.demo.backfill.drawing import draw, encoded
from airflow_provider_clarity.demo.backfill.faults import FAULTS, unfired
from airflow_provider_clarity.demo.backfill.gather import gather, sheet
from airflow_provider_clarity.demo.backfill.kill import Killer
from airflow_provider_clarity.demo.backfill.page import page
from airflow_provider_clarity.demo.backfill.promises import not_for_nothing, not_killed, story
from airflow_provider_clarity.demo.backfill.watch import Ran, run_days
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.failure import COULD_NOT_START, NOT_DELIVERED, DemoError, last_lines
from airflow_provider_clarity.demo.folder import OutFolder
from airflow_provider_clarity.demo.logs import task_log
from airflow_provider_clarity.demo.page import PAGE
from airflow_provider_clarity.demo.screen import Screen
from airflow_provider_clarity.demo.stage import BROKEN, make_home, start_airflow, stay

SERVICE_SECONDS = 8.0
"""How long the emulator works on a picture: well above the DAG's ``defer_after`` of 2 s, so that its tasks are
deferred; and long enough that no trigger fires while Airflow 3.3 is still busy with the deferral, which can end the try
early."""
SLOTS = 64
"""Enough that the days need not wait for each other."""

_DAG = Path(__file__).resolve().parent.parent / "dags" / "daily_catalog.py"

Drawn = Mapping[str, Mapping[int, Image.Image]]


@dataclass(frozen=True)
class Finished:
    """What the two backfills came to.

    :param bill: a line a day
    :param complaints: what is not as promised, a sentence each
    :param story: what happened, a sentence each
    """

    bill: Sequence[Line]
    complaints: Sequence[str]
    story: Sequence[str]


def show_backfill(options: Options, screen: Screen) -> int:
    """Run the demo.

    :param options: what was asked for
    :param screen: tells a person
    :return: the exit code
    :raises DemoError: it could not start, or could not go on
    """
    folder = OutFolder(options.out.absolute())
    folder.prepare(dict.fromkeys([PAGE, *map(_sheet_name, DAYS)]))
    screen.say(f"{len(DAYS)} days of {EACH} pictures, an emulator and a real Airflow on this machine; nothing is paid")
    try:
        with ExitStack() as started:
            return _run(started, options, screen, folder)
    except AirflowError as error:
        raise DemoError(f"Airflow could not be stopped. {error}", NOT_DELIVERED) from None


def _run(started: ExitStack, options: Options, screen: Screen, folder: OutFolder) -> int:
    home = make_home(started, screen)
    drawn = {day: {number: draw(index, number) for number in range(1, EACH + 1)} for index, day in enumerate(DAYS)}
    emulator, airflow = _start(started, screen, home, drawn, ui=options.keep)
    started.callback(screen.say, "Stopping")
    try:
        finished = _play(airflow, emulator, screen)
        complaints = [*finished.complaints, *_write(folder, emulator, drawn, finished)]
        _tell(screen, finished, complaints, folder.path / PAGE)
    except BROKEN as error:
        raise DemoError(f"The backfill came to no end. {error}", NOT_DELIVERED) from None
    if options.keep:
        stay(screen, airflow, f"dags/{DAG_ID}" if airflow.setup.is_3 else f"dags/{DAG_ID}/grid", emulator, DESTINATION)
    return NOT_DELIVERED if complaints else 0


def _start(
    started: ExitStack, screen: Screen, home: Path, drawn: Drawn, *, ui: bool
) -> tuple[Emulator, AirflowInstance]:
    try:
        emulator = started.enter_context(
            Emulator(home / "emulator", service_time=SERVICE_SECONDS, buckets=(SOURCE, DESTINATION), slots=SLOTS)
        )
        screen.say(f"The emulator of Runware and Cloud Storage is up; a picture takes it {SERVICE_SECONDS:g} s")
        for day, pictures in drawn.items():
            for number, picture in pictures.items():
                emulator.put(SOURCE, source_name(day, number), encoded(picture))
        emulator.break_on_purpose(FAULTS)
        screen.say(f"Drew {EACH} pictures for each day, into gs://{SOURCE}/catalog/")
        return emulator, start_airflow(started, screen, home, _DAG, emulator.environment, ui=ui)
    except BROKEN as error:
        raise DemoError(f"The demo could not start. Nothing is left running. {error}", COULD_NOT_START) from None


def _play(airflow: AirflowInstance, emulator: Emulator, screen: Screen) -> Finished:
    """Backfill the days with a kill on the way, then once more; compare what both sides say."""
    screen.say(f"The DAG {DAG_ID} is backfilled: {', '.join(DAYS)}, a task a day")
    killer = Killer()
    ran = run_days(airflow, emulator, screen.say, killer=killer)
    first = account_of(emulator.accounts(), DAYS)
    bill = lines(ran.results, ran.tries, first)
    screen.show(f"{bill_table(bill)}\n")
    screen.say("The same days once more")
    ran_again = run_days(airflow, emulator, screen.say, again=True)
    again = since(first, account_of(emulator.accounts(), DAYS))
    bill_again = lines(ran_again.results, ran_again.tries, again)
    screen.show(bill_table(bill_again))
    fired = emulator.faults_fired()
    complaints = [
        *_without_result(airflow, ran),
        *disagreements(bill, first, EACH),
        *not_killed(killer.done, ran.tries),
        *unfired(fired),
        *not_for_nothing(bill_again, again, EACH),
    ]
    return Finished(bill, complaints, story(bill, killer.done, fired[-1], again))


def _without_result(airflow: AirflowInstance, ran: Ran) -> list[str]:
    """Say of each task that returned nothing what it logged last."""
    logs = {day: task_log(airflow.logs_dir, ran.runs[day], TASK_ID) for day, one in ran.results.items() if one is None}
    return [f"The task of {day} came to no result. Its log ends so:\n{last_lines(log)}" for day, log in logs.items()]


def _write(folder: OutFolder, emulator: Emulator, drawn: Drawn, finished: Finished) -> list[str]:
    """Write the sheets and the page; return what of the pictures is not as promised."""
    came = [gather(emulator, day, pictures) for day, pictures in drawn.items()]
    complaints = [sentence for day in came for sentence in day.complaints]
    names = [_sheet_name(day.day) for day in came]
    for name, day in zip(names, came, strict=True):
        folder.write(name, sheet(day.pictures))
    folder.write(PAGE, page(finished.bill, finished.story, names, [*finished.complaints, *complaints]).encode())
    folder.remove_others([PAGE, *names])
    return complaints


def _tell(screen: Screen, finished: Finished, complaints: Sequence[str], written: Path) -> None:
    screen.show("\n".join(finished.story))
    if complaints:
        screen.show("Not all is as promised:\n" + "\n".join(complaints))
    screen.show(f"Look at: {written.as_uri()}")


def _sheet_name(day: str) -> str:
    return f"{day}.jpg"
