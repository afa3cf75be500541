"""Take what is secret out of a text that a person will read.

Invariant: every URL in a log line, an error message or a stored record of this package has passed through
:func:`redact`. What is taken out: the query and the user of any URL, bearer tokens, data URIs, long base64 runs and
PEM blocks. A presigned URL or a session URI keeps its secret in the query, so nothing of the query is kept.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',]+")
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@\"']*@")
_QUERY = re.compile(r"(?i)\b((?:https?|wss?)://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")  # in gs:// both are part of a name
_BARE_QUERY = re.compile(
    r"(?i)\b(X-Goog-[A-Za-z-]+|X-Amz-[A-Za-z-]+|upload_id|Signature|access_token|api_?key|token)=[^\s&\"'<>]+"
)
_DATA_URI = re.compile(r"(?i)\bdata:([a-z0-9.+/-]*)[;,][^\s\"'<>]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")


def redact(text: object) -> str:
    """Return the text without what is secret in it: queries and users of URLs, tokens, inline data, private keys.

    :param text: anything; it is turned into a string first
    :return: the same text, each secret replaced by ``***``
    """
    shown = _PEM.sub(_HIDDEN, str(text))
    shown = _DATA_URI.sub(rf"data:\1,{_HIDDEN}", shown)
    shown = _BEARER.sub(rf"\1 {_HIDDEN}", shown)
    shown = _USER.sub(rf"\1{_HIDDEN}@", shown)
    shown = _QUERY.sub(rf"\1?{_HIDDEN}", shown)
    shown = _BARE_QUERY.sub(rf"\1={_HIDDEN}", shown)
    return _BASE64.sub(_HIDDEN, shown)
