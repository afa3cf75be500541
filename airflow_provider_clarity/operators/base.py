"""What the operators for one image and for many have in common: what is bought, how it travels, who may wait.

Invariant: nothing is read or opened before a task runs; an event that this version does not know buys nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_clarity.exceptions import ClarityProviderError
from airflow_provider_clarity.hooks.clarity import ClarityHook
from airflow_provider_clarity.operators.checks import about, check_upscale
from airflow_provider_clarity.triggers.upscale import EVENT_VERSION, UpscaleTrigger

if TYPE_CHECKING:
    from airflow_provider_clarity.batch.drive import Paused, Stopper
    from airflow_provider_clarity.operators.wiring import Choices

IfExists = Literal["skip", "update", "overwrite", "fail"]
OutputFormat = Literal["JPG", "PNG", "WEBP"]
UploadVia = Literal["auto", "signed_url", "resumable_session", "worker"]
InputVia = Literal["auto", "signed_url", "inline"]
Verify = Literal["lenient", "strict"]
OnLost = Literal["fail", "buy_again"]

_BACKSTOP = 300
"""Seconds after the deadline at which Airflow itself ends a deferral whose trigger is silent."""


class ClarityOperator(BaseOperator):
    """The base of both operators; see :class:`~.upscale.UpscaleOperator` for its parameters."""

    def __init__(  # noqa: PLR0913 - the surface
        self,
        *,
        source: str | list[str],
        destination: str,
        upscale_factor: float | None = 2,
        settings: dict[str, Any] | None = None,
        output_format: OutputFormat = "JPG",
        output_quality: int | None = None,
        ttl: int | None = None,
        if_exists: IfExists = "skip",
        max_attempts: int = 3,
        item_timeout: float = 900,
        upload_via: UploadVia = "auto",
        input_via: InputVia = "auto",
        verify: Verify = "lenient",
        workspace: str | None = None,
        clarity_conn_id: str = ClarityHook.default_conn_name,
        gcp_conn_id: str = "google_cloud_default",
        impersonation_chain: str | Sequence[str] | None = None,
        user_project: str | None = None,
        on_lost: OnLost = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        defer_after: float = 5,
        timeout: float | timedelta = 1800,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.destination = destination
        self.upscale_factor = upscale_factor
        self.settings = settings
        self.output_format = output_format
        self.output_quality = output_quality
        self.ttl = ttl
        self.if_exists: IfExists = if_exists
        self.max_attempts = max_attempts
        self.item_timeout = item_timeout
        self.upload_via: UploadVia = upload_via
        self.input_via: InputVia = input_via
        self.verify: Verify = verify
        self.workspace = workspace
        self.clarity_conn_id = clarity_conn_id
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain
        self.user_project = user_project
        self.on_lost: OnLost = on_lost
        self.deferrable = deferrable
        self.defer_after = defer_after
        self.timeout = timeout
        self._stopper: Stopper | None = None
        self._killed = False
        self._wait_here = False

    def on_kill(self) -> None:
        """Stop submitting, or do not begin to. What is in flight is adopted by the next try."""
        self._killed = True
        if self._stopper is not None:
            self._stopper.ask()

    def _new_stopper(self) -> Stopper:
        """Make what :meth:`on_kill` asks; it may have been called while connections were opened."""
        from airflow_provider_clarity.batch.drive import Stopper  # noqa: PLC0415 - nothing heavy at parse time

        self._stopper = Stopper()
        if self._killed:
            self._stopper.ask()
        return self._stopper

    def _pays_to_defer(self) -> float | None:
        """Say from which wait on to free the worker; None for never.

        Where a triggerer just could not wait, another deferral would come back at once, and the next, for hours.
        """
        return float(self.defer_after) if self.deferrable and not self._wait_here else None

    def _parameters(self) -> Any:  # noqa: ANN401 - UpscaleParameters; its import is heavy at parse time
        """Check what was written before any connection is opened; return what is bought."""
        from airflow_provider_clarity.runware.parameters import parameters_from_user, warnings_for  # noqa: PLC0415
        from airflow_provider_clarity.storage.uris import GsUri  # noqa: PLC0415

        check_upscale(self, CHOICES)
        if self.workspace is not None:
            with about("workspace"):
                GsUri.parse(self.workspace)
        parameters = parameters_from_user(
            upscale_factor=self.upscale_factor,
            output_format=self.output_format,
            output_quality=self.output_quality,
            settings=self.settings,
        )
        for warning in warnings_for(parameters):
            self.log.warning("%s", warning)
        return parameters

    def _choices(self) -> Choices:
        from airflow_provider_clarity.batch.adoption import Rules  # noqa: PLC0415 - nothing heavy at parse time
        from airflow_provider_clarity.operators.wiring import Choices  # noqa: PLC0415

        return Choices(
            if_exists=self.if_exists,
            verify=self.verify,
            upload_via=self.upload_via,
            input_via=self.input_via,
            ttl=self.ttl,
            workspace=self.workspace,
            rules=Rules(max_attempts=self.max_attempts, on_lost=self.on_lost, item_timeout=float(self.item_timeout)),
        )

    def _wait_for(self, run: str, paused: Paused, deadline: float, wake_when: Any) -> None:  # noqa: ANN401
        """Free the worker until there is news. Does not return."""
        self.defer(
            trigger=UpscaleTrigger(
                clarity_conn_id=self.clarity_conn_id,
                run=run,
                task_uuids=[str(uuid) for uuid in paused.task_uuids],
                wake_when=wake_when,
                first_look=paused.first_look,
                deadline=deadline,
                sent_at=paused.sent_at,
                wake_at=paused.wake_at,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, deadline - time.time()) + _BACKSTOP),
        )

    def _read(self, event: Mapping[str, Any] | None) -> tuple[str, float]:
        """Read a trigger's event; one that this version does not know is left to a retry, which adopts."""
        known = event is not None and event.get("status") in ("settled", "deadline", "unreachable")
        if event is None or not known or event.get("v") != EVENT_VERSION:
            raise ClarityProviderError(
                "The trigger sent an event that this version does not know. What is in flight stays paid. A retry "
                "adopts it."
            )
        self._wait_here = event["status"] == "unreachable"
        if self._wait_here:
            self.log.warning("The triggerer could not wait: %s Waiting here from now on.", event.get("message"))
        return str(event["run"]), float(event["deadline"])


CHOICES: dict[str, tuple[str, ...]] = {
    "if_exists": get_args(IfExists),
    "output_format": get_args(OutputFormat),
    "upload_via": get_args(UploadVia),
    "input_via": get_args(InputVia),
    "verify": get_args(Verify),
    "on_lost": get_args(OnLost),
}
