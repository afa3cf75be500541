"""The self-check of a real set-up: ``python -m airflow_provider_clarity.check``. See docs/check.md.

Invariants: without ``--buy-one`` nothing is bought, with it at most one picture is, by one submit (a second one leaves
only with ``--probe-duplicate``). What it wrote it deletes, whatever happened. Nothing secret is printed.
"""
