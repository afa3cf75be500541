"""The environment of a small Airflow on this machine: everything on loopback, tuned to start and react fast.

Nothing of the caller's own Airflow configuration is inherited, so that a demo can never touch somebody's database.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class AirflowSetup:
    """Where an Airflow lives and how it is reached.

    :param home: its ``AIRFLOW_HOME``
    :param dags_folder: where its DAGs are
    :param version: of Airflow, such as ``3.3.2``
    :param port: of its server, on 127.0.0.1
    :param user: who may sign in
    :param password: with what
    """

    home: Path
    dags_folder: Path
    version: str
    port: int
    user: str = "admin"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @property
    def is_3(self) -> bool:
        """Whether it is an Airflow 3: with an API server and a separate DAG processor."""
        return int(self.version.split(".")[0]) >= 3  # noqa: PLR2004

    @property
    def url(self) -> str:
        """The address of its server."""
        return f"http://127.0.0.1:{self.port}"


def airflow_env(setup: AirflowSetup, extra: Mapping[str, str]) -> dict[str, str]:
    """Make the environment for all processes of one Airflow.

    :param setup: where it lives
    :param extra: the caller's own variables, such as connections; they win
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    tools = str(Path(sys.executable).parent)
    loopback = ",".join(filter(None, (os.environ.get("no_proxy", os.environ.get("NO_PROXY")), "127.0.0.1,localhost")))
    return {
        **inherited,
        "PATH": os.pathsep.join((tools, os.environ.get("PATH", os.defpath))),
        "no_proxy": loopback,
        "NO_PROXY": loopback,
        "PYTHONUNBUFFERED": "1",
        **_common(setup),
        **(_airflow_3(setup) if setup.is_3 else _airflow_2()),
        **extra,
    }


def write_password(setup: AirflowSetup) -> None:
    """Put the password where Airflow 3 looks for it, readable by its owner only.

    :param setup: where it lives
    """
    path = _passwords_file(setup)
    path.touch(mode=0o600)
    path.write_text(json.dumps({setup.user: setup.password}), encoding="utf-8")


def _passwords_file(setup: AirflowSetup) -> Path:
    return setup.home / "passwords.json"


def _common(setup: AirflowSetup) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(setup.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(setup.dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",  # SQLite: with the default of 32 "database is locked" ends the scheduler
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",  # made a moment ago
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{setup.home}/airflow.db?timeout=60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(setup.home / "logs"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def _airflow_3(setup: AirflowSetup) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(setup.port),
        "AIRFLOW__API__BASE_URL": setup.url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{setup.url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{setup.user}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(setup)),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    }


def _airflow_2() -> dict[str, str]:
    return {
        # 2.11 refuses what 3 allows: SQLite with more than one task at a time. Its own tests switch the refusal off so.
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WORKERS": "1",
    }
