"""Engine.IO 4 and 3, and Socket.IO for today's clients and those of 2.x: a server for Twisted.

``engine_packets``  Engine.IO packets, polling payloads, and groups on their way out
``packets``         Socket.IO packets: header, events, acknowledgements
``attachments``     the binary parts of a packet, taken out of it and put back
``deadlines``       time limits of one length for many, on one timer
``engine_context``  what all sessions of a server share: limits, clocks, and whom they tell
``engine_session``  a client's session, on whichever transport it is. No I/O
``engine_polling``  a session's transport while it polls. No I/O
``engine``          all sessions of a server, how one begins, and what is refused
``polling``         the HTTP resource
``websocket``       the WebSocket connection, by itself or as an upgrade
``server``          what sessions carry: packets for namespaces
``client``          what the server keeps of a session
``namespace``       a namespace: its handler, the sockets in it
``rooms``           sockets that are told the same
``socket``          one client in one namespace
``recovery``        what clients get that come back
``returning``       who may come back, and until when
``elsewhere``       sessions of other processes, and ours for those
``tunnel``          a WebSocket that is passed on to another process
``moving``          clients that come back at another process
"""
