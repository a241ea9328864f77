"""The clients' own tests use the end-to-end tests' daemons."""

from tests.endtoend.conftest import start_daemon as start_daemon
