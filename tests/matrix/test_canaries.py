"""The search for secrets finds them: in each spelling, wherever in a text."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from matrix_canaries import search, texts_in

KEY = "emulator-k/y+of=some&length"
SPELLINGS = {
    "plain": KEY,
    "url-encoded": quote(KEY, safe=""),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 after one byte": base64.b64encode(b"k" + KEY.encode() + b"!").decode(),
    "base64 after two bytes": base64.b64encode(b"k:" + KEY.encode() + b"!").decode(),
    "base64 for URLs": base64.urlsafe_b64encode(KEY.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_found_in_each_spelling(tmp_path: Path, spelling: str) -> None:
    """Breaks if the canaries of the matrices sing for nothing."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.txt").write_text(f"INFO before {SPELLINGS[spelling]} after")
    assert search(texts_in(tmp_path), [KEY]).found != ()


@pytest.mark.parametrize("url", ["https://s/b/o?X-Goog-Signature=00", "https://s/upload?upload_id=AB"])
def test_any_presigned_url_and_session_is_found(tmp_path: Path, url: str) -> None:
    """Breaks if only the URLs of this run are looked for."""
    (tmp_path / "traceback.txt").write_text(url)
    assert search(texts_in(tmp_path), []).found != ()
    (tmp_path / "traceback.txt").write_text(base64.b64encode(url.encode()).decode())
    assert search(texts_in(tmp_path), []).found != ()


def test_a_clean_text_is_clean(tmp_path: Path) -> None:
    """Breaks if anything is taken for a secret."""
    (tmp_path / "log.txt").write_text("INFO Upscaling gs://raw/cat.png to gs://print/cat.jpg")
    searched = search(texts_in(tmp_path), [KEY])
    assert (searched.found, searched.files) == ((), 1)
