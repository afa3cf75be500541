"""A real Airflow for a test: in a home of its own, with the DAGs it is given, gone afterwards.

The instance itself is ``airflow_provider_clarity.demo.airflow.AirflowInstance``: the tests and the demo start the same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_clarity.demo.airflow import AirflowInstance

__all__ = ["AirflowInstance", "processes_in", "real_airflow"]


@contextmanager
def real_airflow(dags: Mapping[str, str], env: Mapping[str, str] | None = None) -> Iterator[AirflowInstance]:
    """Run a healthy Airflow of the installed version.

    :param dags: the files of its DAGs folder, text by name; modules among them can be imported by all its processes
    :param env: further variables: connections, settings
    """
    with tempfile.TemporaryDirectory(prefix="clarity-airflow-", ignore_cleanup_errors=True) as folder:
        home, dags_folder = Path(folder, "home"), Path(folder, "dags")
        home.mkdir()
        dags_folder.mkdir()
        for name, text in dags.items():
            (dags_folder / name).write_text(text, encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(dags_folder), os.environ.get("PYTHONPATH")]))
        with AirflowInstance(home, dags_folder, env={"PYTHONPATH": path, **(env or {})}) as airflow:
            yield airflow


def processes_in(folder: Path) -> list[int]:
    """List the living processes that work in a folder: another way to find an Airflow's than its own.

    :param folder: such as ``AirflowInstance.setup.home``
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder.resolve()):
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)
