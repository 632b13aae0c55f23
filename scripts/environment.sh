# Sourced by the scripts beside it: makes the repository's .venv, or finds it complete.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
environment="$root/.venv"
unset PYTHONHOME PYTHONPATH  # packages of another Python would get in the way

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

suits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The versions that constraints.txt was made with come first; $PYTHON overrules the search.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3 python; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
        if [ -n "${PYTHON:-}" ]; then break; fi
    done
    fail "No usable Python was found${PYTHON:+ at \$PYTHON ($PYTHON)}." \
        "Version 3.11 or newer is needed, with its modules venv and ensurepip." \
        "On Debian and Ubuntu: sudo apt install python3 python3-venv. Elsewhere: python.org/downloads." \
        "Then run this again, or name one: PYTHON=/path/to/python3.11 $0"
}

extras() {
    case "$1" in
        app) echo offline,office,openvino,eval ;;
        dev) echo offline,office,openvino,cohere,eval,map,words,dev ;;
    esac
}

# What an environment is made from, as one hash.
contents_hash() {
    "$1" - "$(extras "$2")" "$root/pyproject.toml" "$root/constraints.txt" <<'PYTHON'
import hashlib, pathlib, sys
parts = [sys.argv[1].encode(), sys.version.encode()]
parts += [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PYTHON
}

run_with_clock() {
    local label="$1" log="$2" job status=0
    shift 2
    "$@" >"$log" 2>&1 &
    job=$!
    trap 'kill "$job" 2>/dev/null; exit 130' INT TERM
    while [ -t 1 ] && kill -0 "$job" 2>/dev/null; do
        printf '\r%s, %d s ' "$label" "$SECONDS"
        sleep 1
    done
    wait "$job" || status=$?
    trap - INT TERM
    if [ -t 1 ]; then printf '\r\033[K'; fi
    return "$status"
}

# is_complete NAME: whether the last installation of these extras finished and is still what is wanted.
is_complete() {
    local stamp="$environment/.installed-$1"
    [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(contents_hash "$environment/bin/python" "$1")" ]
}

# An environment is made anew where it was left unfinished, does not run, or was moved: its commands
# name the folder that they were made in.
is_usable() {
    local made_in="$environment/.made-in"
    [ ! -e "$environment/.unfinished" ] && suits "$environment/bin/python" \
        && { [ ! -e "$made_in" ] || [ "$(cat "$made_in")" = "$environment" ]; }
}

# make_environment NAME: .venv with the project and its extras, at the constraints' versions.
make_environment() {
    local base log="$environment/install.log"
    if ! is_usable; then
        base="$(find_python)" || exit 1
        say "Environment: making .venv with $("$base" --version) ($base)"
        rm -rf "$environment"
        mkdir "$environment"
        touch "$environment/.unfinished"
        "$base" -m venv "$environment" || fail "It could not be made in $environment."
        printf '%s\n' "$environment" >"$environment/.made-in"
    elif is_complete "$1" || is_complete dev; then
        say "Environment: .venv is complete"
        return
    fi
    touch "$environment/.unfinished"
    say "Environment: installing $(extras "$1"); the first time takes some minutes"
    SECONDS=0
    if ! run_with_clock "  pip install" "$log" "$environment/bin/python" -m pip install --no-input \
        --constraint "$root/constraints.txt" --editable "$root[$(extras "$1")]"; then
        tail -n 15 "$log" >&2
        fail "" "The packages could not be installed; $log has the whole story." \
            "Is the package index within reach? PIP_INDEX_URL and its kin are honoured. Then run this again."
    fi
    contents_hash "$environment/bin/python" "$1" >"$environment/.installed-$1"
    rm -f "$environment/.unfinished"
    say "Environment: complete after $SECONDS s"
}
