"""A ``gs://`` URI. Pure. Invariant: one that exists names what Cloud Storage would take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from airflow_provider_clarity.exceptions import ClarityInputError
from airflow_provider_clarity.redact import redact

SCHEME: Final = "gs://"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9_.-]{1,220}[a-z0-9]")
_LONGEST_LABEL: Final = 63
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_LONGEST_NAME: Final = 1024  # bytes of UTF-8
_LONGEST_SHOWN: Final = 120
_SAFE: Final = "Nothing was sent and nothing was paid."
_FORM: Final = "Write it as gs://bucket/name."


@dataclass(frozen=True, slots=True, order=True)
class GsUri:
    """An object, or a prefix, in Cloud Storage.

    :param bucket: the bucket's name
    :param name: the object's name, up to 1024 bytes of UTF-8; empty, or ending in ``/``, it is a prefix
    :raises ClarityInputError: for a name Cloud Storage would refuse
        (cloud.google.com/storage/docs/buckets#naming and /objects#naming)
    """

    bucket: str
    name: str

    def __post_init__(self) -> None:
        if reason := _why_no_bucket(self.bucket) or _why_no_name(self.name):
            raise ClarityInputError(
                f"{_shown(f'{SCHEME}{self.bucket}/{self.name}')} is no Cloud Storage URI: {reason}. {_SAFE} Correct it."
            )

    @classmethod
    def parse(cls, text: str) -> GsUri:
        """Read ``gs://bucket/name``. Everything after the bucket is the name, also ``?``, ``#``, ``%`` and spaces.

        :param text: the URI; ``gs://bucket`` is the bucket's root
        :raises ClarityInputError: if it is none
        """
        if not text.startswith(SCHEME):
            raise ClarityInputError(f"{_shown(text)} is no Cloud Storage URI. {_SAFE} {_FORM}")
        bucket, _, name = text.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise ClarityInputError(f"{_shown(text)} names no bucket. {_SAFE} {_FORM}")
        return cls(bucket, name)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.name}"

    @property
    def is_prefix(self) -> bool:
        """Whether this is the bucket's root or ends in ``/``."""
        return not self.name or self.name.endswith("/")

    @property
    def stem(self) -> str:
        """The last part of the name without its suffix: ``c.tar`` of ``a/b/c.tar.gz``."""
        return split_name(self.name)[0]

    @property
    def suffix(self) -> str:
        """The last ending with its dot, as written: ``.gz`` of ``a/b/c.tar.gz``; empty where there is none."""
        return split_name(self.name)[1]

    def child(self, name: str) -> GsUri:
        """Give what is called ``name`` under this prefix.

        :param name: appended after a ``/``, which is added where it is missing
        """
        return GsUri(self.bucket, f"{self.name}{'' if self.is_prefix else '/'}{name}")


def split_name(name: str) -> tuple[str, str]:
    """Give stem and suffix of the last part of a name or path; together they are that part."""
    last = name.rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    return (stem, dot + suffix) if stem.strip(".") and suffix else (last, "")


def _shown(text: str) -> str:
    """Show a text without a secret, cut, with its odd characters escaped."""
    shown = redact(text)
    return repr(shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}...")


def _why_no_bucket(bucket: str) -> str | None:
    if not _BUCKET.fullmatch(bucket):
        return "a bucket's name has 3 to 222 of a-z, 0-9, '-', '_', '.', and begins and ends with a letter or digit"
    if any(not label or len(label) > _LONGEST_LABEL for label in bucket.split(".")):
        return f"between its dots a bucket's name has 1 to {_LONGEST_LABEL} characters"
    if _IP_ADDRESS.fullmatch(bucket):
        return "a bucket's name is no IP address"
    return None


def _why_no_name(name: str) -> str | None:
    if name in {".", ".."}:
        return f"an object cannot be called {name!r}"
    if "\r" in name or "\n" in name:
        return "an object's name has no line break"
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "the object's name is not valid Unicode"
    return f"the object's name has {length} bytes, and {_LONGEST_NAME} are allowed" if length > _LONGEST_NAME else None
