"""Fetches what a run delivered, and proves what the demo promises of each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import httpx

from airflow_provider_clarity.demo.airflow import AirflowInstance
from airflow_provider_clarity.demo.emulator import Emulator
from airflow_provider_clarity.demo.failure import last_lines
from airflow_provider_clarity.demo.folder import OutFolder
from airflow_provider_clarity.demo.logs import fired_triggers, task_log
from airflow_provider_clarity.demo.photographs import Photograph
from airflow_provider_clarity.demo.pictures import PictureError, check_picture, find_detail
from airflow_provider_clarity.demo.table import Delivery
from airflow_provider_clarity.demo.watch import DAG_ID, TASK_ID

Purchases = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Harvest:
    """What came of a run.

    :param deliveries: the pictures that were delivered and are as promised
    :param complaints: what is not as promised, a sentence each
    :param purchases: how many pictures the service sold
    """

    deliveries: Sequence[Delivery]
    complaints: Sequence[str]
    purchases: int


def harvest(
    airflow: AirflowInstance, emulator: Emulator, folder: OutFolder, photographs: Sequence[Photograph], run_id: str
) -> Harvest:
    """Fetch, check and write the pictures of a run.

    :param airflow: which ran it
    :param emulator: which has them
    :param folder: where they go, beside copies of their sources
    :param photographs: by map index
    :param run_id: the run
    """
    purchases = emulator.purchases()
    fired = fired_triggers(airflow.logs_dir, run_id, TASK_ID)
    deliveries: list[Delivery] = []
    complaints = unexpected_purchases(photographs, purchases)
    for index, photograph in enumerate(photographs):
        result = airflow.xcom(DAG_ID, run_id, TASK_ID, map_index=index)
        if result is None:
            said = last_lines(task_log(airflow.logs_dir, run_id, TASK_ID, index))
            complaints.append(f"{photograph.name} was not delivered. Its log ends so:\n{said}")
            continue
        complaints += broken_promises(photograph.name, result, purchases, deferred=index in fired)
        try:
            deliveries.append(_fetch(emulator, folder, photograph, result))
        except (PictureError, httpx.HTTPError) as error:
            complaints.append(f"{result['uri']} is not as promised: {error}.")
    return Harvest(deliveries, complaints, sum(int(one["count"]) for one in purchases.values()))


def broken_promises(name: str, result: Mapping[str, Any], purchases: Purchases, *, deferred: bool) -> list[str]:
    """Compare what a task returned with what the emulator's accounts say.

    :param name: of the photograph
    :param result: what the task returned
    :param purchases: by task UUID
    :param deferred: whether a trigger fired for it
    :return: what is wrong, a sentence each
    """
    wrong = [] if deferred else [f"{name} was not deferred: no trigger of it fired."]
    own = [uuid for uuid, one in purchases.items() if one["source"] == name]
    if own != [str(result["task_uuid"])] or purchases[own[0]]["count"] != 1:
        times = sum(int(purchases[uuid]["count"]) for uuid in own)
        wrong.append(
            f"{name} was bought {times} times, as {', '.join(own) or 'nothing'}; delivered is {result['task_uuid']}."
        )
    return wrong


def unexpected_purchases(photographs: Sequence[Photograph], purchases: Purchases) -> list[str]:
    """Find what was bought although nobody asked for it.

    :param photographs: what was asked for
    :param purchases: by task UUID
    :return: what is wrong, a sentence each
    """
    asked = {one.name for one in photographs}
    return [f"{uuid} was bought of {one['source']}." for uuid, one in purchases.items() if one["source"] not in asked]


def picture_name(photograph: Photograph, suffix: str = ".jpg") -> str:
    """Return the name that the picture of a photograph gets in the folder.

    :param photograph: its source
    :param suffix: of its format
    """
    return f"{photograph.path.stem}-2x{suffix}"


def _fetch(emulator: Emulator, folder: OutFolder, photograph: Photograph, result: Mapping[str, Any]) -> Delivery:
    uri = str(result["uri"])
    content = emulator.download(uri)
    size = check_picture(content, (photograph.width, photograph.height))
    folder.write(photograph.name, photograph.path.read_bytes())
    path = folder.write(picture_name(photograph, PurePosixPath(uri).suffix), content)
    cost = result["cost_usd"]
    return Delivery(
        photograph=photograph,
        path=path,
        size=size,
        uri=uri,
        cost_usd=None if cost is None else float(cost),
        seconds=float(result["seconds"]),
        detail=find_detail(content),
    )
