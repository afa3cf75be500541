"""What ``--buy-one`` can see of the service, as data: the ``service`` part of the JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Observed:
    """What the service did. None: not seen, or not looked at.

    :param answer: to the submit: ``accepted``, ``unknown`` (no readable reply), ...
    :param seconds_to_success: from the submit until a look showed success; looks are 1.25 to 10 s apart
    :param success_in: where it was seen: ``getResponse``, or ``getTaskDetails`` where the other one was silent
    :param upload_there_at_success: whether the upload had arrived at the first look at the bucket after success
    :param upload_seconds_after_success: when it was first seen, if it was not there at once
    :param content_type: of the uploaded object: the header of the service's PUT; with a session unseen
    :param ratio: pixels of the result by those of the source, width and height
    :param cost_from: ``result``, or ``details`` where only the archive told the cost
    :param get_response_later: what ``getResponse`` said ``asked_again_after`` seconds after success
    :param second_send: what a second submit of the UUID was answered, after success
    """

    task_uuid: str
    answer: str | None = None
    seconds_to_success: float | None = None
    looks: int = 0
    success_in: str | None = None
    upload_there_at_success: bool | None = None
    upload_seconds_after_success: float | None = None
    content_type: str | None = None
    custom_metadata: tuple[str, ...] | None = None
    bytes: int | None = None
    format: str | None = None
    source_pixels: tuple[int, int] | None = None
    pixels: tuple[int, int] | None = None
    ratio: tuple[float, float] | None = None
    image_url_there: bool | None = None
    image_host: str | None = None
    image_fetched: bool | None = None
    cost_usd: float | None = None
    cost_from: str | None = None
    asked_again_after: float | None = None
    get_response_later: str | None = None
    get_task_details_later: str | None = None
    second_send: str | None = None
    second_send_code: str | None = None
