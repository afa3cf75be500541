"""A real Airflow and the emulator, as subprocesses of one command."""
