"""support: customers talk to operators, in JSON-RPC 1.0 over WebSocket text frames.

``messages``     what crosses the wire, and its codec
``session``      one connection: in which state it is, and who answers its requests
``participants``, ``customer``, ``operator``
                 the two sides: what each may ask for, and what it is shown
``desk``         where a message goes: customers' connections, operators
``assignments``  which operators are there, and who has which conversation
``store``        its SQL
``protocol``     its Autobahn protocol and factory
"""
