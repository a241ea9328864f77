"""The administrators' side of reports over HTTP.

::

    GET  /v1/reports?limit=50&before=<id>&all=1     those that are not resolved yet, or all; newest first
         {"reports": [Report, …], "next": <id>}
    POST /v1/reports/<id>/resolve                   Report, resolved now if it was not before

Report: ``{"id", "reporter": {"id", "username"}, "kind": "conversation"|"message"|"text", "object": id|null,
"reason", "created", "resolved", "resolved_by"}``; times in Unix milliseconds, as on the wire. Whoever is no
administrator is answered 403. ``next`` is what to ask for as ``before``, null at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from twisted.internet.interfaces import IReactorTime

from realtime.accounts.authentication import Authenticator
from realtime.market.store import MarketStore
from realtime.web.api import ApiResource, Call, Handler, forbidden, not_found
from realtime.web.sharing import Sharing

_MOST = 100
_LARGEST_ID = 2**32 - 1


class ReportsResource(ApiResource):
    """Answers administrators alone."""

    def __init__(
        self, authenticator: Authenticator, sharing: Sharing, store: MarketStore, clock: IReactorTime
    ) -> None:
        super().__init__(authenticator, sharing)
        self._store = store
        self._clock = clock

    async def read(self, call: Call) -> object:
        """GET."""
        _expect_administrator(call)
        if call.path:
            raise not_found()
        count = call.number("limit", default=50, least=1, most=_MOST)
        before = call.number("before", default=_LARGEST_ID, least=1, most=_LARGEST_ID)
        everything = call.number("all", default=0, least=0, most=1)
        found = await self._store.reports(before, count, unresolved_only=not everything)
        return {"reports": found, "next": found[-1].id if len(found) == count else None}

    async def resolve(self, call: Call) -> object:
        """POST."""
        _expect_administrator(call)
        match call.path:
            case (number, "resolve") if number.isascii() and number.isdigit() and len(number) < 11:
                report_id = int(number)
            case _:
                raise not_found()
        at = int(self._clock.seconds() * 1000)
        report = await self._store.resolve(min(report_id, _LARGEST_ID), call.user.id, at)
        if report is None:
            raise not_found()
        return report

    handlers: ClassVar[Mapping[str, Handler]] = {"GET": read, "POST": resolve}


def _expect_administrator(call: Call) -> None:
    if not call.user.is_admin:
        raise forbidden("Administrators alone may do this.")
