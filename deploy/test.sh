#!/usr/bin/env bash
# Runs every level of tests, each with its own closing summary; goes on after a failed level, and fails at the end.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

failed=()
level() {
    local name=$1
    shift
    echo "=== $name"
    "$@" || failed+=("$name")
}

level "format" ruff format --check --quiet .
level "lint" ruff check --quiet .
level "types" mypy --no-error-summary
level "imports" lint-imports --no-logo
level "unit" pytest -q tests/unit
level "property" pytest -q tests/property
level "golden" pytest -q tests/golden
level "integration" pytest -q tests/integration
level "demo" python -m deploy.demo
# What the story left there is nothing to test on.
python -m deploy.local down
level "cluster" python -m deploy.local up
level "e2e" pytest -q tests/e2e

if ((${#failed[@]})); then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
echo "every level passed"
