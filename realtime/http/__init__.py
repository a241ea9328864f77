"""What an HTTP request says of its sender: address, origin, token. Pure; for handshakes and pages.

The same rules hold for a WebSocket handshake and for a plain request, so they stand here once, above
neither of the two.
"""
