"""DAGs that the demo copies into its Airflow's folder. Nothing imports them."""
