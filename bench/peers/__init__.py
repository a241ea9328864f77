"""The servers that ours is measured beside, each a few lines of what its users write.

All do the same. ``?mode=echo`` sends back what comes. ``?mode=relay&pair=N`` passes what comes on to the other
connection of that pair. ``?mode=fanout`` passes it on to all connections that came with ``&role=receiver``.
Each listens on a free port of 127.0.0.1 and prints ``listening on <port>``.
"""
