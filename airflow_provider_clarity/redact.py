"""Take what is secret out of a text that a person will read.

Invariant: every URL in a log line, an error message or a stored record of this package has passed through
:func:`redact`. What is taken out: the query, the fragment and the user of any URL, tokens and keys by their name, data
URIs, long base64 runs and PEM blocks. A presigned URL or a session URI keeps its secret in the query, so nothing of the
query is kept. A ``gs://`` URI is kept whole: there ``?`` and ``#`` are part of an object's name.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_NAMES = (
    r"X-Goog-[A-Za-z-]+|X-Amz-[A-Za-z-]+|upload_id|sig|signature|access_token|refresh_token|id_token|token"
    r"|api_?key|client_secret|secret|password"
)
_GS = re.compile(r"(gs://(?:(?!https?://)[^\s\"'<>])+)")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_DATA_URI = re.compile(r"(?i)\bdata:([a-z0-9.+/-]*)[;,][^\s\"'<>]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")
_HEADER = re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:basic|bearer|digest)\s+)?[^\s\"',]+")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',]+")
_QUOTED = re.compile(rf"(?i)([\"'](?:{_NAMES})[\"']\s*:\s*)([\"'])(?:(?!\2).)*\2")
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@\"']*@")
_QUERY = re.compile(r"(?i)\b((?:https?|wss?)://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_BARE_QUERY = re.compile(rf"(?i)\b({_NAMES})(=|%3D)(?:(?!%26)[^\s&\"'<>])+")


def redact(text: object) -> str:
    """Return the text without what is secret in it: queries and users of URLs, tokens, inline data, private keys.

    Doing it twice changes nothing more.

    :param text: anything; it is turned into a string first
    :return: the same text, each secret replaced by ``***``
    """
    parts = _GS.split(_PEM.sub(_HIDDEN, str(text)))  # every second part is a gs:// URI
    return "".join(part if position % 2 else _without_secrets(part) for position, part in enumerate(parts))


def _without_secrets(text: str) -> str:
    shown = _DATA_URI.sub(rf"data:\1,{_HIDDEN}", text)
    shown = _BASE64.sub(_HIDDEN, shown)
    shown = _HEADER.sub(rf"\1{_HIDDEN}", shown)
    shown = _BEARER.sub(rf"\1 {_HIDDEN}", shown)
    shown = _QUOTED.sub(rf"\1\2{_HIDDEN}\2", shown)
    shown = _USER.sub(rf"\1{_HIDDEN}@", shown)
    shown = _QUERY.sub(rf"\1?{_HIDDEN}", shown)
    return _BARE_QUERY.sub(rf"\1\2{_HIDDEN}", shown)
