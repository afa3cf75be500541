"""A backfill whose process is killed again and again; ten thousand images of it are ``tests/benchmarks/kills.py``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from backfill_runs import BUCKET, TOMORROW, Orders, audit, bucket_of, fill, kill_until_over, source_name
from emulator_process import EmulatorProcess

NUMBER = 60
RULES = {
    "lease": 1.0, "upload_grace": 1.0, "fetch_grace": 1.0, "resubmit_after": 0.1, "silence_confirmed": 0.5,
    "max_attempts": 6,
}  # fmt: skip
FAULTS: list[dict[str, Any]] = [
    {"operation": "work", "fault": "error:providerError", "rate": 0.05},
    {"operation": "upload", "fault": "refuse_403", "rate": 0.03},
    {"operation": "submit", "fault": "reset_after", "rate": 0.1},
]


def test_a_backfill_that_is_killed_again_and_again_buys_each_picture_once(tmp_path: Path) -> None:
    """Breaks if a process that dies, or sleeps through a takeover, leaves something bought twice, lost or mixed up."""
    with EmulatorProcess(
        "--service-time", "0.3", "--latency-model", "lognormal", "--render", "cached", "--seed", "3", buckets=[BUCKET]
    ) as emulator:
        fill(emulator, NUMBER)
        emulator.faults(FAULTS)
        orders = Orders(emulator, tmp_path, rules=RULES, limits={"max_in_flight": 16, "beat": 0.2}, timeout=2.0)
        killed = kill_until_over(orders, life=1.2, seed=3, freeze=0.25)
        assert audit(emulator, killed.ended, NUMBER, sample=30) == []
        assert killed.kills >= 3
        assert killed.frozen == killed.fenced
        submits = emulator.accounts()["submits"]
        again = replace(orders, run_key=TOMORROW).run()["result"]
        assert (again["done"], again["purchases"], again["cost_usd"]) == (NUMBER, 0, 0)
        assert emulator.accounts()["submits"] == submits


def test_the_audit_sees_what_is_wrong(tmp_path: Path) -> None:
    """Breaks if the audit would pass a picture that is missing, mixed up, of the wrong kind, or a wrong count."""
    number = 6
    with EmulatorProcess("--service-time", "0.1", "--render", "cached", buckets=[BUCKET]) as emulator:
        fill(emulator, number)
        ended = Orders(emulator, tmp_path, rules=RULES, limits={"beat": 0.05}, timeout=2.0).run()
        assert audit(emulator, ended, number) == []
        assert any("00006" in one for one in audit(emulator, ended, number + 1))
        assert any("none of ours" in one for one in audit(emulator, ended, number - 1))
        dearer = ended | {"result": ended["result"] | {"cost_usd": 1.0, "delivered": 5}}
        assert [one.partition(":")[0] for one in audit(emulator, dearer, number)] == [
            "delivered and recovered", "cost",
        ]  # fmt: skip
        with bucket_of(emulator) as bucket:
            one, other = bucket.blob("print/00001.jpg"), bucket.blob("print/00002.jpg")
            token, *_ = one.rewrite(other)
            assert token is None
            assert {one.partition(" ")[0] for one in audit(emulator, ended, number)} >= {"print/00001.jpg"}
            bucket.blob("print/00003.jpg").delete()
            assert "print/00003.jpg is missing" in audit(emulator, ended, number)
            bucket.blob(source_name(1)).delete()
