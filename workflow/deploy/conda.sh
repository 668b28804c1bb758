#!/bin/sh
# The arena's own conda command (arena-conda-wrapper); `make setup` copies it to .venv/bin/conda.
# What it does and when it steps aside is in workflow/deploy/conda.py. Snakemake asks three questions at
# every start, and Python would take longer to start than to answer: where there is no other conda to
# step aside for, the answers are read from what conda.py wrote at `make setup`.
bin=$(cd -- "$(dirname -- "$0")" && pwd)
answer="$bin/../conda/answers/$*"
if [ -f "$answer" ] && [ -z "$ARENA_CONDA_PROBE" ]; then
    (
        IFS=:
        set -f
        for directory in $PATH; do
            [ -x "$directory/conda" ] && [ ! "$directory/conda" -ef "$bin/conda" ] && exit 1
        done
        exit 0
    ) && exec cat "$answer"
fi
exec "$bin/python" "$bin/../../workflow/deploy/conda.py" "$@"
