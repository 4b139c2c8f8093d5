# The front door. Each target installs the Debian packages it needs where they are missing (scripts/packages.txt), then
# works in build/. The work itself is in CMake and in scripts/.

STORE ?= local
PREFIX ?= /usr/local
DESTDIR ?=
SEEDS ?= 10000
SEED ?=
SECONDS ?= 60

MAKEFLAGS += --no-print-directory
packages = @scripts/install-packages.sh
demo_packages = $(filter etcd redis,$(STORE))

.DEFAULT_GOAL := build
.PHONY: build demo test sim chaos bench bench-peers install format tidy clean help

build: ## build the command and the libraries: build/bin/holdfast
	$(packages) build
	@scripts/build.sh product
	@echo "built build/bin/holdfast"

demo: ## show programs sharing a PostgreSQL server: make demo [STORE=local|etcd|redis]
	$(packages) build demo $(demo_packages)
	@scripts/build.sh -DHOLDFAST_EXAMPLES=ON product examples
	@exec /usr/bin/python3 examples/demo/run.py --store $(STORE) --bin build/bin

test: ## everything that must pass: format, tests, sanitizers, clang-tidy (up to 20 minutes on 2 cores)
	$(packages) build demo etcd redis test bench
	@scripts/test.sh

sim: ## run the core on virtual time: make sim SEEDS=100000, or SEED=7 for the history of one (docs/simulator.md)
	$(packages) build test
	@scripts/build.sh -DHOLDFAST_TESTS=ON holdfast_sim
	@exec build/bin/holdfast_sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

chaos: ## break real servers under load: make chaos STORE=etcd SECONDS=600, or SEED=7 for the same troubles again
	$(packages) build test $(demo_packages)
	@scripts/build.sh -DHOLDFAST_TESTS=ON holdfast_chaos
	@exec build/bin/holdfast_chaos --store $(STORE) --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

bench: ## measure, side by side with the alternatives
	$(packages) build bench peers etcd redis
	@scripts/npm-peers.sh build/npm-peers || echo "bench: the lines beside locks of npm will say so" >&2
	@scripts/build.sh -DHOLDFAST_BENCH=ON product benchmarks
	@exec build/bin/holdfast_bench --json bench-results.json

bench-peers: ## install what the benchmarks compare with, only
	$(packages) peers
	@scripts/npm-peers.sh build/npm-peers

.PHONY: doc
doc: ## the reference of the public headers: build/doc/html/index.html
	$(packages) doc
	@scripts/doc.sh build/doc
	@echo "written to build/doc/html/index.html"

install: ## install to PREFIX (/usr/local), under DESTDIR where given
	$(packages) build
	@scripts/build.sh product
	@DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)" >/dev/null
	@echo "installed to $(DESTDIR)$(PREFIX)"

format: ## bring all C++ files into the form that make test checks
	$(packages) test
	@scripts/format.sh

tidy: ## clang-tidy over our own sources, only
	$(packages) build test
	@scripts/tidy.sh

clean: ## remove the build folders
	@rm -rf build build-debug build-asan build-tsan build-clang

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 13
