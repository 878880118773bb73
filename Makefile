# Two commands matter: `make demo` and `make test`. Both set up what they need.
# uv comes from PyPI into .tools/; Node too where the machine has none (see scripts in dashboard/).
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --quiet --frozen --all-packages
DEMO_SECONDS ?=

.DEFAULT_GOAL := demo
STATIC := collector/asgiscope_collector/static/index.html

.PHONY: help demo test test-long oracle unit e2e bench bench-peers fuzz soak suites compat deploy-check fmt lint type ui build dist setup clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.* ## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-13s %s\n", $$1, $$2 }'

demo: setup $(STATIC) ## a shop with twelve problems, real traffic, and the page that finds them (DEMO_SECONDS=60 stops by itself)
	@$(RUN) python deploy/demo/run.py $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

# Two workers side by side: see tests/conftest.py.
test: setup $(STATIC) lint type ## every check that CI makes: lint, types, all tests but the long ones
	$(RUN) pytest -n 2 --dist loadscope --no-loadscope-reorder

oracle: setup ## every answer against random traffic whose truth is known, 200 examples
	ASGISCOPE_TEST_ORACLE=200 $(RUN) pytest -n 0 -m "long or not long" tests/collector/test_oracle.py

test-long: setup $(STATIC) ## the tests that take minutes
	$(RUN) pytest -m long

unit: setup ## the tests of both packages alone, properties with new examples each time
	$(RUN) pytest --hypothesis-profile explore tests/instrumentation tests/collector

e2e: setup $(STATIC) ## the tests of whole sites under real servers
	$(RUN) pytest tests/e2e

bench: setup ## every benchmark, as ratios in one run
	$(RUN) python -m tests.benchmarks

# PEERS takes names and options, as in `make bench-peers PEERS="--rounds 5 sentry aiocop"`: ten minutes for all.
bench-peers: setup ## what asgiscope and its peers each add to a request, in one run
	$(RUN) python -m tests.peers $(PEERS)

# Inputs that nobody sends on purpose, guided by coverage: fifteen minutes.
fuzz: setup ## hostile bodies, parameters and rules files, for FUZZ_SECONDS (900)
	$(RUN) python -m tests.fuzz

# Sites, a collector and an open page under load, with restarts of each: half an hour.
soak: setup $(STATIC) ## memory, descriptors, threads, disk and answer times over SOAK_SECONDS (1800)
	$(RUN) python -m tests.soak

# Django's, asgiref's, Channels' and REST framework's own tests, without asgiscope and with it: ten minutes.
suites: setup ## the tests of Django, asgiref, Channels and REST framework, with asgiscope and without
	$(RUN) python -m tests.suites $(SUITES)

# COMPAT names a suite and subjects, as in `make compat COMPAT="libraries ninja"`: see docs/compatibility.md.
compat: setup ## libraries, servers and versions that sites use, each for real
	$(RUN) python -m tests.compat $(COMPAT)

# Linters come from PyPI, programs from Debian (nginx-light caddy prometheus systemd debootstrap): what is not
# installed is "not run". DEPLOY names checks, as in `make deploy-check DEPLOY="nginx prometheus"`.
deploy-check: setup $(STATIC) ## every file of deploy/ by its validator, and nginx, Caddy and the image's steps for real
	$(RUN) python -m tests.deploy $(DEPLOY)

fmt: setup ## format the code and apply safe fixes
	$(RUN) ruff format . && $(RUN) ruff check --fix .

lint: setup ## check format and rules
	$(RUN) ruff format --check . && $(RUN) ruff check .

type: setup ## check types
	$(RUN) mypy

ui: setup ## build the page into the collector's package
	$(RUN) python dashboard/build.py

build: ui ## wheels and sdists into dist/
	$(UV) build --all-packages

dist: build ## the same, under the name that releases use

setup: .tools/synced ## install uv and the Python packages into .tools/ and .venv/

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

clean: ## remove what was installed and built
	rm -rf .venv .tools .demo dist dashboard/node_modules collector/asgiscope_collector/static
