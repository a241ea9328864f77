"""What the processes of one server tell each other: messages, who is there, who holds what.

Three interfaces, each with its guarantees in its docstring and its implementation for a single
process beside it; the one for several is in the module of that name with ``redis_`` before it:

``bus``       publish and subscribe by topic; fast, and allowed to lose
``presence``  who is connected, anywhere
``leases``    who holds something, for as long as its process lives

``cluster`` is the three together, with what a process is told when another has died. ``redis_cluster`` builds
them for several processes, out of

``redis_address``, ``redis_connection``, ``redis_protocol``  one connection, kept up
``redis_channels``                 what a process hears: the bus, and the changes of presence (``redis_roster``)
``redis_process``, ``redis_operations``  a process's life, and what it asks of Redis, once each
``redis_scripts``, ``redis_ticket_scripts``  what is in Redis: all names, all scripts

``peers`` is how a process asks another one directly: ``peer_guest`` calls, ``peer_host`` answers, and
``peer_protocol`` is what they say.

``redis_tickets`` is for several processes alone: what waits until two are made a pair; in one process
that needs no more than its memory.

What must not be lost is in the database first; the cluster only makes it fast. ``catching_up`` is how listeners
look there after a gap, ``heard`` how messages that the bus has lost are told late, ``following`` how one knows
who is in a group, and is not shown people go who are about to come back.
"""
