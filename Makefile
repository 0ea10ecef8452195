# Every command sets up what it needs, on a Debian 12 with python3.
#
#   make run               the archive on 127.0.0.1:11112, with sample objects and nothing else installed
#   make test              everything, on the installed wheel; TESTS=tests.ul for a part, JOBS=1 for one at a time
#   make lint              ruff, mypy, import-linter
#   make fuzz SECONDS=60   random bytes against the decoders
#   make bench             one table of every way there is, and its plot; BENCH=all or another of bench/README.md;
#                          QUICK=1 for a glance
#   make clean

SHELL := /bin/bash
TESTS ?= tests
SECONDS ?= 60
BENCH ?= table
in_venv := PATH="$(CURDIR)/.venv/bin:$$PATH"
metadata := setup.cfg pyproject.toml

.PHONY: run test lint fuzz bench peers clean

run: .venv/.installed
	@exec .venv/bin/python scripts/run

test: peers
	scripts/venv .venv-test
	@.venv-test/bin/python scripts/test $(TESTS)

lint: .venv/.installed-for-development
	$(in_venv) ruff check
	$(in_venv) ruff format --check
	$(in_venv) mypy
	$(in_venv) lint-imports

fuzz: .venv/.installed-for-development
	$(in_venv) python -m tests.fuzz --seconds $(SECONDS)

bench: .venv/.installed-for-development peers
	$(in_venv) bench/run $(BENCH) $(if $(QUICK),--quick)

peers:
	scripts/install-peers

.venv/.installed: $(metadata)
	scripts/venv .venv
	.venv/bin/pip install --quiet --editable '.[try]'
	@touch $@

.venv/.installed-for-development: $(metadata)
	scripts/venv .venv
	.venv/bin/pip install --quiet --editable '.[test,lint]'
	@touch $@ .venv/.installed

clean:
	rm -rf .venv .venv-test .peers build dist *.egg-info _trial_temp* .hypothesis
	rm -rf .mypy_cache .ruff_cache .import_linter_cache
	rm -f twisted/plugins/dropin.cache
	find dimseproxy twisted tests bench -name __pycache__ -prune -exec rm -rf {} +
