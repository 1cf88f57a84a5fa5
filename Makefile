# `make` lists the targets. A bare machine needs Python 3.11 or newer with pip; everything else is installed into
# .venv and .servers, from versions locked in requirements/.

VENV := .venv
BIN := $(VENV)/bin
SERVERS := .servers
IMAGE ?= poller
WORKERS ?= 2
ARGS ?=
DEMO_ARGS ?=

# The first Python that is new enough; `make PYTHON=/path/to/python3.13` chooses another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

# worksteal: a file of a hundred simulated runs is shared among the workers, yet neighbours tend to stay on one worker,
# so that a module's servers are seldom started twice.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

INSTALLED := $(VENV)/.installed
SERVERS_INSTALLED := $(SERVERS)/.installed
GENERATORS := $(patsubst tests/support/%.py,support.%,$(wildcard $(addprefix tests/support/, \
	parity.py metrics_doc.py config_schema.py config_doc.py)))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) ## See it at work on this machine, with nothing to set up (DEMO_ARGS="--seconds 40")
	$(BIN)/poller demo $(DEMO_ARGS)

# ------------------------------------------------------------------------------------------------------------ install

.PHONY: install
install: $(INSTALLED) ## Create .venv with the project and its tools, as locked

$(INSTALLED): pyproject.toml requirements/dev.lock | $(BIN)/pip
	$(BIN)/pip install --quiet --require-hashes --only-binary :all: -r requirements/dev.lock
	@# Without an index, pip can only take what the lock brought: a lock that has fallen behind pyproject.toml fails here.
	$(BIN)/pip install --quiet --no-index --no-build-isolation -e '.[dev]' \
		|| { echo "requirements/dev.lock does not satisfy pyproject.toml: run 'make lock'" >&2; exit 1; }
	$(BIN)/pip check
	@touch $@

# Debian's python3 without its venv package has no ensurepip; then pip comes from the system's pip.
$(BIN)/pip:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "poller needs Python 3.11 or newer, and found $$($(or $(PYTHON),python3) -V 2>&1)." \
			"Name one: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Trying again with the pip of $(PYTHON)."; rm -rf $(VENV); \
			$(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip; } \
		|| { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: it has neither ensurepip nor a pip that" \
			"knows --python (on Debian: apt install python3-venv)." >&2; exit 1; }

.PHONY: servers
servers: $(SERVERS_INSTALLED) ## Install the servers that tests run against

$(SERVERS_INSTALLED): tests/support/install_servers.py $(INSTALLED)
	$(BIN)/python $<
	@mkdir -p $(SERVERS) && touch $@

# From sources, in about a minute: the slow tests run it where it is, and skip where it is not.
.PHONY: ric
ric: $(INSTALLED) ## Compile Lambda's own runtime client for Node, which slow tests run
	@$(BIN)/python tests/support/install_servers.py ric

.PHONY: lock
lock: | $(BIN)/pip ## Write requirements/*.lock anew from pyproject.toml (ARGS=--upgrade: with newer versions)
	$(BIN)/pip install --quiet 'uv>=0.9,<1'
	$(LOCK) --all-extras -o requirements/dev.lock pyproject.toml requirements/build.in
	$(LOCK) --extra fast -c requirements/dev.lock -o requirements/runtime.lock pyproject.toml
	$(LOCK) -c requirements/dev.lock -o requirements/build.lock requirements/build.in
	$(BIN)/pip uninstall --quiet --yes uv

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(ARGS)

# -------------------------------------------------------------------------------------------------------------- check

.PHONY: lint
lint: style types imports ## Check style, types and import rules

.PHONY: style
style: rules format dockerfile

.PHONY: rules
rules: $(INSTALLED)
	$(BIN)/ruff check --output-format concise

.PHONY: format
format: $(INSTALLED)
	$(BIN)/ruff format --check

.PHONY: dockerfile
dockerfile: $(INSTALLED)
	@if [ -x $(BIN)/hadolint ]; then echo "$(BIN)/hadolint Dockerfile"; $(BIN)/hadolint Dockerfile; \
		else echo "Dockerfile not checked: hadolint has no wheel for this platform."; fi

.PHONY: types
types: $(INSTALLED)
	$(BIN)/mypy

.PHONY: imports
imports: $(INSTALLED)
	$(BIN)/lint-imports

.PHONY: fmt
fmt: $(INSTALLED) ## Format the code, and fix what ruff can
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

.PHONY: test
test: $(INSTALLED) $(SERVERS_INSTALLED) ## Run all tests but the slow ones (ARGS=... goes to pytest)
	$(PYTEST) -m 'not slow and not thorough' $(ARGS)

# pytest ends with 5 where it finds no test. Then there is nothing to run, and no summary that says so.
.PHONY: test-slow
test-slow: $(INSTALLED) $(SERVERS_INSTALLED) ## Run the slow tests: long simulations, kills, faults
	@status=0; $(BIN)/python -m pytest -m slow --collect-only -qq $(ARGS) >/dev/null 2>&1 || status=$$?; \
	if [ $$status -eq 5 ]; then echo "No test is marked slow."; \
	else echo "$(PYTEST) -m slow $(ARGS)"; $(PYTEST) -m slow $(ARGS); fi

.PHONY: test-thorough
test-thorough: $(INSTALLED) $(SERVERS_INSTALLED) ## Run what takes long, before a release: every planted bug
	$(PYTEST) -m thorough $(ARGS)

.PHONY: bench
bench: $(INSTALLED) ## Measure the cost of a record against others (ARGS='--only sqs')
	@# Without npm's registry the rest is measured all the same; run.py says what is missing.
	-@$(BIN)/python tests/support/install_servers.py peers
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/run.py $(ARGS)

# --------------------------------------------------------------------------------------------------------------- make

.PHONY: docs
docs: $(INSTALLED) ## Write the generated documentation anew
	@for module in $(GENERATORS); do echo "$$module"; PYTHONPATH=tests $(BIN)/python -m $$module || exit 1; done

.PHONY: image
image: ## Build the container image
	docker build --tag $(IMAGE) \
		--build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' poller/__init__.py) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .

.PHONY: clean
clean: ## Remove everything that was installed or made
	rm -rf $(VENV) $(SERVERS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find poller tests -name __pycache__ -type d -prune -exec rm -rf {} +
