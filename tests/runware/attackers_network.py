"""A network in which an attacker answers for every name, and every address is one real server that notes who came.

Nothing of ours is patched: what is replaced lies below, in the ``socket`` module. So a request that the code makes in
any way, to any address, arrives here, and a test can tell that none did.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest


class Network:
    """Answers names as it is told, and leads every connection to one port of this machine.

    :param port: where every connection ends
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[Sequence[str]] = []
        """What is said of a name: the first answer to the first question, the last one to all that follow."""
        self.asked: list[str] = []
        """The names that were looked up."""
        self.tried: list[tuple[str, int]] = []
        """The addresses that a connection was tried to."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the machine's own."""
        resolve, connect = socket.getaddrinfo, socket.socket.connect
        monkeypatch.setattr(socket, "getaddrinfo", self._resolver(resolve))
        monkeypatch.setattr(socket.socket, "connect", self._connector(connect))

    def _resolver(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if _is_number(name):
                return real(host, port, *args, **kwargs)
            name.encode("idna")  # as the real one does
            self.asked.append(name)
            answer = self.answers[0]
            if len(self.answers) > 1:
                self.answers.pop(0)
            if not answer:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return [_entry(address, int(port or 0)) for address in answer]

        return getaddrinfo

    def _connector(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(sock: socket.socket, address: Any) -> Any:
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                return real(sock, address)
            self.tried.append((address[0], address[1]))
            return real(sock, ("127.0.0.1" if sock.family == socket.AF_INET else "::ffff:127.0.0.1", self.port))

        return connect


def _is_number(name: str) -> bool:
    """Tell whether the machine's resolver reads it as an address, in whatever notation."""
    try:
        socket.inet_aton(name)
    except (OSError, UnicodeError):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
    return True


def _entry(address: str, port: int) -> Any:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
