"""What a person is told while the run goes on. Pure: takes what Airflow and the emulator report, returns sentences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from airflow_provider_clarity.demo.airflow_api import AirflowTask

_AGAIN = "a try ended early; whatever it bought is taken up, so the next one costs nothing more"


class Progress:
    """Remembers what was told.

    :param names: the images by map index
    :param task_id: the mapped task
    """

    def __init__(self, names: Sequence[str], task_id: str) -> None:
        self._names = names
        self._task_id = task_id
        self._told: dict[str, set[str]] = {}

    def news(self, tasks: Sequence[AirflowTask], submitted: Collection[str]) -> list[str]:
        """Return what is new, a sentence for each kind of news.

        :param tasks: the task instances of the run
        :param submitted: the images that the service has accepted
        """
        mapped = [task for task in tasks if task.task_id == self._task_id and 0 <= task.map_index < len(self._names)]

        def those(holds: Callable[[AirflowTask], bool]) -> set[str]:
            return {self._names[task.map_index] for task in mapped if holds(task)}

        return [
            *self._tell("submitted", set(submitted) & set(self._names)),
            *self._tell("deferred", those(lambda task: task.state == "deferred")),
            *self._tell("tried again", those(lambda task: task.try_number > 1), _AGAIN),
            *self._tell("delivered", those(lambda task: task.state == "success")),
            *self._tell("failed", those(lambda task: task.state in ("failed", "upstream_failed"))),
        ]

    def told(self, kind: str) -> set[str]:
        """Return which images a kind of news was told of.

        :param kind: ``submitted``, ``deferred``, ``tried again``, ``delivered`` or ``failed``
        """
        return set(self._told.get(kind, ()))

    def _tell(self, kind: str, names: set[str], why: str = "") -> list[str]:
        told = self._told.setdefault(kind, set())
        new = [name for name in self._names if name in names - told]
        if not new:
            return []
        told.update(new)
        sentence = f"{kind:<11} {len(told)} of {len(self._names)}  {', '.join(new)}"
        return [f"{sentence} ({why})" if why else sentence]
