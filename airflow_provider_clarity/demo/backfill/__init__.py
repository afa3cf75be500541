"""The demo of a backfill: three days, a worker that is killed, and a bill that is compared with the service's."""
