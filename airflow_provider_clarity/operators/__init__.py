"""What a DAG is made of. The wiring of connections, client, store and engine happens here and nowhere else."""
