#!/usr/bin/env bash
# Makes .venv from the lock file. Needs Python 3.11 or newer with venv; installs Debian's if it may.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

if ! python=$(find_python); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "installing Python with venv from Debian's packages"
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3 python3-venv >/dev/null
    fi
    python=$(find_python) || {
        echo "Python 3.11 or newer with its venv module is missing: install it (Debian: apt-get install python3-venv)" >&2
        exit 1
    }
fi

rm -f .venv/.ready
echo "making .venv with $("$python" --version)"
"$python" -m venv --clear .venv
# Python compiles the modules that are used, when they are; all of them at once take a third of the time.
.venv/bin/pip install --no-compile --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
touch .venv/.ready
