"""The database: tables, migrations, statements, and the lanes that requests take to reach it.

`database.Database` is the only thing that the rest of the daemon holds. Its guarantees:

- What a write answers is committed: the Deferred fires after the COMMIT, and on SQLite the commit is on
  the disk (WAL with synchronous=FULL).
- A read that starts after a write was answered sees it; one read sees the database at one moment.
- Writes are applied in the order in which they were asked for, and answered in that order.
- One request that fails harms no other: each has its own answer or its own error.
- Every request is answered in bounded time, and no more than a bounded number wait.
- Nothing blocks the reactor: all SQL runs on threads of `twisted.enterprise.adbapi` pools.

SQLite, PostgreSQL and MariaDB/MySQL behave alike; what differs between them is in `sqlite`,
`postgresql` and `mysql`, and nowhere else.
"""
