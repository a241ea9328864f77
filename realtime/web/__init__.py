"""The web site on the listening ports: what is asked for without a WebSocket.

``site``     the tree of resources, and the log of requests (which names no query)
``sign_in``  ``POST /v1/auth/``
``sharing``  CORS: which pages may read an answer
``upgrade``  a path that is for WebSockets, reached by plain HTTP
``pages``    the pages for browsers and their parts (``static/``), and ``client.js`` and ``widget.js``
``home``     the plain page at ``/``
"""
