# Each goal makes what it needs: on a fresh machine `make test` and `make demo` do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA := ../shared/data/lcls1-calib
# Those in Python whose names do not say so.
SCRIPTS := $(filter-out %.py,$(shell grep -ls '^.!/usr/bin/env python3' scripts/*))
# Tests at a time; many of them wait for a server, so one more than small machines have cores.
WORKERS ?= 3

.PHONY: help install check test demo bench lint-docker clean
help:
	@echo "make demo         add real constants to a store in a folder, get them back, use them"
	@echo "make test         all tests; starts and stops the servers that they need"
	@echo "make check        formatter, linter, types, who may import whom"
	@echo "make bench        figures, as ratios to a named alternative"
	@echo "make lint-docker  what can be said of docker/ without an engine"

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

check: install
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

demo: install
	$(BIN)/python scripts/demo.py $(DATA)

bench: install
	scripts/mongo-for-tests -- $(BIN)/python benchmarks/run.py

lint-docker: install
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck docker/*.sh
	$(BIN)/yamllint --strict -d '{extends: default, rules: {line-length: {max: 100}, document-start: disable}}' docker/compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

clean:
	rm -rf $(VENV) build dist *.egg-info
