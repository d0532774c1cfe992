# What scripts/quickstart, scripts/test and scripts/check share: a virtual environment with minik in it. Sourced by bash.

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step WORDS COMMAND…: run quietly, showing that it goes on; its output only if it fails.
step() {
    local words=$1 log pid started=$SECONDS ended=0
    shift
    log=$(mktemp)
    printf '%s' "$words"
    "$@" </dev/null >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - started)) -ge 1 ] && [ "$SECONDS" != "${last:-}" ]; then printf .; last=$SECONDS; fi
    done
    wait "$pid" || ended=$?
    if [ "$ended" != 0 ]; then
        printf ' failed\n'
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "\"$*\" ended with status $ended"
    fi
    rm -f "$log"
    printf ' done (%s s)\n' $((SECONDS - started))
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

# apt_install PACKAGE…: with Debian's or Ubuntu's package manager, if there is one and we may.
apt_install() {
    command -v apt-get >/dev/null || fail "please install $* (this is no Debian or Ubuntu, so it is not done for you)"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then fail "please install $* as root: apt-get install $*"; fi
    step "Reading the lists of packages" as_root apt-get update -q
    step "Installing $*" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# find_python: sets PYTHON to a Python of 3.11 or newer that can make virtual environments.
find_python() {
    local candidate
    for round in first second; do
        for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
            PYTHON=$(command -v "$candidate") || continue
            if "$PYTHON" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then return; fi
        done
        if [ "$round" = first ]; then apt_install python3 python3-venv; fi
    done
    fail "minik needs Python 3.11 or newer, and there is none"
}

# make_venv EXTRAS: installs minik with these extras ("" or "test,check") into the active virtual environment, or into .venv.
# Sets PYTHON. Does nothing if that was done and neither pyproject.toml nor the lock has changed since.
make_venv() {
    local extras=$1 want stamp
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        PYTHON=$VIRTUAL_ENV/bin/python
    else
        if [ ! -x "$ROOT/.venv/bin/python" ]; then
            find_python
            step "Making a virtual environment in .venv" "$PYTHON" -m venv "$ROOT/.venv"
        fi
        PYTHON=$ROOT/.venv/bin/python
    fi
    stamp=$("$PYTHON" -c 'import sys; print(sys.prefix)')/.minik-installed
    want=$(cat "$ROOT/pyproject.toml" "$ROOT/scripts/requirements.lock" | cksum)
    if [ -f "$stamp" ] && grep -qxF "$want $extras" "$stamp"; then return; fi
    if [ -z "$extras" ] && [ -f "$stamp" ] && grep -qF "$want " "$stamp"; then return; fi
    step "Installing minik and what it needs" "$PYTHON" -m pip install --quiet --disable-pip-version-check \
        --constraint "$ROOT/scripts/requirements.lock" --editable "$ROOT${extras:+[$extras]}"
    printf '%s %s\n' "$want" "$extras" >"$stamp"
}
