#!/bin/sh
# On the machine without a network: check the pieces beside this script, unpack them, install what they hold, and run
# Snakemake with the arguments given. `make bundle` puts it there; a second call finds everything and only runs.
#
#   sh unpack-and-run --cores all -- results/report.md
#
# ARENA_INTO: the folder to unpack into (default: `arena` beside this script). ARENA_PYTHON: the Python to use.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd)
into=${ARENA_INTO:-$here/arena}

if [ ! -e "$into/unpacked" ]; then
    (cd "$here" && sha256sum --check --quiet SHA256SUMS) || {
        echo "unpack-and-run: pieces are missing or not as they were packed (above); bring them again" >&2; exit 1; }
    mkdir -p "$into"
    cat "$here"/arena-bundle.tar.[0-9]* | tar -xz -C "$into"
    touch "$into/unpacked"
fi

# pip's settings are uv's, too (workflow/deploy/installer.py).
PIP_NO_INDEX=1 PIP_FIND_LINKS=$into/wheels PIP_DISABLE_PIP_VERSION_CHECK=1 UV_OFFLINE=1
export PIP_NO_INDEX PIP_FIND_LINKS PIP_DISABLE_PIP_VERSION_CHECK UV_OFFLINE
if [ -d "$into/cargo" ]; then
    CARGO_HOME=$into/cargo CARGO_NET_OFFLINE=true PATH=$into/toolchain/bin:$PATH
    export CARGO_HOME CARGO_NET_OFFLINE PATH
fi

wanted=$(cat "$into/python")
python=${ARENA_PYTHON:-$(command -v "python$wanted" || command -v python3 || true)}
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || found=none
[ "$found" = "$wanted" ] || {
    echo "unpack-and-run: the wheels are for Python $wanted, ${python:-python3} is $found; say ARENA_PYTHON=..." >&2; exit 1; }

cd "$into/source"
if [ "$(cat "$into/mode")" = own ]; then
    make --silent setup PYTHON="$python"
    PATH=$into/source/.venv/bin:$PATH
    exec snakemake "$@"
fi
if [ ! -e "$into/venv/ready" ]; then
    rm -rf "$into/venv"
    "$python" -m venv --system-site-packages "$into/venv"
    "$into/venv/bin/python" -m pip install --quiet --no-deps --requirement "$into/requirements.txt"
    touch "$into/venv/ready"
fi
PATH=$into/venv/bin:$PATH
export PATH
exec "$into/venv/bin/python" -m snakemake --workflow-profile profiles/host "$@"
