# Two commands matter: `make demo` and `make test`. Both set up what they need.
# uv comes from PyPI into .tools/; Node too where the machine has none (see scripts in dashboard/).
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --quiet --frozen --all-packages
DEMO_SECONDS ?=
STATIC := collector/asgiscope_collector/static/index.html

.PHONY: demo test test-long unit e2e bench suites fmt lint type ui build setup clean

demo: setup $(STATIC)
	@$(RUN) python deploy/demo/run.py $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

# Two workers side by side: see tests/conftest.py.
test: setup $(STATIC) lint type
	$(RUN) pytest -n 2 --dist loadscope --no-loadscope-reorder

test-long: setup $(STATIC)
	$(RUN) pytest -m long

unit: setup
	$(RUN) pytest tests/instrumentation tests/collector

bench: setup
	$(RUN) python -m tests.benchmarks

# Django's, asgiref's, Channels' and REST framework's own tests, without asgiscope and with it: ten minutes.
suites: setup
	$(RUN) python -m tests.suites $(SUITES)

fmt: setup
	$(RUN) ruff format . && $(RUN) ruff check --fix .

lint: setup
	$(RUN) ruff format --check . && $(RUN) ruff check .

type: setup
	$(RUN) mypy

ui: setup
	$(RUN) python dashboard/build.py

build: ui
	$(UV) build --all-packages

setup: .tools/synced

# "Installing" takes half a minute the first time; uv shows its own progress.
.tools/synced: pyproject.toml uv.lock instrumentation/pyproject.toml collector/pyproject.toml
	@mkdir -p .tools
	@command -v uv >/dev/null 2>&1 || test -x .tools/bin/uv || { \
	  echo "Installing uv from PyPI into .tools/ ..."; \
	  $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet uv; }
	@echo "Installing Python packages into .venv/ ..."
	$(UV) sync --frozen --all-packages
	@touch .tools/synced

$(STATIC): $(shell find dashboard -path dashboard/node_modules -prune -o -type f -print)
	@$(MAKE) --no-print-directory ui

clean:
	rm -rf .venv .tools .demo dist dashboard/node_modules collector/asgiscope_collector/static
