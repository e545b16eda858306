# The verbs of this repository; `make` alone lists them. Every tool's settings are in pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORTS := build/reports
KUBERNETES := PYTHONPATH=tests/support $(BIN)/python -m quorate_kubernetes
STORIES ?= tests/kubernetes

# Time boxes of the three searching test groups; a run covers as many seeds as fit.
QUORATE_WALK_SECONDS ?= 90
QUORATE_SIMULATION_SECONDS ?= 120
QUORATE_HEALING_SECONDS ?= 20
NIGHTLY_WALK_SECONDS ?= 3600
NIGHTLY_SIMULATION_SECONDS ?= 14400
NIGHTLY_HEALING_SECONDS ?= 1800

export QUORATE_WALK_SECONDS QUORATE_SIMULATION_SECONDS QUORATE_HEALING_SECONDS

.DEFAULT_GOAL := help
.PHONY: help demo test check bench nightly mutants e2e e2e-check e2e-tools e2e-images e2e-figures clean tools

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## a cluster on this machine: kill its leader and watch nothing get lost
	@$(BIN)/python -m quorate.dev.demo

# Simulations fill the cores, and process-fault tests need some for a cluster, its load and its
# deadlines: so two runs, and the second one serial.
test: $(VENV)/ready ## all tests except the nightly ones, in under ten minutes
	@mkdir -p $(REPORTS)
	$(BIN)/pytest -n 2 -m "not nightly and not integration and not kubernetes" --junit-xml=$(REPORTS)/parallel.xml
	$(BIN)/pytest -m "integration and not nightly" --junit-xml=$(REPORTS)/integration.xml

check: $(VENV)/ready ## format, lint, types, import contracts, tidiness
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest tests/architecture

bench: $(VENV)/ready ## throughput and latency here, about 35 minutes; OPTIONS=--quick: five
	@$(BIN)/python -m quorate.bench $(OPTIONS)

nightly: export HYPOTHESIS_PROFILE := nightly
nightly: QUORATE_WALK_SECONDS := $(NIGHTLY_WALK_SECONDS)
nightly: QUORATE_SIMULATION_SECONDS := $(NIGHTLY_SIMULATION_SECONDS)
nightly: QUORATE_HEALING_SECONDS := $(NIGHTLY_HEALING_SECONDS)
nightly: $(VENV)/ready ## all tests, with budgets of hours
	@mkdir -p $(REPORTS)
	$(BIN)/pytest -n 2 -m "not integration and not kubernetes" --timeout=0 --junit-xml=$(REPORTS)/nightly-parallel.xml
	$(BIN)/pytest -m integration --timeout=0 --junit-xml=$(REPORTS)/nightly-integration.xml

mutants: $(VENV)/ready ## break the code on purpose, line by line: do the tests notice?
	@$(BIN)/python tests/mutants/run.py

# In the order of their folders: the stories take the test process into the network of their
# cluster, and API servers that run by themselves are not reached from there.
e2e: export PYTEST_ADDOPTS :=
e2e: e2e-images ## stories on a real Kubernetes cluster here, as root; STORIES=path: some
	@mkdir -p $(REPORTS)/kubernetes
	$(BIN)/pytest -p no:randomly -m kubernetes --junit-xml=$(REPORTS)/kubernetes/stories.xml $(STORIES)

e2e-figures: e2e-images ## how long clients wait when that cluster loses a leader, a node, a link
	@QUORATE_KUBERNETES_VOLUMES=disk $(KUBERNETES) figures $(OPTIONS)

# What these two make is kept outside of the tree and made anew only when its sources change.
e2e-tools: e2e-check ## the cluster's binaries: 6 minutes the first time
	@$(KUBERNETES) tools

e2e-images: e2e-tools ## the images of the stories, the product's own from the Dockerfile
	@$(KUBERNETES) images

e2e-check: $(VENV)/ready
	@$(KUBERNETES) check

clean: ## remove build output and caches; the virtual environment stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find node tests $(wildcard operator) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: pyproject.toml | tools
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# Names whatever is missing in one line, with the command that installs it.
tools:
	@missing=; \
	command -v git >/dev/null || missing="$$missing git"; \
	if ! command -v $(PYTHON) >/dev/null; then missing="$$missing $(notdir $(PYTHON)) $(notdir $(PYTHON))-venv"; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "$(PYTHON) is older than 3.11, which Quorate needs; Debian has it since release 12 (python3, python3-venv); name another: make PYTHON=/usr/bin/python3" >&2; exit 1; \
	elif ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then missing="$$missing $(notdir $(PYTHON))-venv"; fi; \
	test -z "$$missing" || { echo "missing:$$missing; as root: apt-get install -y$$missing" >&2; exit 1; }
