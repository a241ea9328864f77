"""WebSocket connections: everything about them that no protocol of ours differs in.

A connection knows frames, limits and time; it knows nothing of what a message means. Autobahn
parses and checks the frames (RFC 6455); this room adds what a server that must not be hurt needs:
admission, a rate, a bound on what waits for a slow reader, keepalive and time limits on the clock
handed in, one way to close, and one way to send.

``front_door``  reads the first request of a connection and hands it to a protocol or the web site
``handshake``   what a client asked for, and whom to believe in it
``factory``     what the connections of one protocol share
``stock``       Autobahn's protocol, made to fit
``connection``  one client's connection, the base class of every protocol's own
``outgoing``    frames on their way out: one write a turn, bounded
``frames``      frames as bytes
``compression`` what is agreed to of a client that offers to compress
``admission``   who is connected, how many from one address and for one user
``keepalive``   one timer that asks all silent connections whether they are alive
"""
