"""market: two talk about a service, its price and its end, in packets that begin with an opcode.

``opcodes``    the one table of opcodes: number, name, direction, body, meaning
``messages``   what crosses the wire: the bodies as types
``reading``    how clients write theirs: aliases, whole objects for ids, bounds
``showing``    what is done to the server's before they are written: HTML, what fits
``codec``      the three forms of a packet: binary JSON, MessagePack, text
``services``   what may be done about a service, by whom and when
``heartbeat``  PING to every connection, and the end of those that send no PONG
``session``    what one connection may do; ``catching_up``: what it has missed after a gap between processes
``exchange``   what connections share: who is told what, and frames built once for each form
``store``      its SQL: what is said; with ``history_store``, ``service_store`` and ``report_store``
``resource``   reports, for administrators
``protocol``   its Autobahn protocol and factory
"""
