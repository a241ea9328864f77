"""Makes accounts in a server's database before it starts: ``python -m bench.accounts NUMBER``.

Run in the server's folder and with its environment. Prints a JSON list with a token for each account.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from realtime import config, wiring
from realtime.accounts.authentication import token_of
from realtime.accounts.store import AccountStore
from realtime.storage.migrate import migrate


async def make(reactor: Any, number: int) -> None:
    """Make so many customers, and print their tokens."""
    settings = config.load(environment=os.environ)
    migrate(settings.database.url, log=lambda line: None)
    signer = wiring.token_signer(settings, reactor.seconds)
    database = wiring.open_database(settings, reactor)
    await database.start()
    accounts = AccountStore(database)
    tokens = []
    for index in range(number):
        user = await accounts.add(f"customer-{index}", "")  # no hash: no password fits
        value = await accounts.token_for(user.id)
        assert value is not None
        tokens.append(token_of(user, value, signer))
    await database.stop()
    print(json.dumps(tokens))


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(make(reactor, int(sys.argv[1]))))
