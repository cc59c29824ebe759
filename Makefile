# Every command is one line over the `fastfer` command line; `fastfer <verb> --help` explains each.
# Settings are given behind the target: make train ARCH=vit AUG=online DATASET=expw

PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
FASTFER = $(VENV)/bin/fastfer

# Settings written on make's command line become options (DATA_ROOT=x -> --data-root 'x'); the shell's environment
# does not, so that a stray SIZE or SEED there changes nothing.
settings := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
option    = --$(subst _,-,$(shell echo $(1) | tr A-Z a-z)) '$($(1))'
options   = $(foreach name,$(sort $(filter-out PYTHON SUITE,$(settings))),$(call option,$(name)))

# uv trusts the certificates that the system trusts, as pip does: behind a proxy its own list knows too few.
export UV_SYSTEM_CERTS := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo clean-demo demo-data check shards verify inspect export augment-show duplicates selection-report eda balance \
  train evaluate cross runs compare study report dataset-case peers bench bench-report test lint format lock

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: $(READY)  ## make the environment in .venv (8 GB, a few minutes)

demo: $(READY)   ## data, records, training, tests and report of a small study, from nothing
	@$(FASTFER) demo $(options)
clean-demo:      ## remove what the demo made
	rm -rf data/raw/demo-* data/raw/.demo-* data/shards/demo-* data/cache runs/demo-* results/demo reports/demo reports/eda-demo-*

demo-data: $(READY) ## make the two demo datasets: [OUT= SEED= FACES= LABEL_NOISE=]
	@$(FASTFER) demo-data $(options)
check: $(READY)     ## is a dataset's folder complete: DATASET= [DATA_ROOT= SOURCE=]
	@$(FASTFER) dataset check $(options)
shards: $(READY)    ## faces into records: DATASET= [DATA_ROOT= OUT= SOURCE= VARIANT= DETECTOR= SIZE= ENGINE=]
	@$(FASTFER) shards $(options)
verify: $(READY)    ## read records again and check them: DATASET= [VARIANT= OUT=]
	@$(FASTFER) verify $(options)
inspect: $(READY)   ## what a variant holds, and a contact sheet: DATASET= [VARIANT= OUT=]
	@$(FASTFER) shards inspect $(options)
export: $(READY)    ## records as other files: DATASET= TO=folder|parquet|beton INTO= [VARIANT=]
	@$(FASTFER) shards export $(options)
augment-show: $(READY) ## a policy's table, and a picture of every operation: [POLICY=strong|light DATASET=]
	@$(FASTFER) augment show $(options)
duplicates: $(READY) ## near-duplicate images within and across sets: DATASET=rafdb+expw [OUT=]
	@$(FASTFER) duplicates $(options)
selection-report: $(READY) ## how faces were chosen, for the article: DATASET= [DATA_ROOT= OUT=]
	@$(FASTFER) selection-report $(options)
eda: $(READY)       ## a page about the data before any model: DATASET=rafdb+expw [DATA_ROOT= OUT= REPORTS= SEED= LOCALE=pt]
	@$(FASTFER) eda $(options)
balance: $(READY)   ## oversample train with light copies: DATASET= [OUT= SEED=]
	@$(FASTFER) balance $(options)
train: $(READY)     ## train and test one network: ARCH= AUG= [DATASET= LOADER= EPOCHS= BATCH= SEED= PRETRAINED=]
	@$(FASTFER) train $(options)
evaluate: $(READY)  ## test a run: RUN= [DATASET= SPLIT= FLIP=]
	@$(FASTFER) evaluate $(options)
cross: $(READY)     ## test every run on the other dataset: [SELECT=]
	@$(FASTFER) cross $(options)
runs: $(READY)      ## list runs, or set some side by side: [SELECT= SORT=balanced_accuracy COMPARE=a,b]
	@$(FASTFER) runs $(options)
compare: $(READY)   ## paired tests between runs, and spread over seeds: [RUNS=a,b SELECT= TESTED_ON=]
	@$(FASTFER) compare $(options)
study: $(READY)     ## the whole matrix: [DATASETS= ARCHS= AUGS= VARIANTS= SEEDS= GPUS= DRY=1], and make train's settings
	@$(FASTFER) study $(options)
report: $(READY)    ## the HTML report, figures and tables: [NAME= SELECT= RESULTS= LOCALE=pt]
	@$(FASTFER) report $(options)
dataset-case: $(READY) ## is ExpW less precise than RAF-DB: [DATASETS= LOCALE=en|pt IMAGES= FACES= DETECTOR=]
	@$(FASTFER) dataset-case $(options)

peers: $(READY)     ## environments of the benchmarks' rivals in .peers (13 GB): [NAMES=]
	$(VENV)/bin/python -m benchmarks.peers.environments $(NAMES)
bench: $(READY)     ## measure this machine, every suite or one: [SUITE= QUICK=1]
	$(VENV)/bin/python -m benchmarks $(or $(SUITE),all) $(options)
bench-report: $(READY) ## the performance section from all results, and the tables in docs: [RESULTS= OUT= LOCALE=pt]
	$(VENV)/bin/python -m benchmarks report --write-docs 1 $(options)
test: $(READY)      ## the test suite, on the CPU; where there is a GPU, what only it can show after that
	$(VENV)/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	@! command -v nvidia-smi > /dev/null || $(VENV)/bin/pytest -m gpu
lint: $(READY)      ## formatting, lint, types, import rules
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
format: $(READY)    ## put the code into shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
lock: $(READY)      ## resolve pyproject.toml into requirements.lock anew
	$(VENV)/bin/uv pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

# The lock pins uv too, so that pip fetches just that, and uv (a minute instead of ten) all the rest.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("fastfer needs Python 3.11 or newer: give it as PYTHON=") if sys.version_info < (3, 11) else 0'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	test -x $(VENV)/bin/uv || $(VENV)/bin/python -m pip install --quiet "$$(grep -oE '^uv==[0-9.]+' requirements.lock)"
	$(VENV)/bin/uv pip sync --python $(VENV)/bin/python requirements.lock
	$(VENV)/bin/uv pip install --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	sh tests/system-packages.sh
	@touch $@
