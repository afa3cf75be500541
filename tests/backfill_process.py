"""A backfill in a process of its own: it may be killed at any moment, and another takes its round up.

Reads its orders from the JSON file that its argument names. Writes ``up`` when it is loaded and, once the round is
over, one line of JSON: how it ended and what the process took. Exit code 3: another has taken the round over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.oauth2 import service_account

from airflow_provider_clarity.batch.adoption import Rules
from airflow_provider_clarity.batch.drive import Stopper, drive
from airflow_provider_clarity.batch.outcomes import parse_tolerated
from airflow_provider_clarity.batch.plan.grammar import parse_batch_source
from airflow_provider_clarity.batch.plan.wanted import Wanted
from airflow_provider_clarity.batch.running import Limits, Round, ledger_root, open_backfill
from airflow_provider_clarity.batch.submission import BucketRequests
from airflow_provider_clarity.exceptions import ClarityFencedError
from airflow_provider_clarity.runware.client import ClarityClient
from airflow_provider_clarity.runware.parameters import parameters_from_user
from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.pool import widen
from airflow_provider_clarity.storage.signing import Signer
from airflow_provider_clarity.storage.store import ObjectStore
from airflow_provider_clarity.storage.uris import GsUri

FENCED = 3
HOLDS = "holds the ledger"


def watch_storage(seen: Counter[str], latency: float) -> None:
    """Count the requests to Cloud Storage by what they do and to what.

    :param latency: seconds that each takes longer than the emulator does
    """
    request = AuthorizedSession.request

    def counted(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        seen[_kind(method, url)] += 1
        time.sleep(latency)
        return request(self, method, url, *args, **kwargs)

    AuthorizedSession.request = counted  # type: ignore[method-assign]


def _kind(method: str, url: str) -> str:
    parts = urlsplit(url)
    path, query = unquote(parts.path), unquote(parts.query)
    what = {"GET": "stat", "DELETE": "delete", "PATCH": "update", "POST": "create", "PUT": "create"}[method]
    if "/download/" in path or "alt=media" in query:
        what = "read"
    elif "/rewriteTo/" in path:
        what = "rewrite"
    elif path.endswith("/o") and method == "GET":
        what = "list"
    named = re.search(r"_clarity/(tasks|staging|runs)|raw/|print/", f"{path}?{query}")
    return f"{what} {named[0] if named else 'ledger'}"


def memory(pid: int | str = "self") -> float:
    """Return the most memory that a process has had resident, in MB; 0 where it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def processor(pid: int) -> float:
    """Return the seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(orders: dict[str, Any]) -> dict[str, Any]:
    """Drive the round to its end."""
    credentials = service_account.Credentials.from_service_account_file(
        orders["key_file"], scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    client = storage.Client(project="emulator", credentials=credentials)
    widen(client)
    store, log, timeout = ObjectStore(client), logging.getLogger("backfill"), orders["timeout"]
    wanted = Wanted(
        parse_batch_source(f"gs://{orders['bucket']}/raw/"),
        GsUri(orders["bucket"], "print/"),
        parameters_from_user(output_format="JPG", upscale_factor=2),
        urlsplit(orders["runware_url"]).hostname or "",
        orders["run_key"],
    )
    workspace, place = Workspace.for_destination(wanted.destination, None), f"{orders['run_key']}/-1"
    async with ClarityClient(api_key=orders["api_key"], base_url=orders["runware_url"], timeout=timeout) as api:
        opened = await asyncio.to_thread(
            open_backfill,
            client=api,
            store=store,
            requests=BucketRequests(store, Signer(client, credentials)),
            wanted=wanted,
            workspace=workspace,
            root=ledger_root(workspace, wanted, place).child("0/"),
            round_=Round(orders["run_key"], place),
            rules=replace(Rules(), **orders["rules"]),
            limits=Limits(**orders["limits"]),
            log=log,
            submit_timeout=timeout,
            allowed_image_hosts=("127.0.0.1",),
        )
        log.info("%s", HOLDS)
        await drive(
            opened.backfill,
            deadline=time.time() + orders["seconds"],
            defer_after=None,
            stopper=Stopper(),
            log=log,
        )
        await opened.backfill.settled()
        ended = await asyncio.to_thread(opened.finish, tolerated=parse_tolerated(0), on_budget="stop")
    failure = ended.failure.message if ended.failure is not None else None
    return {"result": ended.result, "failure": failure, "sequence": opened.journal.state.sequence}


def main() -> int:
    """Obey the orders."""
    orders = json.loads(Path(sys.argv[1]).read_text())
    os.environ["STORAGE_EMULATOR_HOST"] = orders["storage_url"]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    for name in ("httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    requests: Counter[str] = Counter()
    watch_storage(requests, orders["latency"])
    sys.stdout.write("up\n")
    sys.stdout.flush()
    began, cpu = time.monotonic(), time.process_time()
    try:
        ended = asyncio.run(run(orders))
    except ClarityFencedError as error:
        sys.stderr.write(f"{error}\n")
        return FENCED
    took = {
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "memory": memory(),
        "requests": dict(requests.most_common()),
    }
    sys.stdout.write(json.dumps(ended | took) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
