"""The demo from its first line to its last. Invariant: whatever it started is ended, however it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from airflow_provider_clarity.demo.airflow import AirflowError, AirflowInstance
from airflow_provider_clarity.demo.arguments import Options
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.failure import COULD_NOT_START, NOT_DELIVERED, DemoError
from airflow_provider_clarity.demo.folder import OutFolder
from airflow_provider_clarity.demo.harvest import Harvest, harvest, picture_name
from airflow_provider_clarity.demo.page import PAGE, page
from airflow_provider_clarity.demo.photographs import Photograph, find_dag, find_photographs
from airflow_provider_clarity.demo.screen import Screen
from airflow_provider_clarity.demo.stage import BROKEN, make_home, start_airflow, stay
from airflow_provider_clarity.demo.table import dollars, table
from airflow_provider_clarity.demo.watch import DAG_ID, DESTINATION, run_example

SERVICE_SECONDS = 15.0
"""How long the emulator works on a picture: well above the operator's ``defer_after`` of 5 s, so that each is deferred;
and long enough that no trigger fires while Airflow 3.3 is still busy with the deferral, which can end the try early."""

_SOURCE = "raw"


def show(options: Options, screen: Screen) -> int:
    """Run the demo.

    :param options: what was asked for
    :param screen: tells a person
    :return: the exit code
    :raises DemoError: it could not start, or could not go on
    """
    photographs = find_photographs(options.images, current=Path.cwd())
    dag = find_dag()
    folder = OutFolder(options.out.absolute())
    folder.prepare(_wanted(photographs))
    screen.say(f"{len(photographs)} photographs, an emulator and a real Airflow on this machine; nothing is paid")
    try:
        with ExitStack() as started:
            return _run(started, options, screen, photographs, dag, folder)
    except AirflowError as error:
        raise DemoError(f"Airflow could not be stopped. {error}", NOT_DELIVERED) from None


def _run(
    started: ExitStack,
    options: Options,
    screen: Screen,
    photographs: Sequence[Photograph],
    dag: Path,
    folder: OutFolder,
) -> int:
    home = make_home(started, screen)
    emulator, airflow, sources = _start(started, screen, home, dag, photographs, ui=options.keep)
    started.callback(screen.say, "Stopping")
    try:
        run_id, progress = run_example(airflow, emulator, sources, screen.say)
        came = harvest(airflow, emulator, folder, photographs, run_id)
        if repeated := progress.told("tried again"):
            screen.say(f"{len(repeated)} of the tasks needed another try; nothing was bought twice")
        _finish(folder, photographs, came, screen)
    except BROKEN as error:
        raise DemoError(f"The run came to no end. {error}", NOT_DELIVERED) from None
    if options.keep:
        page_of_run = f"dags/{DAG_ID}/runs/{run_id}" if airflow.setup.is_3 else f"dags/{DAG_ID}/grid"
        stay(screen, airflow, page_of_run, emulator, DESTINATION)
    return NOT_DELIVERED if came.complaints else 0


def _wanted(photographs: Sequence[Photograph]) -> dict[str, Path | None]:
    copies: dict[str, Path | None] = {one.name: one.path for one in photographs}
    return copies | {picture_name(one): None for one in photographs} | {PAGE: None}


def _start(
    started: ExitStack, screen: Screen, home: Path, dag: Path, photographs: Sequence[Photograph], *, ui: bool
) -> tuple[Emulator, AirflowInstance, list[str]]:
    try:
        emulator = started.enter_context(
            Emulator(home / "emulator", service_time=SERVICE_SECONDS, buckets=(_SOURCE, DESTINATION))
        )
        screen.say(f"The emulator of Runware and Cloud Storage is up; a picture takes it {SERVICE_SECONDS:g} s")
        sources = [_upload(emulator, one) for one in photographs]
        screen.say(f"Uploaded {len(sources)} photographs to gs://{_SOURCE}/")
        airflow = start_airflow(started, screen, home, dag, emulator.environment, ui=ui)
    except BROKEN as error:
        raise DemoError(f"The demo could not start. Nothing is left running. {error}", COULD_NOT_START) from None
    return emulator, airflow, sources


def _upload(emulator: Emulator, photograph: Photograph) -> str:
    try:
        return emulator.upload(_SOURCE, photograph.path)
    except httpx.HTTPStatusError as error:
        raise DemoError(
            f"The emulator of Cloud Storage refuses {photograph.name!r} with {error.response.status_code}. "
            "Nothing is left running. Give the file another name.",
            COULD_NOT_START,
        ) from None


def _finish(folder: OutFolder, photographs: Sequence[Photograph], came: Harvest, screen: Screen) -> None:
    """Write the page, print the table, and say what is not as promised."""
    written = folder.write(PAGE, page(photographs, came.deliveries, came.purchases).encode())
    delivered = [one.photograph for one in came.deliveries]
    folder.remove_others([PAGE, *(one.name for one in delivered), *(one.path.name for one in came.deliveries)])
    screen.show(table(photographs, came.deliveries))
    cost = sum(one.cost_usd or 0 for one in came.deliveries)
    screen.show(
        f"{len(delivered)} of {len(photographs)} delivered, each deferred and woken by a trigger; {came.purchases} "
        f"purchases in the emulator's accounts, {dollars(cost)} of its money."
        if not came.complaints
        else "Not all is as promised:\n" + "\n".join(came.complaints)
    )
    screen.show(f"Look at: {written.as_uri()}")
