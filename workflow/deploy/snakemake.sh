#!/bin/sh
# What `snakemake` is here; `make setup` copies it to .venv/bin/snakemake. workflow/deploy/start.py says why.
bin=$(cd -- "$(dirname -- "$0")" && pwd)
exec "$bin/python" "$bin/../../workflow/deploy/start.py" "$@"
