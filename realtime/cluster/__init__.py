"""What the processes of one server tell each other: messages, who is there, who holds what.

Three interfaces, each with its guarantees in its docstring and its implementation for a single
process beside it:

``bus``       publish and subscribe by topic; fast, and allowed to lose
``presence``  who is connected, anywhere
``leases``    who holds something, for as long as its process lives

What must not be lost is in the database first; the cluster only makes it fast.
"""
