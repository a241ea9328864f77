"""Scenarios use the end-to-end tests' daemons, and their client programs."""

from tests.endtoend.conftest import start_daemon as start_daemon
from tests.endtoend.programs import programs as programs
