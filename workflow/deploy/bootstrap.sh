#!/bin/sh
# Make the folder $1 a virtual environment of the Python that envs/ is pinned for, with pip and uv in it.
# `make setup` calls it. What is here starts bootstrap.py, which finds that Python or fetches it: any Python from
# 3.9 on does, or uv alone. $2: the Python that the user wants it to be started with, or nothing.
unset UV_PYTHON UV_SYSTEM_PYTHON UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON # of the user: they name another Python
folder=$(dirname -- "$0")
starts() { "$@" -I -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; }

if [ -n "$2" ]; then
    starts "$2" || { echo "PYTHON=$2 does not start, or is older than 3.9; name another, or none" >&2; exit 1; }
    exec "$2" -I "$folder/bootstrap.py" --own "$1"
fi
for python in python3.13 python3 python python3.12 python3.14 python3.11 python3.10 python3.9; do
    starts "$python" && exec "$python" -I "$folder/bootstrap.py" "$1"
done
command -v uv >/dev/null && exec uv run --quiet --no-project --no-config --isolated python -I "$folder/bootstrap.py" "$1"
echo "no Python from 3.9 on and no uv on PATH; install one of them, or say where a Python is:" \
    "make PYTHON=/path/to/python3" >&2
exit 1
