"""What people write that cannot work, by what is wrong with it, and which words the message must have for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

GOOGLE = "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"
CLARITY = "AIRFLOW_CONN_CLARITY_DEFAULT"


@dataclass(frozen=True)
class Case:
    """One mistake.

    :param changes: parameters of the operator; ``{bucket}`` in a text is a bucket that is there
    :param names: what the first sentence must name
    :param then: a word of the next step
    :param environment: fields of a connection that are other than they should be, by its variable
    :param faults: what the emulator does
    """

    changes: dict[str, Any]
    names: str
    then: str
    environment: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()


def _parameter(name: str, then: str, *values: Any, **more: Any) -> list[Case]:
    return [Case({name: value} | more, name, then) for value in values]


def _setting(name: str, *values: Any) -> list[Case]:
    return [Case({"settings": {name: value}}, f"settings.{name}", "Correct this") for value in values]


def _ours(name: str, then: str) -> Case:
    return Case({"settings": {name: "https://example.com/?token=word"}}, name, then)


def _connection(names: str, then: str, **fields: Any) -> Case:
    return Case({}, names, then, environment={CLARITY: fields})


def _google(names: str, then: str, **fields: Any) -> Case:
    return Case({}, names, then, environment={GOOGLE: fields})


def _forbidden(operation: str, match: str, names: str) -> Case:
    fault = {"operation": operation, "fault": "status_403", "times": 1, "match": match}
    return Case({}, names, "Grant roles/storage.", faults=(fault,))


BAD: dict[str, list[Case]] = {
    "the source is no source": [
        Case({"source": "s3://bucket/cat.png"}, "s3://bucket/cat.png", "Copy the object to gs://"),
        Case({"source": "az://bucket/cat.png"}, "az://bucket/cat.png", "Copy it to gs://"),
        Case({"source": "ftp://host/cat.png"}, "ftp://host/cat.png", "Use gs://"),
        Case({"source": "gcs://bucket/cat.png"}, "gcs://bucket/cat.png", "Write it as gs://"),
        Case({"source": "GS://bucket/cat.png"}, "GS://bucket/cat.png", "lower case"),
        Case({"source": "http://example.com/cat.png?sig=word"}, "http://example.com/cat.png?***", "use https://"),
        Case({"source": "file:///data/cat.png"}, "file:///data/cat.png", "upload the file"),
        Case({"source": "/data/cat.png"}, "/data/cat.png", "upload the file"),
        Case({"source": "cat.png"}, "cat.png", "upload the file"),
        Case({"source": " gs://{bucket}/raw/cat.png"}, "source: ' gs://", "white space"),
        Case({"source": "iVBORw0KGgoAAAANSUhEUg" * 6}, "source: '", "data:image/png;base64,"),
        Case({"source": "https://"}, "source: 'https://'", "Give a host"),
        Case({"source": "https://example.com/my cat.png"}, "my cat.png", "percent-encode"),
    ],
    "a template came to nothing": [
        *_parameter("source", "renders to", "", " ", None, ["gs://a/b.png"], {"uri": "gs://a/b.png"}, 7),
        *_parameter("destination", "renders to", "", None, ["gs://a/"]),
        *_parameter("workspace", "renders to", "", 7),
        *_parameter("clarity_conn_id", "renders to", "", None),
        *_parameter("gcp_conn_id", "renders to", "", None),
        *_parameter("user_project", "renders to", "", 7),
        *_parameter("settings", "render_template_as_native_obj", "{'strength': 0.3}", "None", [("strength", 0.3)]),
    ],
    "a name that Cloud Storage would not take": [
        Case({"source": "gs://"}, "source: 'gs://' names no bucket", "gs://bucket/name"),
        Case({"source": "gs:///cat.png"}, "source: 'gs:///cat.png' names no bucket", "gs://bucket/name"),
        Case({"source": "gs://Bucket/cat.png"}, "source: 'gs://Bucket/cat.png'", "Correct it"),
        Case({"source": "gs://{bucket}/raw/cat\n.png"}, "no line break", "Correct it"),
        Case({"source": "gs://{bucket}/" + "a" * 1025}, "1024 are allowed", "Correct it"),
        Case({"source": "gs://{bucket}/raw/\ud800.png"}, "not valid Unicode", "Correct it"),
        Case({"destination": "s3://bucket/"}, "destination: 's3://bucket/'", "gs://bucket/name"),
        Case({"destination": "/data/out/"}, "destination: '/data/out/'", "gs://bucket/name"),
        Case({"destination": "gs://"}, "destination: 'gs://'", "gs://bucket/name"),
        Case({"destination": "gs://{bucket}/print/\r\nX: y"}, "destination: ", "Correct it"),
        Case({"destination": "gs://192.168.0.1/print/"}, "no IP address", "Correct it"),
        Case({"workspace": "s3://bucket/"}, "workspace: 's3://bucket/'", "gs://bucket/name"),
        Case({"workspace": "gs://No/"}, "workspace: 'gs://No/'", "Correct it"),
    ],
    "nothing is there": [
        Case({"source": "gs://no-such-bucket-here/cat.png"}, "gs://no-such-bucket-here", "Create the bucket"),
        Case({"source": "gs://{bucket}/raw/missing.png"}, "/raw/missing.png does not exist", "Correct its name"),
        Case({"source": "gs://{bucket}/raw/"}, "is a prefix", "Name one object"),
        Case({"destination": "gs://no-such-bucket-here/"}, "gs://no-such-bucket-here", "Create the bucket"),
        Case({"workspace": "gs://no-such-bucket-here/"}, "gs://no-such-bucket-here", "Create the bucket"),
    ],
    "no picture that Clarity takes": [
        Case({"source": "gs://{bucket}/raw/text.png"}, "neither JPEG, PNG nor WEBP", "whole JPEG"),
        Case({"source": "gs://{bucket}/raw/empty.png"}, "0 bytes", "write it again"),
        Case({"source": "gs://{bucket}/raw/cut.png"}, "cut off within its header", "whole JPEG"),
        Case({"source": "gs://{bucket}/raw/cat.gif"}, "cat.gif", "whole JPEG"),
        Case({"source": "gs://{bucket}/raw/wide.png"}, "4096 x 2 pixels", "scale it down"),
        Case({"source": "gs://{bucket}/raw/large.png", "input_via": "inline"}, "bytes", "signed_url"),
        Case({"source": "data:image/png,abc", "destination": "gs://{bucket}/x.jpg"}, "inline source", "data:image/png"),
        Case({"source": "data:image/png;base64,@", "destination": "gs://{bucket}/x.jpg"}, "base64", "Encode"),
        Case({"source": "data:image/png;base64,", "destination": "gs://{bucket}/x.jpg"}, "0 bytes", "write it again"),
        Case({"source": "data:image/png;base64,aGFsbG8=", "destination": "gs://{bucket}/x.jpg"}, "JPEG", "whole JPEG"),
    ],
    "the destination cannot be that": [
        Case({"destination": "gs://{bucket}/raw/cat.png", "output_format": "PNG"}, "is the source itself", "Choose"),
        Case({"destination": "gs://{bucket}/raw/", "output_format": "PNG"}, "is the source itself", "Choose"),
        Case({"destination": "gs://{bucket}/print/cat.png"}, "ends in .png", "output_format"),
        Case({"destination": "gs://{bucket}/print/cat.gif"}, "ends in .gif", "output_format"),
        Case({"source": "0d1c6a36-6a8e-4d5c-9d5e-0e8a4f1f2a3b"}, "has no name", "/print/picture.jpg"),
        Case({"source": "https://example.com/"}, "has no name", "/print/picture.jpg"),
    ],
    "settings": [
        *_setting("strength", 1.5, -0.1, 0.345, "0.3", True, float("nan")),
        *_setting("steps", 0, 2.5),
        *_setting("seed", -1),
        *_setting("CFGScale", -1, float("inf")),
        *_setting("controlNetWeight", 5),
        *_setting("positivePrompt", 7),
        *_setting("scheduler", 7),
        Case({"settings": {"scheduler": "Eular"}}, "did you mean 'Euler'", "Correct this"),
        Case({"settings": {"strenght": 0.3}}, "no field 'strenght'", "Correct this"),
        Case({"settings": {7: 0.3}}, "no field 7", "Correct this"),
        Case({"settings": {"CFGScale": 3, "cfg_scale": 4}}, "given twice", "Correct this"),
    ],
    "settings that are not the user's": [
        _ours("webhookURL", "Correct this"),
        _ours("taskUUID", "Correct this"),
        _ours("uploadEndpoint", "Correct this"),
        _ours("deliveryMethod", "Correct this"),
        _ours("model", "Correct this"),
        _ours("inputs", "Correct this"),
    ],
    "numbers": [
        *_parameter("upscale_factor", "Correct this", 0, 1, 17, "2", float("nan"), True),
        *_parameter("output_quality", "Correct this", 19, 100, 85.5, "90", True),
        *_parameter("ttl", "Give 60 or more", 30, 59, "3600", 90.5, True),
        *_parameter("max_attempts", "Give 1 or more", 0, -1, "3", 1.5, True, None),
        *_parameter("item_timeout", "Give seconds from 0", -1, "900", None, True, float("nan")),
        *_parameter("defer_after", "Give seconds from 0", float("inf"), -0.1),
        *_parameter("timeout", "Give seconds above 0", 0, -1, "1h", None, timedelta(0), timedelta(seconds=-1)),
    ],
    "one of a few words": [
        *_parameter("output_format", "'JPG', 'PNG', 'WEBP'", "TIFF", "jpg", "", None, ["JPG"]),
        *_parameter("if_exists", "'skip', 'update'", "replace", None),
        *_parameter("upload_via", "'signed_url'", "ftp"),
        *_parameter("input_via", "'inline'", "ftp"),
        *_parameter("verify", "'lenient', 'strict'", "hard", True),
        *_parameter("on_lost", "'fail', 'buy_again'", "cry"),
        Case({"upload_via": "worker", "input_via": "signed_url"}, 'upload_via="worker"', 'input_via="inline"'),
    ],
    "the Clarity connection": [
        Case({"clarity_conn_id": "nobody"}, "'nobody' does not exist", "Create it"),
        Case({"clarity_conn_id": "google_cloud_default"}, "the type 'google_cloud_platform'", "API key"),
        _connection("no API key", "password", password=""),
        _connection("no API key", "password", password=" "),
        _connection("holds blanks", "Copy the key again", password="two words"),
        _connection("http://example.com", "https://api.runware.ai", host="http://example.com/v1"),
        _connection("carries a user", "https://api.runware.ai", host="https://me:word@example.com/v1"),
        _connection("not a JSON object", "Write it like", extra="[1]"),
        _connection("'timeout'", "Correct it", extra='{"timeout": -1}'),
        _connection("'max_connections'", "Correct it", extra='{"max_connections": 0}'),
        _connection("'allowed_image_hosts'", "Correct it", extra='{"allowed_image_hosts": "https://im.runware.ai/"}'),
        _connection("'webhook_url'", "Correct it", extra='{"webhook_url": "http://example.com/?token=word"}'),
        _connection("'expected_cost_usd'", "Correct it", extra='{"expected_cost_usd": "cheap"}'),
    ],
    "the Google connection": [
        Case({"gcp_conn_id": "nobody"}, "'nobody' does not exist", "application default credentials"),
        Case({"gcp_conn_id": "clarity_default"}, "'clarity'", "Name a Google connection"),
        Case({"impersonation_chain": 5}, "impersonation_chain is int", "e-mail addresses"),
        Case({"impersonation_chain": [5]}, "impersonation_chain is list", "e-mail addresses"),
        _google("/no/such/key.json", "Put the JSON key", extra='{"key_path": "/no/such/key.json"}'),
        _google("not the JSON key", "Make a new key", extra='{"keyfile_dict": "{}"}'),
        _google("not a JSON object", "Correct the extra", extra="[]"),
    ],
    "a role is missing": [
        _forbidden("store.get", "raw/cat.png", "storage.objects.get"),
        _forbidden("store.insert", "_clarity/", "storage.objects.create"),
    ],
}
