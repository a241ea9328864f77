"""What can go wrong in storage, as the rest of the daemon sees it.

A driver's own exception never leaves this room: its text may quote a row, and each driver has other
classes. None of the texts here holds a password, a parameter or a row.
"""


class StorageError(Exception):
    """A request was not carried out: the database refused a statement, and will refuse it again."""


class StorageUnavailable(StorageError):
    """The database is away, did not answer in time, or too many requests wait.

    Nothing is promised to be stored; where the connection broke while a commit was under way it may
    have been stored all the same. The same request may succeed later.
    """


class Conflict(StorageError):
    """A unique or foreign key constraint refused this one request."""


class ConnectionLost(StorageUnavailable):
    """The connection is of no more use. Inside this room: try once more on a new one."""


class TransactionAborted(StorageUnavailable):
    """The database rolled the transaction back through no fault of its own, as in a deadlock.

    Inside this room: run it again.
    """
