"""Where we keep what has no final name yet."""

from __future__ import annotations

from airflow_provider_clarity.storage.delivery import Workspace
from airflow_provider_clarity.storage.uris import GsUri

FINAL = GsUri("print", "x/cat.jpg")


def test_the_default_is_beside_the_destination() -> None:
    """Breaks if lifecycle rules that users wrote from the documentation no longer match."""
    workspace = Workspace.for_destination(FINAL)
    assert str(workspace.staging("abc", 2, "jpg")) == "gs://print/_clarity/staging/abc-2.jpg"
    assert str(workspace.undelivered("abc", 2, "jpg")) == "gs://print/_clarity/undelivered/abc-2.jpg"
    assert str(workspace.task_record("abc")) == "gs://print/_clarity/tasks/abc.json"


def test_a_moved_workspace_hides_no_record() -> None:
    """Breaks if changing ``workspace=`` makes the next run buy again."""
    for given in ("gs://scratch/clarity", "gs://scratch/clarity/"):
        workspace = Workspace.for_destination(FINAL, given)
        assert str(workspace.staging("abc", 1, "png")) == "gs://scratch/clarity/staging/abc-1.png"
        assert workspace.task_record("abc") == Workspace.for_destination(FINAL).task_record("abc")


def test_a_root_alone_is_its_own_bucket() -> None:
    """Breaks if a workspace made from its root only has records nowhere."""
    assert str(Workspace(GsUri("print", "_clarity/")).task_record("abc")) == "gs://print/_clarity/tasks/abc.json"
