"""What every form of the demo is played on: a temporary home and an Airflow. All of it ends with the demo."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import httpx

from airflow_provider_clarity.demo.airflow import AirflowError, AirflowInstance
from airflow_provider_clarity.demo.airflow_api import AirflowApiError
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.environment import undisturbed
from airflow_provider_clarity.demo.screen import Screen

BROKEN = (AirflowError, AirflowApiError, httpx.HTTPError, OSError)
"""What may go wrong with what was started."""


def make_home(started: ExitStack, screen: Screen) -> Path:
    """Make a temporary home, and change this process's own environment: all that it starts inherits it.

    :param started: ends it
    :param screen: tells a person
    """
    home = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="clarity-demo-", ignore_cleanup_errors=True)))
    environment = undisturbed(os.environ, home)
    os.environ.clear()
    os.environ.update(environment)
    started.callback(screen.say, "Everything that was started is stopped")
    return home


def start_airflow(
    started: ExitStack, screen: Screen, home: Path, dag: Path, environment: Mapping[str, str], *, ui: bool
) -> AirflowInstance:
    """Start an Airflow with one DAG, and wait until it is healthy.

    :param started: ends it
    :param screen: tells a person
    :param home: from :func:`make_home`
    :param dag: the file
    :param environment: the emulator's
    :param ui: whether a person will look at it
    """
    screen.say(f"Starting Airflow {version('apache-airflow')} in a temporary home")
    dags, airflow_home = home / "dags", home / "airflow"
    dags.mkdir()
    shutil.copy(dag, dags)
    airflow_home.mkdir()
    airflow = started.enter_context(AirflowInstance(airflow_home, dags, env=environment, ui=ui))
    screen.say("Airflow is up: scheduler, triggerer and the rest")
    return airflow


def stay(screen: Screen, airflow: AirflowInstance, page: str, emulator: Emulator, bucket: str) -> None:
    """Leave everything running until Ctrl-C.

    :param screen: tells a person
    :param airflow: to be looked at
    :param page: of it, where the look begins
    :param emulator: to be looked at
    :param bucket: with the pictures
    """
    user, password = airflow.login
    screen.show(
        f"Airflow stays until Ctrl-C:\n"
        f"  Airflow   {airflow.url}/{page}\n"
        f"  user      {user}\n"
        f"  password  {password}\n"
        f"  bucket    {emulator.bucket_url(bucket)}?delimiter=/\n"
        f"  accounts  {emulator.accounts_url}"
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        screen.show("")
