"""Two sources, one final name. Pure.

Invariant: none is missed. While sources are listed in order, and the final name is ``head + key + tail``, only a key
that is a beginning of the name listed now can come again: :class:`OpenNames` keeps these, of which a name has few. In
any other order all names are read first: :class:`NameHashes` keeps 8 bytes of each.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from airflow_provider_clarity.exceptions import ClarityPlanError

_SHOWN: Final = 5
_DOT: Final = "."
_BUCKETS: Final = 256


@dataclass(frozen=True, slots=True)
class Collision:
    """Two sources that would have one final name.

    :param final: the final name
    :param first: a source, as it may be shown
    :param second: another
    """

    final: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.first} and {self.second} would both be {self.final}"


def collisions_error(found: Iterable[Collision], *, more: int = 0) -> ClarityPlanError:
    """Give the error that names the first few.

    :param found: all that are known
    :param more: how many there are beside them
    """
    known = list(found)
    left = len(known) - _SHOWN + more if len(known) > _SHOWN else more
    named = "; ".join(str(one) for one in known[:_SHOWN]) + (f"; and {left} more" if left else "")
    return ClarityPlanError(
        f"Two sources would have one final name: {named}. Neither of them was paid. Rename or remove one, or put what "
        "tells them apart into name_pattern, such as {generation}."
    )


@dataclass(slots=True)
class OpenNames:
    """The final names that a source still to be listed could have, too."""

    _open: list[tuple[str, str, str]] = field(default_factory=list)  # key, final name, source

    def take(self, name: str, key: str, final: str, source: str) -> Collision | None:
        """Take the next source.

        :param name: its name, relative to the base, after all that were taken before
        :param key: the name without its extension
        :param final: its final name
        :param source: how a message calls it
        """
        self.close(name)
        collision = self.meets(final, source) if self._open else None
        if collision is None:
            self._open.append((key, final, source))
        return collision

    def meets(self, final: str, source: str) -> Collision | None:
        """Compare a final name with those that are open, and keep nothing of it."""
        for _, taken, first in self._open:
            if taken == final:
                return Collision(final, first, source)
        return None

    def close(self, name: str) -> None:
        """Forget the keys that cannot come again once this name is listed."""
        if len(self._open) == 1 and not name.startswith(self._open[0][0]):
            self._open.clear()  # nearly always: names mostly differ before they end
        else:
            self._open = [one for one in self._open if may_come_again(one[0], name)]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that may come again."""
        return tuple(key for key, _, _ in self._open)

    def copy(self) -> OpenNames:
        """Give one that goes on by itself."""
        return OpenNames(list(self._open))


def may_come_again(key: str, name: str) -> bool:
    """Whether ``key + extension`` can still be listed from this name on.

    :param key: a name without its extension; an extension begins with a dot
    :param name: the name that is listed now
    """
    return name.startswith(key) and (len(name) == len(key) or name[len(key)] <= _DOT)


class NameHashes:
    """All final names of a plan, by 8 bytes of their digest each."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(_BUCKETS)]

    def add(self, final: str) -> None:
        """Note a final name."""
        number = _hash(final)
        self._buckets[number % _BUCKETS].append(number)

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def suspects(self) -> frozenset[int]:
        """Give what was noted more than once; nearly always, but not quite, the same name twice."""
        twice: set[int] = set()
        for bucket in self._buckets:
            ordered = sorted(bucket)
            twice.update(one for one, following in pairwise(ordered) if one == following)
        return frozenset(twice)


class Suspects:
    """The second look: the names behind hashes that were noted more than once.

    :param hashes: from `NameHashes.suspects`
    """

    def __init__(self, hashes: frozenset[int]) -> None:
        self._hashes = hashes
        self._names: dict[str, str] = {}

    def take(self, final: str, source: str) -> Collision | None:
        """Compare a final name with those of the sources before."""
        if _hash(final) not in self._hashes:
            return None
        if final in self._names:
            return Collision(final, self._names[final], source)
        self._names[final] = source
        return None


def _hash(final: str) -> int:
    return int.from_bytes(hashlib.blake2b(final.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
