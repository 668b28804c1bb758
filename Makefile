# `make report` does everything on a fresh machine: make, a C++ compiler and any Python from 3.9 on (or uv) are enough.

PYTHON ?= # with which to begin; empty: what is there
CORES  ?= all
CONFIG    = # overlays of the configuration, files with blanks between them
DIRECTORY = # where results/ is; empty: here
MINUTES   = # within which the report is to be there: rows that do not fit are left out; empty: all rows
# What else a command line may give, and a variable of the shell may not.
$(foreach name,ARGS DEFINITION DRY ENV FRAMEWORK MODEL NAME NEW OLD ROW,$(eval $(name) =))

# What would lead this project's Python to other modules, or make it behave differently.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONINSPECT PYTHONOPTIMIZE PYTHONWARNINGS PYTHONSAFEPATH

export PATH := $(CURDIR)/.venv/bin:$(PATH)

# What a run, its plan and what changed for it have in common.
CONFIGFILE = $(if $(strip $(CONFIG)),--configfile $(CONFIG))
ELSEWHERE  = $(if $(strip $(DIRECTORY)),--directory $(strip $(DIRECTORY)))
PLACE      = $(if $(ELSEWHERE),$(ELSEWHERE) --conda-prefix $(CURDIR)/.snakemake/conda) \
    --cores $(CORES) $(ARGS) results/report.md results/report.html
RUN        = $(CONFIGFILE) $(PLACE)
BUDGET     = $(if $(strip $(MINUTES)),$(abspath $(or $(strip $(DIRECTORY)),.)/results/budget.yaml))

DEPLOY := workflow/deploy

.PHONY: help setup report retry plan changed since check test lint lint-python lint-engines format docs lock upgrade releases bundle submission compare fidelity try new-framework new-model aa sampling bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s%s\n", $$1, $$2 }' Makefile
	@echo 'One file of tests, once they are set up: .venv-tests/bin/python -m pytest tests/reporting/test_report.py'

setup: .venv/launcher .venv/bin/conda .venv/conda/ready  ## install Snakemake, uv and the project's conda into .venv (once)

# With MINUTES the plan comes first, and leaves the configuration of the rows that fit.
report: setup  ## measure, validate, write results/report.md and .html (CORES=4 MINUTES=15 CONFIG=my.yaml DIRECTORY=/data)
	$(if $(BUDGET),python workflow/tools/plan.py --minutes $(MINUTES) --overlay $(BUDGET) -- $(RUN))
	snakemake $(if $(BUDGET),--configfile $(CONFIG) $(BUDGET) $(PLACE),$(RUN))

retry: setup  ## measure again all that failed in the last run, with its settings, and write every report (DIRECTORY=)
	@cd $(or $(strip $(DIRECTORY)),.) && test -x results/retry || { echo "no run there yet: make report" >&2; exit 2; }
	$(or $(strip $(DIRECTORY)),.)/results/retry

plan: setup  ## what `make report` with the same MINUTES=, CONFIG= and DIRECTORY= would run, why, and how long it takes
	python workflow/tools/plan.py $(if $(BUDGET),--minutes $(MINUTES)) -- $(RUN)

changed: setup  ## what changed since the last run, and what each change would run again (CONFIG= DIRECTORY=)
	@python workflow/tools/changed.py -- $(RUN)

since: setup  ## this run's tables against those before it, from results/history (DIRECTORY=; exit 1 if one got worse)
	@python workflow/tools/since.py $(ELSEWHERE) $(ARGS)

# As many processes as cores, each with one thread; tests/conftest.py says what they share out and in which order.
PYTEST = OMP_NUM_THREADS=1 .venv-tests/bin/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

check: setup .venv-tests/ready  ## the unit tests, without slow ones and the network: two minutes on two cores
	$(PYTEST) -m 'not slow and not network' $(ARGS)

test: lint .venv-tests/ready  ## lint, then all tests (ARGS='-k gate' to choose)
	$(PYTEST) $(ARGS)

lint: lint-python lint-engines  ## formatting, lints and types: Snakefiles, Python, and Rust where it is

lint-python: setup
	snakefmt --check Snakefile workflow/rules
	snakemake --lint
	ruff check workflow tests
	ruff format --check workflow tests
	mypy

# Shares what it compiles with the tests. Without cargo there is nothing that could look at Rust.
lint-engines:
	@command -v cargo >/dev/null || echo "no cargo here: workflow/engines is not looked at" >&2
	! command -v cargo >/dev/null || cargo fmt --manifest-path workflow/engines/Cargo.toml --all --check
	! command -v cargo >/dev/null || cargo clippy --manifest-path workflow/engines/Cargo.toml --locked --quiet \
	    --target-dir .snakemake/cargo-tests --all-targets -- --deny warnings

format: setup  ## format the Snakefiles and the Python code
	snakefmt Snakefile workflow/rules
	ruff check --fix workflow tests
	ruff format workflow tests

docs: setup  ## write what pages tell of the catalogue, and the schemas of the records (ARGS=--check to look only)
	python workflow/tools/document.py $(ARGS)

lock: setup  ## pin what the direct requirements in envs/ need (ENV=jax: only that file; ARGS=--upgrade)
	python $(DEPLOY)/lock.py $(if $(ENV),envs/$(ENV).*,envs/*.yaml envs/*.txt) --prefer envs/*.yaml $(ARGS)

upgrade: setup  ## newest releases of a framework, or of all, and measure what follows (FRAMEWORK=jax, DRY=1 only says so)
	python workflow/tools/upgrade.py $(FRAMEWORK) $(if $(DRY),--dry) -- $(RUN)

releases: setup  ## a framework's older pins against the present ones, in one run (FRAMEWORK=jax OLD=HEAD~1 ARGS='--models ResNet-50')
	python workflow/tools/releases.py $(or $(FRAMEWORK),$(error say FRAMEWORK= and OLD=)) --old $(or $(OLD),HEAD~1) --directory .snakemake/releases/$(FRAMEWORK) $(ARGS) -- --cores $(CORES) --conda-prefix .snakemake/conda

bundle: setup  ## everything for a machine without a network, in pieces (ARGS='--envs pytorch jax --out bundle')
	python workflow/tools/bundle.py $(ARGS)

submission: setup  ## pack a platform's records into one file to send (ARGS='--label "My machine" --out my-machine.jsonl')
	@python workflow/tools/submission.py $(ARGS)

compare: setup  ## what changed between two platform CSVs or results directories (OLD=... NEW=...)
	@python workflow/tools/compare.py $(OLD) $(NEW) $(ARGS)

fidelity: setup .venv-tests/ready  ## our timings against llama-bench, benchmark_app and others, after a run with their rows
	.venv-tests/bin/python workflow/tools/fidelity.py $(ARGS)

try: setup  ## one cell in miniature, judged, in seconds (ROW=jax MODEL=ResNet-50 CONFIG=my.yaml)
	@python workflow/tools/try_cell.py --row $(or $(ROW),$(error say ROW= and MODEL=)) --model $(or $(MODEL),$(error say MODEL=)) $(CONFIGFILE) -- $(ARGS)

new-framework: setup  ## the files with which a new framework begins, and what to do with them (NAME=tvm)
	@python workflow/tools/new_framework.py $(or $(NAME),$(error say NAME=))

new-model: setup  ## the files with which a new model begins, which run as they are (NAME=MyModel DEFINITION=my_architecture)
	@python workflow/tools/new_model.py $(or $(NAME),$(error say NAME=)) $(if $(DEFINITION),--definition $(DEFINITION))

aa: setup  ## measure one row under two names, and see whether the report tells them apart (ARGS='--row jax --copies 3')
	python workflow/tools/aa.py $(ARGS) -- --cores $(CORES)

sampling: setup .venv-tests/ready  ## seconds of samples that are worth it, by the last run's own records (ARGS='--target 0.01')
	@.venv-tests/bin/python workflow/tools/sampling.py $(ARGS)

bench: setup  ## everything cold from a fresh clone, and a run with nothing to do: half an hour
	python workflow/tools/bench_workflow.py $(ARGS)

clean:  ## delete results/, measurements and models alike; environments and report/published stay
	rm -rf results

# An environment is made anew when its list of packages or the pinned Python changes, when this folder was renamed or
# copied, and when programs are missing in it. `ready` marks a whole one, and says for which folder it was made.
ifneq ($(shell sh $(DEPLOY)/whole.sh .venv python uv snakemake),yes)
.PHONY: .venv/ready
endif
ifneq ($(shell sh $(DEPLOY)/whole.sh .venv-tests python pytest),yes)
.PHONY: .venv-tests/ready
endif

# Programs in .venv are given by path here: make may look up bare names before .venv exists.
.venv/ready: envs/runner.txt $(DEPLOY)/bootstrap.py
	sh $(DEPLOY)/bootstrap.sh .venv "$(strip $(PYTHON))"
	.venv/bin/python $(DEPLOY)/installer.py pip install --quiet --python .venv/bin/python --no-deps --compile-bytecode --requirements envs/runner.txt
	.venv/bin/uv pip check --quiet --python .venv/bin/python
	pwd -P > $@

.venv/launcher: $(DEPLOY)/snakemake.sh .venv/ready
	cp $< .venv/bin/snakemake.part && chmod 755 .venv/bin/snakemake.part && mv .venv/bin/snakemake.part .venv/bin/snakemake
	touch $@

.venv/bin/conda: $(DEPLOY)/conda.sh .venv/ready
	cp $< $@.part && chmod 755 $@.part && mv $@.part $@

.venv/conda/bin/activate: $(DEPLOY)/activate.sh .venv/ready
	mkdir -p $(@D)
	cp $< $@.part && mv $@.part $@

.venv/conda/ready: $(DEPLOY)/conda.py .venv/conda/bin/activate
	.venv/bin/python $< answers .venv/conda/answers
	touch $@

.venv-tests/ready: envs/tests.txt $(DEPLOY)/bootstrap.py | .venv/ready
	rm -rf .venv-tests
	.venv/bin/python $(DEPLOY)/installer.py venv --quiet --no-project --python .venv/bin/python .venv-tests
	.venv/bin/python $(DEPLOY)/installer.py pip install --quiet --python .venv-tests/bin/python --no-deps --compile-bytecode --requirements envs/tests.txt
	.venv/bin/uv pip check --quiet --python .venv-tests/bin/python
	pwd -P > $@
