"""permessage-deflate (RFC 7692), for servers whose settings turn it on and clients that ask for it.

Both sides keep their window from message to message, which is what makes short messages small, and the
windows are small, because every connection keeps two for as long as it lives: about 20 KiB to deflate, and
8 KiB to inflate if the client lets us choose (browsers do), else 40.
"""

from __future__ import annotations

from collections.abc import Sequence

from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept

_OUR_BITS = 11
_MEMORY_LEVEL = 4
_THEIR_BITS = 9
"""The smallest there is: the client may have named any number as its highest, and Autobahn forgets which."""


def accept(offers: Sequence[object]) -> PerMessageDeflateOfferAccept | None:
    """Return what is agreed to of a client's offers: the first that is permessage-deflate."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(
                offer,
                request_max_window_bits=_THEIR_BITS if offer.accept_max_window_bits else 0,
                window_bits=min(_OUR_BITS, offer.request_max_window_bits or _OUR_BITS),
                mem_level=_MEMORY_LEVEL,
            )
    return None
