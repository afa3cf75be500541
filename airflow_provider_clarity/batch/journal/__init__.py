"""The ledger of a backfill: what was begun, for all of its images, in segments that others cannot write over."""
