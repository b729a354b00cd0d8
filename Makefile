# Weir on this machine. Everything lands in this folder (.venv, .tools, .weir); every target may be run again.
# Plain enough for GNU make 3.81, which macOS has.

UV_VERSION := 0.13.9
PYTHONS    := python3 python3.13 python3.12 python3.11
BIN        := .venv/bin
PYTEST     := $(BIN)/python -m pytest
# Detectors that report each checksum and each made-up password of a test; the others know the forms of real secrets.
GUESSES    := KeywordDetector HexHighEntropyString Base64HighEntropyString BasicAuthDetector
PACKAGES   := importance datasets stream trainer storage monitoring experiments weir

# Else each of the many interpreters that the tests start would compile every library again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run unit test test-chart test-dashboards pictures check audit bench soak
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r target text; do \
	  printf '  make %-10s  %s\n' "$$target" "$$text"; done

setup: .venv/.synced ## Python packages, Kafka, Java and Postgres, into .venv and .tools
	@$(BIN)/python -m weir.local.install
	@$(BIN)/python -m tests.support.prometheus

run: setup ## the whole stack with a replayed shop: weir up (options by ARGS="--limit 10000")
	@$(BIN)/weir up $(ARGS)

unit: setup ## the tests without servers, and the examples in docstrings
	@$(PYTEST) -m "not soak" -n 2 --dist loadfile $(ARGS) tests/unit tests/test_packages.py $(PACKAGES)

test: setup ## every test but the soak, two files at a time (options by ARGS="-k buffer -n 0")
	@$(PYTEST) -m "not soak" -n 2 --dist loadfile $(ARGS)

test-chart: setup ## install, upgrade and roll back the Helm chart on a real API server, which it builds (needs Go)
	@$(BIN)/python helm/rehearsal.py

test-dashboards: ## check the Grafana dashboards against the types that Grafana publishes (needs Node)
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer," \
	  "e.g. with 'apt-get install nodejs npm' or 'brew install node'" >&2; exit 1; }
	@cd tests/grafana && npm ci --silent --ignore-scripts --no-audit --no-fund && npm test --silent

pictures: setup ## draw the Grafana dashboards from a scripted run, into docs/pictures/dashboards; eight minutes
	@PICTURES=docs/pictures/dashboards $(PYTEST) -m soak --timeout=0 $(ARGS) tests/end_to_end/test_monitoring.py

check: setup ## lint, format, types, layers, secrets
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy helm/*.py
	@$(BIN)/lint-imports
	@git ls-files -z -- ':!uv.lock' | xargs -0 -n 150 -P 4 $(BIN)/detect-secrets-hook $(GUESSES:%=--disable-plugin %)

audit: setup ## known vulnerabilities of the packages in uv.lock, by osv.dev, which must be reachable
	@uv=$$(command -v uv || echo .tools/uv/bin/uv); $$uv audit --frozen --preview-features audit

bench: setup ## every benchmark, each prints one table
	@for file in benchmarks/[a-z]*.py; do \
	  [ -e "$$file" ] || { echo "no benchmark in benchmarks/"; break; }; \
	  echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

soak: setup ## the same recipes with large counts; hours
	@$(PYTEST) -m soak --timeout=0 $(ARGS)

# uv is the one on PATH when it can read the lock file, else a pinned one in .tools/uv.
.venv/.synced: pyproject.toml uv.lock
	@for name in $(PYTHONS); do \
	  if "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then python="$$name"; break; fi; done; \
	[ -n "$$python" ] || { echo "Python 3.11, 3.12 or 3.13 is missing: install one," \
	  "e.g. with 'apt-get install python3 python3-venv' or 'brew install python@3.13'" >&2; exit 1; }; \
	uv=uv; \
	if ! uv export --frozen -q >/dev/null 2>&1; then \
	  uv=.tools/uv/bin/uv; \
	  [ -x $$uv ] || { echo "fetching uv $(UV_VERSION) from PyPI"; \
	    "$$python" -m venv .tools/uv >/dev/null 2>&1 && .tools/uv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); } || { \
	    rm -rf .tools/uv; echo "uv is missing and could not be installed: check the network, or install it," \
	      "e.g. with 'apt-get install python3-venv' and again 'make setup', or 'pip install uv'" >&2; exit 1; }; \
	fi; \
	echo "installing the Python packages of uv.lock"; \
	UV_PROJECT_ENVIRONMENT=.venv $$uv sync --frozen --python "$$python" --no-python-downloads -q || { \
	  echo "the Python packages could not be installed: check the network and the free disk (6 GB), then run 'make setup' again" >&2; \
	  exit 1; }; \
	touch $@
