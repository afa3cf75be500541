"""Say how many mutants were killed, by module, and fail where it is less than nine in ten.

A mutant that runs into the time limit was noticed, and counts as killed (the limit is 15 times what the tests take).
One that no test reaches was not.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

NOTICED = {1, 3, -24, 24, 36, 152, 255}  # a failing test, or the time limit
ENOUGH = 0.9


def main() -> int:
    """Read what mutmut left in a folder."""
    total: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for path in sorted(Path(sys.argv[1]).rglob("*.meta")):
        for code in json.loads(path.read_text())["exit_code_by_key"].values():
            if code is not None:
                total[path.name.partition(".")[0]] += 1
                killed[path.name.partition(".")[0]] += code in NOTICED
    for module, number in total.items():
        print(f"{module:20} {killed[module]:5} of {number:5} killed: {killed[module] / number:6.1%}")
    share = killed.total() / max(1, total.total())
    print(f"{'all':20} {killed.total():5} of {total.total():5} killed: {share:6.1%}")
    return 0 if share >= ENOUGH else 1


if __name__ == "__main__":
    raise SystemExit(main())
