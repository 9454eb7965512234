# One front door: people, CI and documentation call these targets and nothing else.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
CRD := deploy/chart/files/sessionstorages.crd.yaml
API := docs/reference/api.md
RULES := docs/reference/rules.md
METRICS := docs/reference/metrics.md
CONDITIONS := docs/reference/conditions.md
SOURCES := webhook reconciler certs shared deploy tests
PROFILE := ordinary

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: requirements/dev.lock deploy/venv.sh
	@deploy/venv.sh

.PHONY: venv
venv: .venv/.ready ## Make the Python environment (.venv) from the lock file

.PHONY: demo
demo: venv ## Tell the whole story on a real cluster, step by step
	@$(PYTHON) -m deploy.demo

.PHONY: test
test: venv ## Run every level of tests; sets up what it needs (cluster included)
	@$(PYTHON) -m deploy.levels

.PHONY: check
check: venv ## Check format, lint, types, imports and unit tests; under a minute
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports --no-logo > .import-linter.log 2>&1 || { cat .import-linter.log; exit 1; }
	@$(PYTEST) -q tests/unit

.PHONY: unit
unit: venv ## Run unit, property and golden tests: they need nothing but Python
	@$(PYTEST) -q tests/unit
	@$(PYTEST) -q tests/property
	@$(PYTEST) -q tests/golden

.PHONY: integration
integration: venv ## Run tests against a real API server and real Valkey processes
	@$(PYTHON) -m deploy.levels integration

.PHONY: e2e
e2e: venv cluster ## Run tests on the cluster: real nodes, real ToolHive
	@$(PYTEST) -q tests/e2e

.PHONY: e2e-awkward
e2e-awkward: PROFILE := awkward
e2e-awkward: venv cluster ## Run tests on a cluster that is unlike ours
	@$(PYTEST) -q tests/e2e/awkward

.PHONY: drills
drills: venv cluster ## Try what takes long: many rotations, kills at every point, rest on the awkward cluster; leaves no cluster, writes docs/drills.md
	@$(PYTHON) -m tests.drills

.PHONY: bench
bench: venv ## Measure the webhook against two in Go and on a real API server, and the reconciler's probing; writes docs/benchmarks.md
	@$(PYTHON) -m tests.bench

.PHONY: chaos
chaos: venv cluster ## Inflict faults on storages of the local cluster, see what clients notice; writes docs/resilience*.md
	@$(PYTHON) -m tests.chaos; settled=$$?; $(PYTHON) -m tests.chaos --rotating && exit $$settled

.PHONY: cluster
cluster: venv ## Start the local cluster with ToolHive (or use KUBECONFIG, if it is set); PROFILE=awkward: one unlike ours
	@$(PYTHON) -m deploy.local up --profile $(PROFILE)

.PHONY: cluster-down
cluster-down: venv ## Stop the local cluster; nothing of it stays behind but the cache
	@$(PYTHON) -m deploy.local down

.PHONY: cluster-status
cluster-status: venv ## Say what of the local cluster runs
	@$(PYTHON) -m deploy.local status

.PHONY: format
format: venv ## Format the code and sort its imports
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

.PHONY: generate
generate: venv ## Write the generated files: the CRD, the reference of the API, the table of rules, the references of metrics and of conditions, the dashboards, the diagram of packages, copies of the version
	@mkdir -p $(dir $(CRD)) $(dir $(RULES))
	@$(PYTHON) -m shared.session_storage.crd > $(CRD)
	@$(PYTHON) -m shared.session_storage.reference > $(API)
	@$(PYTHON) -m tests.rules.document > $(RULES)
	@$(PYTHON) -m tests.reference.metrics > $(METRICS)
	@$(PYTHON) -m tests.reference.conditions > $(CONDITIONS).new && mv $(CONDITIONS).new $(CONDITIONS)
	@$(PYTHON) -m deploy.dashboards
	@$(PYTHON) -m tests.layout.diagram
	@version=$$(sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml); \
		sed -i -E "s/^(version|appVersion): .*/\1: $$version/" deploy/chart/Chart.yaml; \
		sed -i -E "s/(toolhive-session-storage):[0-9]+\.[0-9]+\.[0-9]+/\1:$$version/" README.md docs/howto/install.md

.PHONY: golden
golden: venv ## Rewrite the golden files; read the diff before you commit it
	@$(PYTEST) -q tests/golden --rewrite-golden

.PHONY: lock
lock: venv ## Pin all dependencies with hashes
	@cd requirements && ../.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--universal --python-version 3.11 ../pyproject.toml -o runtime.lock
	@cd requirements && ../.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--universal --python-version 3.11 --group ../pyproject.toml:dev ../pyproject.toml -c runtime.lock -o dev.lock
	@cd deploy/local/mcp-demo && ../../../.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate \
		--no-header --universal --python-version 3.13 requirements.in -o requirements.lock
