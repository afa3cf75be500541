"""From what a user writes to the rows of a backfill: streamed, stored in parts, nothing paid."""
