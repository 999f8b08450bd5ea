# Todoku on one machine. `make` lists what can be made; `make run` opens the shop.
#
# Everything is installed into .venv from a lock file with hashes, and again only when that file changes:
# without a change no target asks the network for anything.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A person's own settings for Python must not reach into the shop's.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP DJANGO_SETTINGS_MODULE

.PHONY: help run test check bench rehearse words lock clean aws-synth aws-build aws-deploy aws-test aws-smoke

help: ## list what can be made
	@printf 'Todoku: a shop checkout in which a paid order always arrives.\n\n'
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/\1|\2/p' Makefile | while IFS='|' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done
	@printf '\nPORT=8001 make run   another port.   PYTHON=python3.13 make run   another Python.\n'

run: $(VENV)/installed ## open the shop on http://127.0.0.1:8000 (Ctrl-C closes it)
	@exec $(BIN)/python -m todoku run

test: $(VENV)/installed-dev ## run every test (under 10 minutes on 2 cores)
	@state=$$(mktemp -d "$${TMPDIR:-/tmp}/todoku-test.XXXXXX"); \
	trap 'for _ in {1..50}; do [ -e "$$state/postgres/postmaster.pid" ] || break; sleep 0.1; done; rm -rf "$$state" || true' EXIT; \
	TODOKU_VAR="$$state" $(BIN)/python -m pytest -n $${TODOKU_TEST_PROCESSES:-auto} --dist loadgroup $(ARGS)

check: $(VENV)/installed-dev ## check style, types, imports, settings, migrations, words, flows and locks
	@exec $(BIN)/python -m tests.house.check

bench: $(VENV)/installed-dev ## measure complete checkouts a second, and what each costs
	@exec $(BIN)/python -m bench $(ARGS)

rehearse: $(VENV)/installed-dev ## try for an hour and a half to lose an order, and write what happened to docs/proof.md
	@state=$$(mktemp -d "$${TMPDIR:-/tmp}/todoku-rehearse.XXXXXX"); \
	trap 'for _ in {1..50}; do [ -e "$$state/postgres/postmaster.pid" ] || break; sleep 0.1; done; rm -rf "$$state" || true' EXIT; \
	TODOKU_VAR="$$state" $(BIN)/python -m proof $(ARGS)

words: $(VENV)/installed-dev ## gather the words to translate and compile the translations
	@exec $(BIN)/python -m todoku words

lock: ## choose versions anew and write them, with hashes, to requirements*.lock
	@$(call require-python)
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -m venv "$$tools"; \
	"$$tools/bin/python" -m pip --disable-pip-version-check --quiet install uv; \
	compile() { "$$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade pyproject.toml "$$@"; }; \
	compile --output-file "$$tools/run.lock"; \
	compile --extra dev --constraint "$$tools/run.lock" --output-file "$$tools/dev.lock"; \
	cp "$$tools/run.lock" requirements.lock; cp "$$tools/dev.lock" requirements-dev.lock
	@echo 'requirements.lock and requirements-dev.lock are new: run make check and make test.'

clean: ## remove the shop's state (var/) and nothing else
	@$(call require-python)
	@exec $(PYTHON) -m todoku.clean

# AWS (docs/deploy-aws.md) ------------------------------------------------------------------------------------

AWS_VENV := .venv-aws
CDK := npx --yes aws-cdk@2.1148.1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1

aws-synth: $(AWS_VENV)/installed ## draw the shop on AWS as a CloudFormation template (needs Node; no account)
	@cd deploy/aws && CDK_OUTDIR=cdk.out $(CURDIR)/$(AWS_VENV)/bin/python app.py
	@$(AWS_VENV)/bin/cfn-lint --config-file deploy/aws/.cfnlintrc deploy/aws/cdk.out/*.template.json && echo 'deploy/aws/cdk.out: cfn-lint has nothing to say.'

aws-build: $(VENV)/installed ## put the functions' package together for AWS Lambda
	@$(BIN)/python deploy/aws/build.py

aws-deploy: $(AWS_VENV)/installed aws-build ## bring the shop up in the account that AWS's own settings name (ARGS='-c domain=…')
	@cd deploy/aws && $(CDK) deploy $(ARGS)

aws-test: $(VENV)/installed-dev $(AWS_VENV)/installed .venv-ministack/installed ## the shop on AWS, as far as that goes without AWS: 500 stories on both engines, the template, a deployment
	@TODOKU_STORIES=$${TODOKU_STORIES:-500} TODOKU_AWS=1 $(MAKE) test ARGS="tests/aws $(ARGS)"

aws-smoke: $(AWS_VENV)/installed aws-build ## with an account: deploy, buy, break a step, hear the bell, resume, remove everything
	@$(BIN)/python deploy/aws/smoke.py $(ARGS)

# Set-up ------------------------------------------------------------------------------------------------------

define require-python
command -v $(PYTHON) >/dev/null 2>&1 || { echo 'make: there is no $(PYTHON). Todoku needs Python 3.11 or newer; name one: PYTHON=python3.12 make run' >&2; exit 2; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1), but Todoku needs Python 3.11 or newer. Name one: PYTHON=python3.12 make run" >&2; exit 2; }
endef

# The environment is made anew when its Python is gone, or when PYTHON=... names another version than last time.
ifneq ($(wildcard $(VENV)/made),)
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
HAS := $(shell $(BIN)/python -c '$(VERSION)' 2>/dev/null)
WANTS := $(if $(filter file,$(origin PYTHON)),$(HAS),$(shell $(PYTHON) -c '$(VERSION)' 2>/dev/null))
ifeq ($(and $(HAS),$(filter $(HAS),$(WANTS))),)
ANEW := --clear
.PHONY: $(VENV)/made
endif
endif

$(VENV)/made:
	@$(call require-python)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'make: $(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv' >&2; exit 2; }
	@echo 'Making .venv …'
	@$(PYTHON) -m venv $(ANEW) $(VENV)
	@touch $@

$(VENV)/installed: requirements.lock $(VENV)/made
	@$(call install,requirements.lock)
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/made
	@$(call install,requirements-dev.lock)
	@touch $(VENV)/installed $@

$(AWS_VENV)/installed: deploy/aws/requirements.lock
	@$(call require-python)
	@echo 'Installing what draws AWS (once, 600 MB) …'
	@$(PYTHON) -m venv $(AWS_VENV)
	@$(AWS_VENV)/bin/python -m pip --disable-pip-version-check --no-input install -qq --retries 5 --require-hashes --only-binary=:all: -r deploy/aws/requirements.lock
	@touch $@

.venv-ministack/installed: deploy/aws/ministack.lock
	@$(call require-python)
	@$(PYTHON) -m venv .venv-ministack
	@.venv-ministack/bin/python -m pip --disable-pip-version-check --no-input install -qq --retries 5 --require-hashes --only-binary=:all: -r deploy/aws/ministack.lock
	@touch $@

# Downloads are retried; every file must have one of the hashes in the lock. The shop itself is linked, not copied.
define install
echo 'Installing what $(1) names (once, under a minute on a good line) …'; \
$(PIP) install -qq --retries 5 --require-hashes --only-binary=:all: -r $(1) || { echo 'make: installing failed: is a package index in reach? Run make again to go on.' >&2; exit 1; }; \
$(PIP) install -qq --no-deps --no-build-isolation --no-index --editable .; \
$(BIN)/python -m todoku words --compile
endef
