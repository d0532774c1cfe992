# Sourced by the scripts: puts a virtual environment with minik and the wanted extras first in PATH.
# An active one (VIRTUAL_ENV) is used as it is; else .venv is made, and filled again when the pins have changed.

have_apt_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# with_progress WHAT COMMAND…: runs it quietly, with a dot for every second; shows its output only if it fails.
with_progress() {
    local what=$1 output status=0
    shift
    output=$(mktemp)
    printf '* %s …' "$what" >&2
    "$@" >"$output" 2>&1 &
    local child=$!
    while kill -0 "$child" 2>/dev/null; do
        sleep 1
        printf . >&2
    done
    wait "$child" || status=$?
    if [ "$status" = 0 ]; then
        echo " done" >&2
    else
        echo " failed" >&2
        cat "$output" >&2
    fi
    rm -f "$output"
    return "$status"
}

apt_install() {
    apt-get update -qq >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive with_progress "installing with apt: $*" \
        apt-get install -y -qq --no-install-recommends "$@"
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# use_venv EXTRAS: EXTRAS is "" or a comma-separated list of minik's extras.
use_venv() {
    local extras=$1 python stamp wanted known
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        PATH="$VIRTUAL_ENV/bin:$PATH"
        return
    fi
    python=$(find_python) || {
        have_apt_root || { echo "Python 3.11 or newer is needed: install python3 and python3-venv" >&2; exit 1; }
        apt_install python3 python3-venv
        python=$(find_python) || { echo "this system's python3 is older than 3.11" >&2; exit 1; }
    }
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        have_apt_root || { echo "python3-venv is needed: sudo apt-get install python3-venv" >&2; exit 1; }
        apt_install python3-venv
    fi
    wanted=$(cat pyproject.toml scripts/requirements.lock | cksum)
    stamp=".venv/.minik-${extras//,/-}"
    if [ ! -x .venv/bin/python ]; then
        with_progress "making a virtual environment in .venv" "$python" -m venv .venv
    fi
    known=$(cat "$stamp" 2>/dev/null || true)
    # An environment with extras does for who wants none.
    [ -n "$extras" ] || known=$(cat .venv/.minik-* 2>/dev/null || true)
    if ! grep -qxF "$wanted" <<<"$known"; then
        with_progress "installing minik${extras:+ with its extras $extras} into .venv" \
            .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --constraint scripts/requirements.lock --editable ".${extras:+[$extras]}"
        echo "$wanted" >"$stamp"
    fi
    PATH="$PWD/.venv/bin:$PATH"
}
