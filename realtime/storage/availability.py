"""Tells the log, once each time, that the database went away and that it is back."""

from twisted.logger import Logger


class Availability:
    """Whether one way to the database (its reads, or its writes) works, as last seen.

    A database that is away makes each request fail; the log gets one warning when that begins and one
    line when it ends. Used in the reactor's thread alone.

    Arguments:
        what: `reads` or `writes`.
        where: the database's address, without a password.

    Attributes:
        away: whether the last request failed for the database's absence.
    """

    _log = Logger()

    def __init__(self, what: str, where: str) -> None:
        self._what = what
        self._where = where
        self.away = False

    def failed(self, reason: str) -> None:
        """A request could not be carried out."""
        if not self.away:
            self.away = True
            self._log.warn(
                "storage: {what} fail, {where}: {reason}",
                what=self._what,
                where=self._where,
                reason=reason,
            )

    def worked(self) -> None:
        """A request was carried out."""
        if self.away:
            self.away = False
            self._log.info("storage: {what} work again, {where}", what=self._what, where=self._where)
