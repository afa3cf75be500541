"""The checksum of Cloud Storage."""

from __future__ import annotations

import google_crc32c
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_clarity.emulator.storage_crc32c import crc32c, crc32c_base64


@given(st.binary(max_size=2000), st.integers(min_value=1, max_value=40))
def test_is_the_sum_that_google_calculates(piece: bytes, times: int) -> None:
    """Clients compare this sum with their own after each upload: one that differs fails every upload of that size."""
    data = piece * times
    assert crc32c(data) == google_crc32c.value(data)


def test_every_length_around_the_switch_to_folding() -> None:
    """The folded and the byte-wise way meet at some length; both sides of it must agree with Google's library."""
    for length in range(700):
        data = bytes((at * 37 + length) % 256 for at in range(length))
        assert crc32c(data) == google_crc32c.value(data), length


def test_is_written_big_end_first() -> None:
    """The check value of CRC-32C in the catalogue is E3069283; Google writes its four bytes in that order."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c_base64(b"123456789") == "4waSgw=="
