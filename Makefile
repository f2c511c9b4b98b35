# `make demo` and `make test` work in a fresh clone: what they need, they install into .venv first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
ACCELERATOR ?= $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo gpu || echo cpu)
BIN := .venv/bin
READY := .venv/.ready-$(ACCELERATOR)
QUIETLY := 2> >(grep -v '^WARNING: Location' >&2 || true)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses=4 --dist=loadgroup

.PHONY: help setup demo test test-all test-cluster check audit traps licences advisories lock format bench chaos serve client clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | column -t -s '	'

setup: $(READY) ## make .venv with everything in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "liveshelf needs Python 3.11 or newer; set PYTHON=<path>")'
	@$(PYTHON) -m venv .venv
	@echo "installing liveshelf[$(ACCELERATOR)] into .venv; the first time takes a few minutes"
	@$(if $(LOCKED),$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements.lock $(QUIETLY))
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off $(if $(LOCKED),--no-deps --no-build-isolation) \
		-c constraints.txt -e '.[$(ACCELERATOR),demo,dev,postgres,tracing]' $(QUIETLY) \
		| sed -unE 's/^ *Downloading ([^ ]*\/)?([^ /]+) (\([0-9.]{2,} [MG]B\)).*/  \2 \3/p; s/^(Installing) .*/  unpacking/p'
	@touch $@

demo: $(READY) ## train on a year of groceries, serve, and watch a click change a list
	@$(BIN)/python -m serve.demo

test: $(READY) ## the tests that take ten minutes on two cores
	@$(PYTEST) -m 'not slow and not cluster'

test-all: $(READY) ## every test that needs one machine
	@$(PYTEST) -m 'not cluster'

test-cluster: $(READY) ## `ray up cluster.yaml` on three machines made of namespaces; as root, with openssh-server, rsync and iproute2
	@$(BIN)/pytest -m cluster -s tests/cluster

check: $(READY) ## style, types and architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

audit: traps licences advisories ## traps in our code, licences of what users install, known vulnerabilities of what is pinned

traps: $(READY) # code that bandit warns of, but for slight matters
	@$(BIN)/bandit -q -ll -c pyproject.toml -r cluster serve train tune bench

licences: $(READY)
	@$(BIN)/python -m tests.audit.licences

advisories: $(READY) # fails where they cannot be looked up, too
	@$(BIN)/python -m tests.audit.advisories

lock: $(READY) ## requirements.lock: the files that `make setup LOCKED=1` takes, by their hashes, and no others
	@$(BIN)/python -m tests.audit.lock

format: $(READY) ## put the code in its usual form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## measure every figure of the README that needs no data of yours; takes hours
	@$(BIN)/python bench/run.py

chaos: $(READY) ## kill, freeze, starve and replace every part of a server under load; as root for the full disk
	@$(BIN)/python -m bench.chaos

serve: $(READY) ## serve the current bundle
	@$(BIN)/python serve/run.py start

client: $(READY) ## a Python client of the HTTP API in var/client, from its OpenAPI document
	@$(BIN)/python -m serve.api.client

clean: ## remove the environment and all caches, not the data in var/
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
