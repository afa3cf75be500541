"""Which hosts are this machine, which are public, which are on a list."""

from __future__ import annotations

import pytest

from airflow_provider_clarity.runware.hosts import host_allowed, is_loopback, is_name, is_public


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.9", "::1", "[::1]", "localhost", "Localhost.", "::ffff:127.0.0.1"]
)
def test_this_machine_is_known(host: str) -> None:
    """The emulator is spoken to without TLS."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "128.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "notlocalhost", "0.0.0.0", "::", "127.1"],  # noqa: S104
)
def test_another_machine_is_not_taken_for_this_one(host: str) -> None:
    """It would be told the key over plain http."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("224.0.0.1", False),
        ("168.63.129.16", False),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("2002:808:808::1", False),
        ("::8.8.8.8", False),
        ("example.com", False),
    ],
)
def test_private_addresses_are_known(address: str, *, public: bool) -> None:
    """A fetch must not reach the metadata server."""
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("im.runware.ai", True),
        ("IM.RUNWARE.AI.", True),
        ("a.cdn.example", True),
        ("cdn.example", False),
        ("evilcdn.example", False),
        ("runware.ai", False),
        ("", False),
    ],
)
def test_a_host_is_listed_exactly_or_by_its_suffix(host: str, *, allowed: bool) -> None:
    """A suffix without its dot would let anybody register a match."""
    assert host_allowed(host, ["im.runware.ai", ".cdn.example", "", "."]) is allowed


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("im.runware.ai", True),
        ("IM.RUNWARE.AI.", True),
        ("xn--bcher-kva.example", True),
        ("a_b.example", True),
        ("localhost", True),
        ("127.1", False),
        ("0x7f.1", False),
        ("a..b", False),
        ("-a.example", False),
        ("a b.example", False),
        ("a%2f.example", False),
        ("a\\.example", False),
        ("", False),
        (".", False),
        ("a" * 64 + ".example", False),
    ],
)
def test_a_name_is_what_every_resolver_reads_alike(host: str, *, name: bool) -> None:
    """What one reads as a name and the next as an address leads past the list."""
    assert is_name(host) is name
