"""One Twisted daemon for five realtime chat protocols."""

__version__ = "0.1.0"
