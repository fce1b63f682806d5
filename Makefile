# Everything runs in .venv, made from the lock file; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: install
install: $(INSTALLED) ## Make .venv with everything in it

.PHONY: demo
demo: $(INSTALLED) ## Serve a demonstration organisation from an embedded Postgres
	@$(BIN)/okr serve --demo

.PHONY: test
test: $(INSTALLED) ## Run all tests
	$(BIN)/python -m pytest -q -n auto --dist worksteal --ignore tests/faults

.PHONY: faults
faults: $(INSTALLED) ## Run the fault tests, with nothing else beside them
	$(BIN)/python -m pytest -q tests/faults

.PHONY: check
check: $(INSTALLED) ## Lint, format, types, import rules, OpenAPI drift
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m app.publish --check
	$(BIN)/openapi-spec-validator openapi/openapi.json
	$(BIN)/hadolint Dockerfile
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-openapi; \
	else echo "npm is not there: the document is not linted, the TypeScript client not checked"; fi

CLIENT := openapi/typescript
NPM := npm --prefix $(CLIENT) --silent

$(CLIENT)/node_modules/.package-lock.json: $(CLIENT)/package-lock.json
	$(NPM) ci
	@touch $@

.PHONY: lint-openapi
lint-openapi: $(CLIENT)/node_modules/.package-lock.json ## Lint the document, type-check its TypeScript client
	$(NPM) run lint
	$(NPM) run drift
	$(NPM) run check

.PHONY: audit
audit: $(INSTALLED) ## Ask a vulnerability service about what is locked (needs a network)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements-dev.lock

.PHONY: fix
fix: $(INSTALLED) ## Mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: openapi
openapi: $(INSTALLED) ## Write openapi/ anew, and the client's types
	$(BIN)/python -m app.publish
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory client-types; \
	else echo "npm is not there: openapi/typescript/src/schema.d.ts stays as it was"; fi

.PHONY: client-types
client-types: $(CLIENT)/node_modules/.package-lock.json
	$(NPM) run generate

.PHONY: bench
bench: $(INSTALLED) ## Measure it beside its peers; writes docs/benchmarks
	$(BIN)/python -m benchmarks

.PHONY: bench-growth
bench-growth: $(INSTALLED) ## Measure growth to ten million events; writes docs/benchmarks/growth
	$(BIN)/python -m benchmarks --only growth --events 7 --output docs/benchmarks/growth

SEED ?=
ONLY ?=
TORTURE_REPORT ?= docs/torture.md

.PHONY: torture
torture: $(INSTALLED) ## Kill, delay and alter for about two hours; writes docs/torture.md
	$(BIN)/python -m tests.faults.torture --report $(TORTURE_REPORT) \
	    $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

.PHONY: lock
lock: $(INSTALLED) ## Resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(COMPILE) pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile $(COMPILE) --group dev pyproject.toml --output-file requirements-dev.lock

.PHONY: clean
clean: ## Remove .venv and caches (not the data in .okr)
	rm -rf $(VENV) $(CLIENT)/node_modules $(CLIENT)/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
