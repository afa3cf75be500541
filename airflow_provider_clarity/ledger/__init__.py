"""``python -m airflow_provider_clarity.ledger``: shows what a workspace holds, deletes what nobody needs."""
