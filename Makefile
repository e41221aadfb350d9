# Needs git, make and Python 3.11 or newer. Everything else goes into .venv, by hashes.

VENV := .venv
PY := $(VENV)/bin/python
# The first Python that is new enough; `make run PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# pytest rewrites each module of tests: without the bytecode each of its processes would do so anew.
unexport PYTHONDONTWRITEBYTECODE

PYTEST := $(PY) -m pytest -n logical --maxprocesses 4 --dist loadgroup
# While a test waits for a process that it has started, the others of the same run go on.
HEADLESS := 'not browser and not gateway'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run dev test test-sqlite test-postgresql test-browser test-gateways fuzz check bench screenshots lock clean

help: ## List what can be done
	@echo 'merchantadmin: API keys of merchant accounts. Say `make` and one of:'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1@\2/p' $(MAKEFILE_LIST) | while IFS=@ read -r name what; do \
		printf '  %-16s %s\n' "$$name" "$$what"; done
	@echo
	@echo 'PORT, DATA_DIR, DEMO=0 and many more settings: docs/settings.md.'

run: $(VENV)/run.stamp ## Serve the console on http://127.0.0.1:8000, with demo data at the first start
	@exec env DEBUG=0 $(PY) manage.py serve

dev: $(VENV)/dev.stamp ## The same for development: DEBUG on, restarts when the code changes
	@exec env DEBUG=1 $(PY) manage.py serve --reload

test: test-sqlite test-postgresql test-browser test-gateways ## All tests: on SQLite, on PostgreSQL, in a browser, behind proxies

test-sqlite: $(VENV)/dev.stamp ## The tests without a browser, on SQLite
	TEST_DATABASE=sqlite $(PYTEST) -m $(HEADLESS)

test-postgresql: $(VENV)/dev.stamp ## The same on PostgreSQL: of TEST_DATABASE_URL, or else started for the occasion
	$(PY) -m tests.postgres $(PYTEST) -m $(HEADLESS)

test-browser: $(VENV)/dev.stamp ## The console in real Chromium, which is installed where there is none
	$(PY) -m tests.browser.chromium
	$(PYTEST) -m browser

test-gateways: $(VENV)/dev.stamp $(VENV)/gateways.stamp ## The verifier behind nginx, Caddy, HAProxy, Traefik and Envoy, installed where missing
	$(PY) -m tests.gateways.programs
	$(PYTEST) tests/gateways -m gateway

fuzz: $(VENV)/dev.stamp ## Make up 100,000 cases for the verifier on each database; CASES=1000000 makes up more
	FUZZ_CASES=$(CASES) TEST_DATABASE=sqlite $(PYTEST) -p tests.fuzzing -m fuzz
	FUZZ_CASES=$(CASES) $(PY) -m tests.postgres $(PYTEST) -p tests.fuzzing -m fuzz

CASES := 100000

# The settings are looked at as they are on a production host. These secrets keep nothing secret.
check: export DEBUG := 0
check: export PUBLIC_URL := https://console.example.com
check: export TRUSTED_PROXY_COUNT := 1
check: export EMAIL_HOST := mail.example.com
check: export DATABASE_URL := sqlite://:memory:
check: export SECRET_KEY := signs-nothing-and-is-here-for-the-deployment-check-only
check: export KEYS_ENCRYPTION_KEYS := AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
check: $(VENV)/dev.stamp ## Lint, format, types, imports, templates, migrations, production settings, vulnerabilities
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m djlint --quiet --lint templates
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py check --deploy --fail-level WARNING
	$(PY) -m scripts.audit

bench: $(VENV)/bench.stamp ## Measure the pages and the verifier at full size
	$(PY) -m bench

screenshots: $(VENV)/dev.stamp ## Take the pictures of docs/screenshots/ anew
	$(PY) -m tests.browser.chromium
	$(PY) -m scripts.screenshots

lock: $(VENV)/dev.stamp ## Bring lock/ up to date with pyproject.toml; UPGRADE=1 takes the newest versions
	$(PY) -m uv pip compile $(LOCK_OPTIONS) pyproject.toml -o lock/run.txt
	$(PY) -m uv pip compile $(LOCK_OPTIONS) pyproject.toml --group dev -o lock/dev.txt
	$(PY) -m uv pip compile $(LOCK_OPTIONS) pyproject.toml --group bench -o lock/bench.txt
	$(PY) -m uv pip compile $(LOCK_OPTIONS) pyproject.toml --group gateways -o lock/gateways.txt

# No index, no host, no comments: versions and hashes for every platform and every Python that is supported.
LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	$(if $(UPGRADE),--upgrade)

clean: ## Remove .venv and what tools left behind; the data in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/%.stamp: lock/%.txt scripts/install.py $(VENV)/bin/python
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed, and none was found.' >&2; exit 1; }
	@$(PYTHON) scripts/install.py lock/$*.txt
	@touch $@

# Named so that an environment whose Python has gone is made anew.
$(VENV)/bin/python: ;
