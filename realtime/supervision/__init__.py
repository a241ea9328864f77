"""Several processes on one listening socket: a parent that serves nobody, and the workers that it keeps alive.

::

    parent   sockets (opened once), supervisor (who runs), overview (health and metrics of all), reload
      |  channel: two pipes for each worker, `messages`; a third for its log
    worker   the daemon as it is without a parent, but that it inherits its sockets and its settings

`parent` is the service that twistd runs; `supervisor` holds the rules, without processes; `process` is one
worker as the parent sees it, `worker` the parent as a worker sees it.

All workers accept on the same socket, which the parent holds open. So a connection that waits is taken by
whoever is free, and none is lost or refused when a worker dies, hangs or is replaced. With a socket for each
worker (SO_REUSEPORT) the kernel would spread by hash, but what has been given to one that died waits until
its successor has started, and UNIX sockets and those of systemd can't be had that way.
"""
