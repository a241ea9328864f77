"""The migrations, each named by its number: `<number>_<what>.py`."""
