# Two commands: `make run` and `make test`. Both install into .venv first, and need Python 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Who tries it has no three minutes for a talk, and the two of the playground meet again and again.
TRY := REALTIME_TALK_TALK_DURATION=60 REALTIME_TALK_REMATCH_AFTER=0

# Most tests wait for other processes most of the time. Each of these has databases and a browser of its own.
TEST_PROCESSES ?= 3

.PHONY: run test lint format bench clean

run: .venv/installed
	@echo 'Open http://127.0.0.1:8080/ as soon as it is ready: the playground, with two people in each of the five protocols.'
	@echo 'By hand, in a second terminal, as the customer alice (then the same as operator):'
	@echo '  $(BIN)/python -m websockets "ws://127.0.0.1:8080/support?token=$$($(BIN)/realtime token alice)"'
	@echo '  > {"method": "message.auth", "params": [], "id": 1}'
	@echo '  > {"method": "message.send", "params": ["Hello"], "id": 2}'
	$(TRY) $(BIN)/twistd -n --pidfile= realtime --demo

test: .venv/installed-test
	$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile

lint: .venv/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed-bench
	$(BIN)/python -m bench

clean:
	rm -rf .venv build dist var *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis _trial_temp* \
		tests/clients/node_modules

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "realtime needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

# websockets brings the client that `make run` tells you to try.
.venv/installed: setup.cfg pyproject.toml | .venv/bin/python
	$(PIP) --editable . websockets
	touch $@

.venv/installed-test: setup.cfg pyproject.toml | .venv/bin/python
	$(PIP) --editable '.[test]'
	touch $@

.venv/installed-bench: .venv/installed-test
	$(PIP) --editable '.[test,bench]'
	touch $@
