"""A real Airflow on this machine: started in an empty home, asked, and ended without a trace.

Invariants: everything listens on 127.0.0.1 only (the log servers of scheduler and triggerer, which listen everywhere,
are not started; logs are read as files). Nothing of it outlives :meth:`AirflowInstance.stop` or the process that made
it: a reaper, see ``reaper.py``, ends all of it when that process is gone. The caller's own Airflow is never read.
"""

from __future__ import annotations

import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_clarity.demo import reaper
from airflow_provider_clarity.demo.airflow_api import AirflowApi, AirflowTask, HelperApi, RestApi, web_answers
from airflow_provider_clarity.demo.airflow_env import AirflowSetup, airflow_env, write_password

_FINAL = frozenset({"success", "failed"})
_LOOK_EVERY = 0.2


class AirflowError(RuntimeError):
    """Airflow did not start, or did not do what was waited for. The message ends with what its log said last."""


class AirflowInstance:
    """An Airflow of the version that is installed beside this package.

    As a context manager it is started, awaited and ended.

    :param home: an empty folder, its ``AIRFLOW_HOME``; the caller removes it
    :param dags_folder: where its DAGs are
    :param env: variables for all its processes: connections (``AIRFLOW_CONN_...``), settings (``AIRFLOW__...``)
    :param ui: start the web interface on Airflow 2, too; on Airflow 3 it is always there
    :param grace: seconds it may take to end by itself before it is killed
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        ui: bool = False,
        grace: float = 3.0,
    ) -> None:
        self.setup = AirflowSetup(home.resolve(), dags_folder.resolve(), version("apache-airflow"), free_port())
        self.env = airflow_env(self.setup, env or {})
        self._with_ui = ui or self.setup.is_3
        self._grace = grace
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._reaper: reaper.Reaper | None = None
        self._api: AirflowApi | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str | None:
        """The address of the web interface; ``None`` where none was started."""
        return self.setup.url if self._with_ui else None

    @property
    def login(self) -> tuple[str, str]:
        """The user name and the password of the web interface."""
        return self.setup.user, self.setup.password

    @property
    def logs_dir(self) -> Path:
        """Where the logs of the tasks are, as files."""
        return self.setup.home / "logs"

    @property
    def process_logs_dir(self) -> Path:
        """Where the logs of Airflow's own processes are, one file for each."""
        return self.setup.home / "processes"

    @property
    def api(self) -> AirflowApi:
        """How to ask it."""
        if self._api is None:
            raise AirflowError("This Airflow is not started.")
        return self._api

    def start(self) -> None:
        """Make the database and start all processes; returns at once, see :meth:`wait_healthy`."""
        self.process_logs_dir.mkdir(parents=True, exist_ok=True)
        write_password(self.setup)
        self._reaper = reaper.Reaper(self._grace)
        self._spawn("migrate", ["airflow", "db", "migrate"])
        if self.setup.is_3:
            # It takes longest to load and asks the database last: loading it meanwhile saves a few seconds.
            self.start_process("api-server")
            self._api = RestApi(self.setup)
        else:
            self._spawn("helper", ["airflow_provider_clarity.demo.airflow2_helper"], piped=True)
            self._api = HelperApi(self._processes["helper"])
        if self._processes["migrate"].wait() != 0:
            raise AirflowError(f"Airflow's database could not be made.\n{self._last_words('migrate')}")
        del self._processes["migrate"]
        for name in self._components():
            if name not in self._processes:
                self.start_process(name)
        if self._with_ui and not self.setup.is_3:
            self._create_user()

    def start_process(self, name: str) -> None:
        """Start one of Airflow's processes, for instance after :meth:`kill_process`.

        :param name: ``scheduler``, ``triggerer``, ``dag-processor``, ``api-server`` or ``webserver``
        """
        self._spawn(name, self._components()[name])

    def kill_process(self, name: str) -> None:
        """Kill one of Airflow's processes and all that it started, as a crash would.

        :param name: see :meth:`start_process`
        """
        process = self._processes.pop(name)
        reaper.end([process.pid], 0)
        process.wait()

    def wait_healthy(self, timeout: float = 120) -> None:
        """Wait until scheduler, triggerer, DAG processor and server are up.

        :param timeout: seconds
        :raises AirflowError: one of them ended, or the time is over
        """

        def up() -> bool:
            return self.api.healthy() and (self.setup.is_3 or not self._with_ui or web_answers(self.setup.url))

        self.wait_until(up, timeout, "Airflow is not healthy")

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until a DAG has been read.

        :param dag_id: the DAG
        :param timeout: seconds
        :raises AirflowError: it cannot be read, or the time is over
        """

        def known() -> bool:
            if self.api.has_dag(dag_id):
                return True
            if errors := self.api.import_errors():
                raise AirflowError("A DAG file cannot be read.\n" + "\n".join(errors))
            return False

        self.wait_until(known, timeout, f"Airflow has not read the DAG {dag_id!r}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> str:
        """Start a run of a DAG, as soon as the DAG has been read.

        :param dag_id: the DAG
        :param conf: the run's configuration
        :param run_id: its id; made up where none is given
        :return: its id
        """
        self.wait_for_dag(dag_id)
        name = run_id or f"manual__{uuid.uuid4().hex[:12]}"
        self.api.trigger(dag_id, name, conf or {})
        return name

    def backfill(self, dag_id: str, days: Sequence[str], *, again: bool = False) -> dict[str, str]:
        """Run a daily DAG for days of the past, as soon as the DAG has been read.

        :param dag_id: the DAG
        :param days: such as ``2026-01-01``, without a gap
        :param again: whether runs that have ended are cleared and run once more
        :return: the run ids by day
        :raises AirflowError: no run appears for one of the days
        """
        self.wait_for_dag(dag_id)
        self.api.backfill(dag_id, days, again=again)
        self.wait_until(lambda: set(days) <= set(self.api.runs(dag_id)), 60, "The backfill has not begun")
        return {day: run_id for day, run_id in self.api.runs(dag_id).items() if day in days}

    def wait(self, dag_id: str, run_id: str, timeout: float = 300) -> str:
        """Wait until a run has ended.

        :param dag_id: the DAG
        :param run_id: the run
        :param timeout: seconds
        :return: ``success`` or ``failed``
        :raises AirflowError: a process of Airflow ended, or the time is over
        """
        try:
            self.wait_until(
                lambda: self.api.run_state(dag_id, run_id) in _FINAL, timeout, f"The run {run_id!r} has not ended"
            )
        except AirflowError as error:
            tasks = "\n".join(str(task) for task in self.task_instances(dag_id, run_id))
            raise AirflowError(f"{error}\n{tasks}") from error
        return self.api.run_state(dag_id, run_id)

    def wait_until(self, done: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until something holds, as long as all of Airflow's processes live.

        :param done: tells whether it holds; it is asked five times a second
        :param timeout: seconds
        :param what: how the message begins if it comes to nothing
        :raises AirflowError: one of the processes ended, or the time is over
        """
        deadline = time.monotonic() + timeout
        while not done():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AirflowError(f"{what}: its {name} has ended.\n{self._last_words(name)}")
            if time.monotonic() > deadline:
                words = "\n".join(self._last_words(name) for name in self._processes)
                raise AirflowError(f"{what} after {timeout:g} s.\n{words}")
            time.sleep(_LOOK_EVERY)

    def task_instances(self, dag_id: str, run_id: str) -> list[AirflowTask]:
        """List the task instances of a run.

        :param dag_id: the DAG
        :param run_id: the run
        """
        return self.api.tasks(dag_id, run_id)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:  # noqa: ANN401
        """Return what a task pushed; ``None`` where it pushed nothing.

        :param dag_id: the DAG
        :param run_id: the run
        :param task_id: the task
        :param key: the key of the XCom
        :param map_index: of a mapped task
        """
        return self.api.xcom(dag_id, run_id, task_id, key, map_index)

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run, so that they run again.

        :param dag_id: the DAG
        :param run_id: the run
        """
        self.api.clear(dag_id, run_id)

    def task_pids(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[int]:
        """List the living processes of a running task: its own, then the one that supervises it.

        Killing the first alone is a crash of the task. Killing both is the loss of a worker: Airflow notices it when
        the heartbeats are missing.

        :param dag_id: the DAG
        :param run_id: the run
        :param task_id: the task
        :param map_index: of a mapped task
        """
        for task in self.task_instances(dag_id, run_id):
            if (task.task_id, task.map_index, task.state) == (task_id, map_index, "running") and task.pid:
                living = self.pids()
                own = [pid for pid in (task.pid,) if pid in living]
                parents = [pid for pid in map(reaper.parent_of, own) if pid in living]
                return own + parents
        return []

    def pids(self) -> list[int]:
        """List all living processes of this Airflow."""
        return reaper.session_members(process.pid for process in self._processes.values())

    def stop(self) -> None:
        """End all of it; harmless when it is ended already.

        :raises AirflowError: something is left
        """
        if self._reaper is None:
            return
        if self._api is not None:
            self._api.close()
        clean = self._reaper.close()
        for process in self._processes.values():
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._reaper, self._api = None, None
        self._processes.clear()
        if not clean:
            raise AirflowError("Processes of Airflow are left that could not be killed.")

    def _components(self) -> dict[str, list[str]]:
        """Return the command of each process, those first that take longest to start."""
        scheduler = ["airflow", "scheduler", "--skip-serve-logs"]
        triggerer = ["airflow", "triggerer", "--skip-serve-logs"]
        port = str(self.setup.port)
        if not self.setup.is_3:
            web = {"webserver": ["airflow", "webserver", "--port", port]} if self._with_ui else {}
            return {"scheduler": scheduler, "triggerer": triggerer} | web
        server = ["uvicorn", "airflow.api_fastapi.main:app", "--host", "127.0.0.1", "--port", port, "--no-access-log"]
        return {
            "api-server": server,  # what `airflow api-server` runs, without its look at the database at the start
            "scheduler": scheduler,
            "dag-processor": ["airflow", "dag-processor"],
            "triggerer": triggerer,
        }

    def _create_user(self) -> None:
        """Let somebody into the web interface of Airflow 2; the password goes through a pipe, not into `ps`."""
        user = ["--username", self.setup.user, "--role", "Admin", "--email", "admin@example.com"]
        names = ["--firstname", "Ada", "--lastname", "Admin"]
        self._spawn("user", ["airflow", "users", "create", *user, *names], piped=True)
        process = self._processes.pop("user")
        process.communicate(f"{self.setup.password}\n" * 2)
        if process.returncode != 0:
            raise AirflowError(f"Airflow's user could not be made.\n{self._last_words('user')}")

    def _spawn(self, name: str, module: list[str], *, piped: bool = False) -> None:
        if self._reaper is None:
            raise AirflowError("This Airflow is not started.")
        with (self.process_logs_dir / f"{name}.log").open("a", encoding="utf-8") as log:
            self._processes[name] = self._reaper.spawn(
                module,
                env=self.env,
                cwd=self.setup.home,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
            )

    def _last_words(self, name: str) -> str:
        path = self.process_logs_dir / f"{name}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return "\n".join([f"-- {path}:", *lines[-15:]])


def free_port() -> int:
    """Find a port on 127.0.0.1 that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
