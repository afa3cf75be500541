"""The ledger of a backfill: what was begun, for all of its images, in segments that nobody can write over unnoticed.

In the order of a run:

1. ``journal = Journal(store, root, runner, clock=, monotonic=, lease=)`` and ``state = journal.open()``: takes the
   ledger over, or begins it. From then on no former runner can write. ``read_summary(store, root)`` says before
   whether the round is over already.
2. ``ledger = JournalLedger(journal, store, clock=)``: the engine's ledger. ``sibling_totals(store, workspace, place,
   besides=root)`` is what other ledgers and rounds of the task instance spent, ``state.totals`` what this one did.
3. What is open in ``state.open`` is taken up first: rebuild the image from ``record``, call ``ledger.take(item,
   position)``, and add it to the engine; the decision does the rest, and ``ledger.may_claim_at`` says how long others
   may still send.
4. For each stored part of the plan that ``state.part`` does not know: ``journal.buffer(Planned(...))``, before any of
   its rows is taken. A row is taken if it is neither in ``state.ended`` nor open.
5. ``ledger.take(item, position)`` before the engine hears of an image. The engine claims, notes and renews by itself;
   when an image is over: ``ledger.settle(image, extra)``, in a thread, since it may write a task record. Of a row that
   never became an image, ``journal.buffer(End(...))`` says how it ended.
6. Each claim writes what is buffered, too. Without claims: ``if journal.due(monotonic()): journal.append()``, in a
   thread. POSTs leave within the lease of their own claim, which the engine sees to; for anything else that a zombie
   must not do: ``if not journal.fresh(): journal.confirm()``.
7. Before a deferral: wait until no POST is under way, then ``journal.release()``; a new runner opens it again.
8. At the end: ``written = write_rows(store, journal, plan_rows, rest=)``, decide, ``write_summary(store, journal,
   written, ...)``, ``journal.release()``. At a deadline, a stop or an error: ``write_interrupted(...)``,
   ``journal.release()``.

``ClarityFencedError`` out of any of these means that another runner goes on with it: submit and promote nothing more.
It is for ever. ``ClarityLostError`` means that the ledger cannot be read, and nothing may be bought.
"""
