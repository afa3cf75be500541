"""Hooks: an Airflow connection becomes a Runware client (``clarity``) or Google credentials (``google``)."""
