"""talk: strangers matched by score, who talk for a while and then answer each other's questions.

``messages``      what crosses the wire, and its codec
``matching``      who fits whom, and when: pure
``pool``          those who wait, the time, and the last partners of each
``cluster_pool``  the same for several processes, with the ``matchmaker`` of one of them
``conversation``  one talk of two, with its phases
``remote``        the same for two who are connected to two processes (``forwarding``, ``items``)
``session``       what one connection may do
``lobby``         what connections share
``store``         its SQL
``resource``      ``GET /v1/talks``
``protocol``      the Autobahn protocol and factory
"""
