# Activates an environment made by the arena's own conda: `source activate PREFIX`.
# Snakemake sources it before a job's command. `make setup` copies it to .venv/conda/bin/activate.
if [ ! -x "$1/bin/python" ]; then
    echo "activate: $1 is not an environment (no bin/python); delete it and run snakemake again" >&2
    exit 1 # in Snakemake's shell: the job must not go on with another python
fi
CONDA_PREFIX=$1
CONDA_DEFAULT_ENV=$1
PATH=$1/bin:$PATH
export CONDA_PREFIX CONDA_DEFAULT_ENV PATH
unset VIRTUAL_ENV PYTHONHOME
hash -r
