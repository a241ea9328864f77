"""``POST /v1/auth/`` as developers of clients read it, with the bodies that `sign_in` reads and writes."""

from __future__ import annotations

from typing import Final

from realtime.documents.model import Asks, Endpoint, Of, Response, Story, token_of
from realtime.web import sign_in

_PATH: Final = "/v1/auth/"

ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path=_PATH,
        summary="A name and a password for a token, which every protocol accepts.",
        description="The answer's `id` is the request's if it had one, else the user's.",
        body=Of(sign_in._Body),
        responses={
            200: Response("The token.", Of(sign_in._Answer)),
            403: Response("A wrong name or password; with `Retry-After`, too many failures.", media_type=""),
            404: Response("The body is not what is expected here.", media_type=""),
            503: Response("The database is away, or too many passwords wait to be checked.", media_type=""),
        },
        is_open=True,
    ),
)

STORIES: Final = (
    Story(
        "Signing in",
        (
            Asks(
                *("alice", f"POST {_PATH}"),
                body={"user_name": "alice", "password": "alice"},
                answer={"error": None, "result": {"token": token_of("alice")}, "id": 1},
                text="Right",
            ),
            Asks(
                *("alice", f"POST {_PATH}"),
                body={"user_name": "alice", "password": "guessed", "id": 7},
                status=403,
                text="A wrong password",
            ),
        ),
    ),
)
