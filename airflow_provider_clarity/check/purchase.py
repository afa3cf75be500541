"""``--buy-one``: one picture is bought, and what nobody knows of the service is looked at (docs/unknowns.md).

Invariants: the task is submitted once, whatever is answered; a lost reply is waited out and never answered by another
send. Only ``--probe-duplicate`` sends its UUID a second time, after success.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from airflow_provider_clarity.check.observed import Observed
from airflow_provider_clarity.check.picture import Picture
from airflow_provider_clarity.check.runner import Check, NotNeededError
from airflow_provider_clarity.check.setup import Setup
from airflow_provider_clarity.exceptions import (
    ClarityDeliveryError,
    ClarityError,
    ClarityLostError,
    ClarityProviderError,
)
from airflow_provider_clarity.runware.errors import to_exception
from airflow_provider_clarity.runware.pace import next_look
from airflow_provider_clarity.runware.replies import PollReply, SubmitOutcome, TaskState
from airflow_provider_clarity.runware.wire import ResultItem, UpscaleInputs, UpscaleParameters, UpscaleTask
from airflow_provider_clarity.storage.endpoints import make_endpoint
from airflow_provider_clarity.storage.header import Header
from airflow_provider_clarity.storage.inputs import image_reference, inspect
from airflow_provider_clarity.storage.picture import read_header
from airflow_provider_clarity.storage.uris import GsUri, parse_source
from airflow_provider_clarity.storage.verify import Broken, Empty, Staged, inspect_staging

_FACTOR: Final = 2
_FORMAT: Final = "JPG"
_UPLOAD_GRACE: Final = 30.0
_STOP_BELIEVED: Final = 10.0
_LOOK_AT_UPLOAD: Final = 0.5
_LARGEST_RESULT: Final = 64 * 1024 * 1024


@dataclass
class Purchase:
    """The one purchase, and what was seen of it.

    :param setup: the connections
    :param picture: what is upscaled
    """

    setup: Setup
    picture: Picture
    task_uuid: UUID = field(default_factory=uuid4)
    _task: UpscaleTask | None = None
    _result: ResultItem | None = None
    _outcome: str = "not sent"

    def __post_init__(self) -> None:
        self.seen = Observed(str(self.task_uuid))

    @property
    def staging(self) -> GsUri:
        """Where the service uploads to."""
        return self.setup.folder.child(f"picture.{_FORMAT.lower()}")

    def as_json(self) -> dict[str, Any]:
        """Give what was seen as JSON values."""
        return asdict(self.seen)

    def bill(self) -> str:
        """Say what was bought, in a sentence or two."""
        task = f"task {self.task_uuid}"
        second = " A second send of its UUID was accepted, and may be billed too." if self._accepted_again else ""
        cost = "for a cost it did not tell" if self.seen.cost_usd is None else f"for ${self.seen.cost_usd:g}"
        return {
            "not sent": "Nothing was bought.",
            "refused": "Nothing was bought: the service refused the task.",
            "failed": f"The service ended {task} with an error; whether that costs something is for its dashboard.",
            "bought": f"One picture was bought {cost}: {task}.{second}",
            "in flight": f"One picture is on its way and stays paid: {task}. It may still come to {self.staging}.",
        }.get(self._outcome, f"It cannot be told whether {task} was bought: look it up in the Runware dashboard.")

    @property
    def _accepted_again(self) -> bool:
        return self.seen.second_send in ("accepted", "unknown")

    def prepare(self) -> str:
        """Put the source into the bucket and make the task, with its URLs."""
        setup = self.setup
        uri = setup.touch(f"source.{self.picture.header.format.lower()}")
        content_type = self.picture.content_type
        stored = setup.store.create(uri, self.picture.content, if_generation_match=0, content_type=content_type)
        setup.touched[uri] = stored
        source, via = parse_source(str(uri)), setup.options.upload_via
        facts = inspect(setup.store, source, factor=_FACTOR)
        self.seen.source_pixels = facts.pixels
        image = image_reference(
            source,
            generation=stored.generation,
            store=setup.store,
            signer=setup.signer,
            via="inline" if via == "worker" else "auto",
        )
        endpoint = make_endpoint(
            setup.touch(self.staging.name.rpartition("/")[2]), store=setup.store, signer=setup.signer, via=via
        )
        self._task = UpscaleTask(
            task_uuid=self.task_uuid,
            parameters=UpscaleParameters(upscale_factor=_FACTOR, output_format=_FORMAT),
            inputs=UpscaleInputs(image=image.text),
            upload_endpoint=endpoint.url if endpoint else None,
        )
        size = " x ".join(map(str, facts.pixels or ()))
        how = "goes inline" if image.text.startswith("data:") else "is read by a presigned URL"
        return f"a picture of {size} pixels lies at {uri} and {how}. {' '.join(facts.warnings)}"

    def buy(self) -> str:
        """Submit once and wait for success."""
        started = time.monotonic()
        self._outcome = "unknown"  # until something is known, also if this is interrupted
        reply = self.setup.hook.submit([self._prepared])
        outcome = reply.outcomes[0]
        self.seen.answer = outcome.status
        if outcome.status in ("refused", "failed"):
            self._outcome = "refused"
            raise _reason(outcome) or reply.stop or ClarityProviderError("Runware refused the task. Nothing was paid.")
        self._outcome = "unknown" if outcome.status == "unknown" else "in flight"
        self._result = outcome.result or self._wait(started, reply.stop)
        where = self.seen.success_in or "the reply"
        self._outcome = "bought"
        self.seen.seconds_to_success = round(time.monotonic() - started, 2)
        return (
            f"the submit was answered {outcome.status!r}; success was seen after {self.seen.seconds_to_success:.1f} s "
            f"in {where}, at look {self.seen.looks}."
        )

    def _wait(self, started: float, stop: ClarityError | None) -> ResultItem:
        """Look until the task has ended. Silence is waited out: nothing is sent again."""
        while (age := time.monotonic() - started) < self.setup.options.timeout:
            time.sleep(next_look(age))
            reply = self.setup.hook.get_response([self.task_uuid])
            self.seen.looks += 1
            state = reply.states.get(self.task_uuid)
            self._raise_end(reply, state)
            if state is not None and state.status == "silent":  # not begun, or forgotten by now: the archive may know
                archive = self.setup.hook.get_task_details([self.task_uuid])
                state = archive.states.get(self.task_uuid)
                self._raise_end(archive, state)
                self.seen.success_in = "getTaskDetails"
            else:
                self.seen.success_in = "getResponse"
            if state is not None and state.status == "success" and state.result is not None:
                return state.result
            if state is not None and state.status == "processing":
                self._outcome = "in flight"
            if stop is not None and self._outcome == "unknown" and age > _STOP_BELIEVED:
                raise stop
        raise ClarityLostError(
            f"Task {self.task_uuid} had no result after {self.setup.options.timeout:g} s. It stays paid if the service "
            "took it, and was not sent again. Look it up in the Runware dashboard, or allow more with --timeout."
        )

    def _raise_end(self, reply: PollReply, state: TaskState | None) -> None:
        if state is not None and state.status == "failed" and state.error is not None:
            self._outcome = "failed"
            raise to_exception(state.error)
        if reply.stop is not None:
            raise reply.stop

    def inspect(self) -> str:
        """Look at what the service uploaded."""
        if self._prepared.upload_endpoint is None:
            raise NotNeededError("upload_via='worker' asks for no upload.")
        started = time.monotonic()
        while True:
            found = inspect_staging(
                self.setup.store,
                self.staging,
                expected_format=_FORMAT,
                source_pixels=self.seen.source_pixels,
                factor=_FACTOR,
            )
            waited = time.monotonic() - started
            if not isinstance(found, Empty):
                break
            self.seen.upload_there_at_success = False
            if waited > _UPLOAD_GRACE:
                raise ClarityDeliveryError(
                    f"Success was seen, and nothing was uploaded within {_UPLOAD_GRACE:g} s. The picture is paid; the "
                    "operator would fetch it from the service. If 'image URL' below is ok, upload_via='worker' is a "
                    "way; else try upload_via='resumable_session' or 'signed_url'."
                )
            time.sleep(_LOOK_AT_UPLOAD)
        if self.seen.upload_there_at_success is None:
            self.seen.upload_there_at_success = True
        else:
            self.seen.upload_seconds_after_success = round(waited, 2)
        return self._describe(found)

    def _describe(self, found: Staged | Broken) -> str:
        stored = self.setup.store.stat(self.staging)
        if stored is not None:
            self.seen.bytes = stored.size
            # An upload session gives its own type, whatever the header of the PUT says.
            self.seen.content_type = None if self._by_session else stored.content_type
            self.seen.custom_metadata = tuple(sorted(stored.metadata))
        if isinstance(found, Broken):
            raise ClarityDeliveryError(
                f"What the service uploaded would be refused: {found.reason}. The picture is paid; the operator would "
                "fetch it from the service. Try it with another --image, and report it."
            )
        self._measure(found.header)
        when = "was there" if self.seen.upload_there_at_success else "came"
        late = self.seen.upload_seconds_after_success
        return (
            f"the upload {when} {'at success' if late is None else f'{late:.1f} s after success'}, as "
            f"{self.seen.content_type or 'a type that a session hides'}: {self._size()}. {'; '.join(found.notes)}"
        )

    @property
    def _by_session(self) -> bool:
        via = self.setup.options.upload_via
        return via == "resumable_session" or (via == "auto" and self.setup.signer.refusal is not None)

    def _measure(self, header: Header) -> None:
        self.seen.format, self.seen.pixels = header.format, header.pixels
        if self.seen.source_pixels:
            (width, height), (across, down) = header.pixels, self.seen.source_pixels
            self.seen.ratio = (round(width / across, 4), round(height / down, 4))

    def _size(self) -> str:
        pixels, ratio = self.seen.pixels or (), self.seen.ratio or ()
        return f"{self.seen.format}, {' x '.join(map(str, pixels))} pixels, {' x '.join(f'{one:g}' for one in ratio)}"

    def fetch(self) -> str:
        """See whether the picture can be fetched from the service, as after a failed upload."""
        item = self._bought
        beside = "beside the upload" if self._prepared.upload_endpoint else "without an upload"
        self.seen.image_url_there = item.image_url is not None
        if item.image_url is None:
            if self._prepared.upload_endpoint is None:
                raise ClarityDeliveryError(
                    "The result has no imageURL, so upload_via='worker' cannot work. The picture is paid; look task "
                    f"{self.task_uuid} up in the Runware dashboard. Use upload_via='signed_url'."
                )
            return f"the result has no imageURL {beside}: a failed upload could not be fetched from there."
        self.seen.image_host = urlsplit(item.image_url).hostname
        try:
            data = asyncio.run(self._fetched(item.image_url))
        except ClarityError as error:
            self.seen.image_fetched = False
            raise ClarityDeliveryError(
                f"The picture cannot be fetched from {self.seen.image_host}: {error.message} The extra "
                "allowed_image_hosts of the connection names the hosts that are allowed."
            ) from None
        header = read_header(data)
        self.seen.image_fetched = isinstance(header, Header)
        if not isinstance(header, Header):
            raise ClarityDeliveryError(
                f"What {self.seen.image_host} gave is no picture. It is paid; look task {self.task_uuid} up in the "
                "Runware dashboard. Does a proxy answer in its place?"
            )
        if self.seen.pixels is None:
            self._measure(header)
        return f"the result has an imageURL {beside}, at {self.seen.image_host}; fetched from here: {self._size()}."

    async def _fetched(self, url: str) -> bytes:
        settings = self.setup.settings
        async with self.setup.hook.get_async_conn(settings) as client:
            return await client.fetch_image(url, max_bytes=_LARGEST_RESULT, allowed_hosts=settings.allowed_image_hosts)

    def ask_cost(self) -> str:
        """See what it cost: in the result, else in the archive."""
        self.seen.cost_usd, self.seen.cost_from = self._bought.cost, "result"
        if self.seen.cost_usd is None:
            state = self.setup.hook.get_task_details([self.task_uuid]).states.get(self.task_uuid)
            self.seen.cost_usd = state.result.cost if state and state.result else None
            self.seen.cost_from = "details" if self.seen.cost_usd is not None else None
        if self.seen.cost_usd is None:
            return "the service did not say what it cost, though asked: cost_usd will be null."
        expected = float(self.setup.settings.expected_cost_usd)
        more = "" if self.seen.cost_usd <= expected else f" That is more than expected_cost_usd ({expected:g})."
        return f"${self.seen.cost_usd:g}, said in the {self.seen.cost_from}.{more}"

    def ask_again(self) -> str:
        """See whether the service still knows the task after a while."""
        after = self.setup.options.ask_again_after
        time.sleep(after)
        self.seen.asked_again_after = after
        hook, uuid = self.setup.hook, self.task_uuid
        self.seen.get_response_later = _said(hook.get_response([uuid]), uuid)
        self.seen.get_task_details_later = _said(hook.get_task_details([uuid]), uuid)
        return (
            f"{after:g} s after success getResponse says {self.seen.get_response_later!r} and getTaskDetails "
            f"{self.seen.get_task_details_later!r}."
        )

    def send_again(self) -> str:
        """Send the UUID a second time, after success; without an upload, so that nothing comes after the clean-up."""
        if not self.setup.options.probe_duplicate:
            raise NotNeededError("it may cost a second picture: --probe-duplicate tries it.")
        self.seen.second_send = "unknown"
        outcome = self.setup.hook.submit([self._prepared.model_copy(update={"upload_endpoint": None})]).outcomes[0]
        self.seen.second_send = outcome.status
        self.seen.second_send_code = outcome.error.code if outcome.error else None
        said = {
            "conflict": "refused as a conflict: the UUID still protects from a second payment",
            "accepted": "ACCEPTED: this may have cost a second picture. The operator never relies on a refusal here",
        }.get(outcome.status, f"answered {outcome.status!r} ({self.seen.second_send_code or 'no code'})")
        return f"a second send of the same UUID, after success, was {said}."

    @property
    def _prepared(self) -> UpscaleTask:
        if self._task is None:
            raise ClarityProviderError("No task was made. Nothing was paid.")
        return self._task

    @property
    def _bought(self) -> ResultItem:
        if self._result is None:
            raise ClarityProviderError("There is no result.")
        return self._result


def checks(purchase: Purchase) -> list[Check]:
    """Give the steps of the purchase; none is taken if anything before it failed."""
    bought = ("purchase",)
    return [
        Check("source", purchase.prepare, needs=("key", "create"), only_without_failure=True),
        Check("purchase", purchase.buy, needs=("source",), only_without_failure=True),
        Check("picture", purchase.inspect, needs=bought),
        Check("image URL", purchase.fetch, needs=bought),
        Check("cost", purchase.ask_cost, needs=bought),
        Check("memory", purchase.ask_again, needs=bought),
        Check("second send", purchase.send_again, needs=bought),
    ]


def _reason(outcome: SubmitOutcome) -> ClarityError | None:
    return to_exception(outcome.error) if outcome.error is not None else None


def _said(reply: PollReply, uuid: UUID) -> str:
    state = reply.states.get(uuid)
    return "no answer" if state is None else state.status
