"""The folder for the pictures. Invariant: a file that the demo did not write is never overwritten or removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from airflow_provider_clarity.demo.failure import COULD_NOT_START, DemoError

MARKER = ".clarity-demo"
"""Lists the files that the demo wrote, a name a line, so that another run may replace them."""


class OutFolder:
    """A folder, and what in it is ours.

    :param path: the folder; it may be missing
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ours: set[str] = set()

    def prepare(self, wanted: Mapping[str, Path | None]) -> None:
        """Make the folder, and refuse before anything runs what would have to overwrite somebody else's file.

        :param wanted: the names that will be written; where it is a copy of a file, that file
        :raises DemoError: a name is taken, or nothing can be written there
        """
        try:
            self._recall()
            for name, original in wanted.items():
                self._refuse_foreign(name, original)
            self.path.mkdir(parents=True, exist_ok=True)
            self._remember()
        except (OSError, UnicodeError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            raise DemoError(
                f"The pictures cannot be written to {self.path}: {reason}. Nothing was started. Name another folder "
                "with --out.",
                COULD_NOT_START,
            ) from None

    def write(self, name: str, content: bytes) -> Path:
        """Write one file, whole or not at all; one that is there with this very content stays whose it is.

        :param name: of the file
        :param content: of the file
        """
        path = self.path / name
        if path.is_file() and path.read_bytes() == content:
            return path
        self._ours.add(name)
        self._remember()
        unfinished = path.with_name(f".{name}.unfinished")
        unfinished.write_bytes(content)
        return unfinished.replace(path)

    def remove_others(self, keep: Collection[str]) -> None:
        """Remove what an earlier run wrote and this one did not, so that no old picture stands for a new one.

        :param keep: the names of this run
        """
        for name in self._ours - set(keep):
            (self.path / name).unlink(missing_ok=True)
        self._ours &= set(keep)
        self._remember()

    def _refuse_foreign(self, name: str, original: Path | None) -> None:
        path = self.path / name
        if name in self._ours or not (path.exists() or path.is_symlink()) or _same(path, original):
            return
        raise DemoError(
            f"{path} exists and the demo did not write it. Nothing was started and nothing was changed. Move it away, "
            "or name another folder with --out.",
            COULD_NOT_START,
        )

    def _recall(self) -> None:
        marker = self.path / MARKER
        listed = marker.read_text(encoding="utf-8").splitlines() if marker.exists() else []
        self._ours = {name for name in listed if name and Path(name).name == name}

    def _remember(self) -> None:
        (self.path / MARKER).write_text("".join(f"{name}\n" for name in sorted(self._ours)), encoding="utf-8")


def _same(path: Path, original: Path | None) -> bool:
    return original is not None and path.is_file() and path.read_bytes() == original.read_bytes()
