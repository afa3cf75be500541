"""``python -m airflow_provider_clarity.ledger``."""

from __future__ import annotations

import sys

from airflow_provider_clarity.ledger.command import main

if __name__ == "__main__":
    sys.exit(main())
