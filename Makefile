# The one list of commands. `make` or `make help` shows it.
#
# Variables: CONFIGURATION=Release|Debug, TESTS='Colo.Nbd.Tests ...' (only these projects), JOBS=2 (test projects at a time),
# FILTER='*Checkpoint*' (test methods), BENCH='--quick|--full|--only ...', FUZZ_SECONDS=60, SCENARIO='*Drain*' (of e2e),
# SCALE='--volumes 200 --nodes 20', SEEDS=1000 SEED_FIRST=1 (of simulate), POINTS=2000 (power cuts of each recording), ROUNDS=20 SEED=n (of chaos).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CONFIGURATION ?= Release
TESTS ?=
FILTER ?=
SCENARIO ?=
JOBS ?= 2
BENCH ?= --quick
FUZZ_SECONDS ?= 60
SCALE ?=
POINTS ?= 2000
SEEDS ?= 1000
SEED_FIRST ?= 1
ROUNDS ?= 20
SEED ?=

export CONFIGURATION TESTS FILTER JOBS SCENARIO
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

.PHONY: help deps build run test bench format fuzz simulate powercut chaos scale manifests crds e2e clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing: Debian packages (root or sudo), check the .NET SDK
	@eng/deps.sh

build: deps ## Build everything (Release)
	@eng/build.sh

run: build ## Demo: a real disk is replicated, checkpointed, loses its node, fails over, and is verified
	@eng/demo.sh

test: build ## Run all tests; the last line says "N passed, N failed"
	@eng/test.sh

e2e: ## Run all scenarios on a real cluster of three nodes, made for it on this machine (root; SCENARIO='*Drain*')
	@eng/e2e.sh

bench: build ## Measure our stack beside QEMU's, qemu-nbd and nbdkit; writes artifacts/bench (BENCH='--full')
	@tests/Colo.Benchmarks/bin/$(CONFIGURATION)/net10.0/Colo.Benchmarks $(BENCH)

crds: build ## Write crds/ from the classes (a test fails where they differ)
	@src/Colo.Operator/bin/$(CONFIGURATION)/net10.0/colo-operator crd >crds/colo.dev_replicatedvolumes.yaml
	@src/Colo.Operator/bin/$(CONFIGURATION)/net10.0/colo-operator crd --without-rules >crds/without-rules/colo.dev_replicatedvolumes.yaml

format: ## Bring the code into the shape that .editorconfig asks for
	@dotnet format ColoOperator.sln

fuzz: build ## Throw hostile bytes at the NBD and qcow2 parsers (FUZZ_SECONDS=60)
	@mkdir -p artifacts/fuzz
	@tests/Colo.Fuzz/bin/$(CONFIGURATION)/net10.0/colo-fuzz --seconds $(FUZZ_SECONDS) --out artifacts/fuzz

simulate: build ## Break everything in a simulated world, from seeds; a failing seed is printed and made small (SEEDS=1000)
	@tests/Colo.Simulation/bin/$(CONFIGURATION)/net10.0/Colo.Simulation --first $(SEED_FIRST) --seeds $(SEEDS) --coverage

chaos: build ## Kill, freeze and cut off real agents, operator, API server, disks; every write is checked (root; ROUNDS=n SEED=s)
	@tests/Colo.Chaos/bin/$(CONFIGURATION)/net10.0/colo-chaos --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

scale: build ## 2,000 volumes on 200 simulated nodes against a real API server and operator; a node dies (SCALE='--volumes 200')
	@tests/Colo.Scale/bin/$(CONFIGURATION)/net10.0/colo-scale $(SCALE)

powercut: build ## Cut the power of two recorded agents at every flush and POINTS times besides, recover, compare
	@COLO_POWERCUT_EVERY=1 COLO_POWERCUT_POINTS=$(POINTS) tests/Colo.PowerCut.Tests/bin/$(CONFIGURATION)/net10.0/Colo.PowerCut.Tests -noColor -noLogo \
		-showLiveOutput -class '*PowerCutTests'

manifests: ## Write what is derived: the chart's copy of the CRD, config/ from the chart
	@eng/manifests.sh

clean: ## Remove what was built
	@rm -rf artifacts src/*/bin src/*/obj tests/*/bin tests/*/obj
