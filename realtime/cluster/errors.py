"""What goes wrong between processes."""


class ClusterUnavailable(Exception):
    """What the processes share is away, did not answer in time, or too much waits for it.

    Nothing is promised to be done; what was under way when it went away may have been done all the
    same. The same request may succeed later.
    """
