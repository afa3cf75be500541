"""The hook: an Airflow connection becomes a client of the Runware API.

Invariants: no connection is read before a method needs it; the key is in no representation, message or log line.
Everything that speaks to the service is async and lives in ``runware/``; the synchronous methods run it to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack
from uuid import UUID, uuid4

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_clarity.exceptions import ClarityAuthError, ClarityError, ClarityValidationError
from airflow_provider_clarity.hooks import form
from airflow_provider_clarity.hooks.settings import ClaritySettings, settings_from_connection
from airflow_provider_clarity.redact import redact

if TYPE_CHECKING:
    from airflow_provider_clarity.runware.client import ClarityClient
    from airflow_provider_clarity.runware.replies import Account, PollReply, SubmitReply
    from airflow_provider_clarity.runware.run import UpscaleResult
    from airflow_provider_clarity.runware.wire import UpscaleTask

__all__ = ["ClarityHook", "ClaritySettings", "UpscaleRequest", "make_client", "settings_from_connection"]

T = TypeVar("T")
_NO_PERMISSION = frozenset({"insufficientpermissions", "permissiondenied", "forbidden"})


class UpscaleRequest(TypedDict, total=False):
    """What :meth:`ClarityHook.upscale` may be given besides the source; see the model page for the ranges."""

    upscale_factor: float | None
    output_format: Literal["JPG", "PNG", "WEBP"] | None
    output_quality: int | None
    settings: Mapping[str, Any]
    output_type: Literal["URL", "base64Data", "dataURI"]
    ttl: int | None
    task_uuid: UUID | str
    timeout: float


class ClarityHook(BaseHook):
    """Speaks to Runware with the key and address of an Airflow connection of type ``clarity``.

    The synchronous methods are for tasks. Inside an event loop (a trigger, an async test) use
    :meth:`aget_settings` and :meth:`get_async_conn`.

    :param clarity_conn_id: id of the Airflow connection
    """

    conn_name_attr = "clarity_conn_id"
    default_conn_name = "clarity_default"
    conn_type = "clarity"
    hook_name = "Clarity (Runware)"

    def __init__(self, clarity_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.clarity_conn_id = clarity_conn_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(clarity_conn_id={self.clarity_conn_id!r})"

    def get_settings(self) -> ClaritySettings:
        """Read the connection, anew each time: a changed key counts from the next call.

        :raises ClarityAuthError: the connection does not exist or has no key
        :raises ClarityValidationError: its host or one of its extras cannot be used
        """
        from airflow.providers.common.compat.sdk import mask_secret  # noqa: PLC0415  # not at parse time

        try:
            settings = settings_from_connection(self.get_connection(self.clarity_conn_id))
        except AirflowNotFoundException:
            raise self._no_connection() from None
        for secret in (settings.api_key, settings.webhook_url):
            if secret:
                mask_secret(secret)
        return settings

    async def aget_settings(self) -> ClaritySettings:
        """Read the connection without blocking the event loop, for triggers; otherwise as :meth:`get_settings`."""
        from airflow.providers.common.compat.connection import get_async_connection  # noqa: PLC0415

        try:
            connection = await get_async_connection(self.clarity_conn_id, hook=self)
        except AirflowNotFoundException:
            # `airflow dags test` runs triggers where the async look-up sees environment variables only.
            try:
                connection = await asyncio.to_thread(self.get_connection, self.clarity_conn_id)
            except AirflowNotFoundException:
                raise self._no_connection() from None
        return settings_from_connection(connection)

    def get_conn(self) -> ClarityClient:
        """Return :meth:`get_async_conn`: there is one client, and it is async."""
        return self.get_async_conn()

    def get_async_conn(self, settings: ClaritySettings | None = None) -> ClarityClient:
        """Make a client. Whoever makes it closes it with ``await client.aclose()``.

        :param settings: what :meth:`aget_settings` gave; without it the connection is read here, which blocks
        """
        return make_client(settings or self.get_settings())

    def submit(self, tasks: Sequence[UpscaleTask]) -> SubmitReply:
        """Send tasks once, and say for each what became of it. Nothing is sent again.

        :param tasks: what is bought, each with its UUID
        """
        return self._run(lambda client: client.submit(tasks))

    def get_response(self, task_uuids: Iterable[UUID]) -> PollReply:
        """Ask for the state of tasks. A UUID that is missing in the answer is no news.

        :param task_uuids: the tasks asked about
        """
        return self._run(lambda client: client.get_response(task_uuids))

    def get_task_details(self, task_uuids: Iterable[UUID]) -> PollReply:
        """Ask the archive for the last response of tasks.

        :param task_uuids: the tasks asked about
        """
        return self._run(lambda client: client.get_task_details(task_uuids))

    def account(self) -> Account:
        """Ask for the organisation and its balance. It costs nothing.

        :raises ClarityAuthError: the key was refused, or may not read the account
        """
        return self._run(lambda client: client.account())

    def upscale(self, source: str, destination: str | None = None, **request: Unpack[UpscaleRequest]) -> UpscaleResult:
        """Buy one upscaled picture and wait for it. Every call is a purchase, unless a ``task_uuid`` is given again.

        For images in Cloud Storage use ``UpscaleOperator``: it never pays twice and lands the picture.

        :param source: a URL that Runware can fetch, a UUID of a picture it keeps, or a data URI
        :param destination: an upload endpoint: a URL that takes one PUT of the picture
        :param request: see :class:`UpscaleRequest`; ``upscale_factor`` is 2 where it is not given, ``timeout`` (seconds
            to wait) 900
        :raises ClarityValidationError: a parameter is outside what the model page allows
        :raises ClarityError: the task failed; the class says how
        """
        from airflow_provider_clarity.runware.run import run_task  # noqa: PLC0415

        settings = self.get_settings()
        task = _task(source, destination, request, settings.webhook_url)
        return self._run(lambda client: run_task(client, task, timeout=request.get("timeout", 900)), settings)

    def test_connection(self) -> tuple[bool, str]:
        """Check address and key with a request that costs nothing.

        :return: whether they work, and a sentence for a person
        """
        try:
            account = self.account()
        except ClarityError as error:
            if (error.code or "").casefold() in _NO_PERMISSION:
                return True, "Runware took the key. It may not read the account, so the balance cannot be shown."
            return False, redact(error)
        except Exception as error:  # noqa: BLE001  # Airflow shows the message; a traceback would tell nobody more
            return False, f"{type(error).__name__}: {redact(error)}"
        return True, account_sentence(account)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Name the form's fields, for Airflow before 3.2; later versions read the provider metadata."""
        return {
            "hidden_fields": list(form.HIDDEN_FIELDS),
            "relabeling": dict(form.RELABELING),
            "placeholders": dict(form.PLACEHOLDERS),
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Make the form's fields for the extras, for Airflow before 3.2; later versions read the provider metadata."""
        # Neither is installed with Airflow 3.2 and later, nor needed there.
        widgets = import_module("flask_appbuilder.fieldwidgets")
        fields = import_module("wtforms.fields")
        return {
            one.name: (fields.PasswordField if one.secret else fields.StringField)(
                one.label,
                widget=widgets.BS3PasswordFieldWidget() if one.secret else widgets.BS3TextFieldWidget(),
                description=one.description,
            )
            for one in form.EXTRA_FIELDS
        }

    def _run(self, call: Callable[[ClarityClient], Awaitable[T]], settings: ClaritySettings | None = None) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(
                "This method of ClarityHook waits, and an event loop is running here. Nothing was sent. Use "
                "`client = hook.get_async_conn(await hook.aget_settings())` and await the client's methods."
            )
        known = settings or self.get_settings()

        async def to_the_end() -> T:
            client = make_client(known)
            try:
                return await call(client)
            finally:
                await client.aclose()

        return asyncio.run(to_the_end())

    def _no_connection(self) -> ClarityAuthError:
        return ClarityAuthError(
            f"The connection {self.clarity_conn_id!r} does not exist. Nothing was sent and nothing was paid. Create it "
            "with the type clarity and your Runware API key as its password."
        )


def make_client(settings: ClaritySettings) -> ClarityClient:
    """Make a client of these settings. Whoever makes it closes it.

    :param settings: what a connection says
    """
    from airflow_provider_clarity.runware.client import ClarityClient  # noqa: PLC0415  # httpx is heavy at parse time

    return ClarityClient(
        api_key=settings.api_key,
        base_url=settings.base_url,
        timeout=settings.timeout,
        max_connections=settings.max_connections,
    )


def account_sentence(account: Account) -> str:
    """Say whose account it is and what is left in it.

    :param account: what the service answered
    """
    name = redact(account.organization or "an organisation without a name")
    if account.balance is None:
        return f"Runware took the key of {name}. The service did not state the balance."
    return f"Runware took the key of {name}. The balance is {account.balance:.2f} {redact(account.currency)}."


def _task(source: str, destination: str | None, request: UpscaleRequest, webhook_url: str | None) -> UpscaleTask:
    from pydantic import ValidationError  # noqa: PLC0415  # not at parse time, and so for the next two

    from airflow_provider_clarity.runware.parameters import parameters_from_user  # noqa: PLC0415
    from airflow_provider_clarity.runware.wire import UpscaleInputs, UpscaleTask  # noqa: PLC0415

    unknown = sorted(set(request) - set(UpscaleRequest.__annotations__))
    if unknown:
        raise TypeError(f"ClarityHook.upscale() has no parameter {unknown[0]!r}.")
    parameters = parameters_from_user(
        upscale_factor=request.get("upscale_factor", 2),
        output_format=request.get("output_format"),
        output_quality=request.get("output_quality"),
        settings=request.get("settings"),
    )
    try:
        return UpscaleTask(
            task_uuid=UUID(str(request.get("task_uuid") or uuid4())),
            parameters=parameters,
            inputs=UpscaleInputs(image=source),
            output_type=request.get("output_type", "URL"),
            upload_endpoint=destination,
            webhook_url=webhook_url,
            ttl=request.get("ttl"),
        )
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'task'}: {one['msg']}" for one in error.errors())
    except ValueError:
        said = "task_uuid: it is not a UUID"
    raise ClarityValidationError(f"Clarity does not take this request: {redact(said)}. Nothing was paid. Correct it.")
