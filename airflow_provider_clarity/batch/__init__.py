"""Decisions, which are pure, and the engine that carries them out. Knows nothing of Airflow."""
