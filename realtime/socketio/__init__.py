"""Engine.IO 4 and 3, and Socket.IO for today's clients and those of 2.x: a server for Twisted.

``engine_packets``  Engine.IO packets, polling payloads, and groups on their way out
``packets``         Socket.IO packets: header, events, acknowledgements
``attachments``     the binary parts of a packet, taken out of it and put back
``deadlines``       time limits of one length for many, on one timer
``engine_session``  a client's session, on whichever transport it is. No I/O
``engine``          all sessions of a server, and how one begins
``polling``         the HTTP resource
``websocket``       the WebSocket connection, by itself or as an upgrade
"""
