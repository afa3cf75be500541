"""Local stand-ins for Runware and Cloud Storage, with faults, switches and accounts.

Started by ``python -m airflow_provider_clarity.emulator``; its own page is ``README.md`` in this folder. Invariants: it
imports nothing else of ``airflow_provider_clarity`` and no Airflow (it is a second reading of the specification, and
stays honest only while it shares no code with the client); it listens on loopback only; it takes no key but the one it
made itself, and prints nothing of what it was sent.
"""
