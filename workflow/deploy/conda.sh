#!/bin/sh
# The arena's own conda command (arena-conda-wrapper); `make setup` copies it to .venv/bin/conda.
# What it does and when it steps aside is in workflow/deploy/conda.py.
bin=$(cd -- "$(dirname -- "$0")" && pwd)
exec "$bin/python" "$bin/../../workflow/deploy/conda.py" "$@"
