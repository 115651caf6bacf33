# What a newcomer types. Each target installs what it needs first (tools/install) and may be repeated at any time.
#
#   make            this list
#   make build      libwindlass and windlassd (release), the Python package in .venv
#   make demo       one whole cycle on a Dask cluster of three nodes; TASKS=a.csv OFFERS=b.csv takes your own
#   make test       C++ under release and under asan, then the Python and integration suites
#   make bench      every benchmark beside its peers; QUICK=1 for small ones
#   make check      format, lint, types, layout
#   make soak       the long campaigns: races, repeats, fuzzing, the simulated world; tools/soak tells how to shorten them
#   make clean      removes what was built; .venv stays

MAKEFLAGS += --no-print-directory
SOAK_REPEAT ?= 20
BENCHES := match match_scale match_session gil stage_large stage_small rpc_latency connections cycle

.PHONY: help install build demo test bench check soak clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

install:
	@tools/install

build: install
	@tools/build release windlass windlassd

demo: build
	@.venv/bin/python -m examples.cluster_cycle $(if $(TASKS),--tasks $(TASKS)) $(if $(OFFERS),--offers $(OFFERS)) $(DEMO_ARGS)

test: install
	@tools/test

bench: build
	@benchmarks/build_peers
	@mkdir -p benchmarks/results
	@for name in $(BENCHES); do \
	  benchmarks/run $$name $(if $(QUICK),--quick) --json benchmarks/results/$$name.json --plot benchmarks/results/$$name.png || exit 1; \
	done

check: build
	@tools/check

soak: build
	@SOAK_REPEAT=$(SOAK_REPEAT) tools/soak

clean:
	@rm -rf build scheduler_bridge/windlass/_native benchmarks/results benchmarks/peers/rust/target demo-out .venv/bin/windlassd
