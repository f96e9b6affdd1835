# All that is done with this tree. `make help` lists it. The tools' versions are pinned
# by the tool directives of go.mod.

GO       ?= go
FUZZTIME ?= 30s
SOAK     ?= 5m
RIG      ?= ../shared/rig
REPS     ?= 5
ONLY     ?=
OUT      ?= comparison.jsonl
PFX      ?= cmp-
NICE     ?= 0

# The systems that must build: what `make cross` goes through.
PLATFORMS = linux/amd64 linux/arm64 linux/386 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64 \
            freebsd/amd64 android/arm64

.DEFAULT_GOAL := help
.PHONY: help build fmt lint test race interop interop-race conformance soak fuzz bench bench-links compare compare-table cross

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## compile everything; the examples go to bin/
	$(GO) build ./...
	$(GO) build -o bin/ ./examples/...

fmt: ## format all files
	gofmt -w .

lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "gofmt -w is needed for:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

test: ## all tests but interop; those that lack a privilege skip
	$(GO) test ./...

race: ## the same with the race detector
	$(GO) test -race -timeout 45m ./...

interop: ## against the kernel's MPTCP, 100 MB each way (root); INTEROP_PCAP=DIR captures
	INTEROP=1 $(GO) test -count=1 -timeout 25m -v ./internal/interop/

interop-race: ## the same with the race detector, 4 MB each way (root)
	INTEROP=1 INTEROP_MB=4 $(GO) test -race -count=1 -timeout 25m -v ./internal/interop/

conformance: ## which test shows which requirement of RFC 8684; writes docs/conformance.md
	$(GO) run ./internal/conformance/table

soak: ## random networks for SOAK (a duration); prints the seed of a failure
	$(GO) test -run 'TestSoak$$' -count=1 -timeout 0 ./internal/soak -soak $(SOAK)

fuzz: ## each fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
		done; \
	done

bench: ## throughput, CPU and allocations against plain netstack, as ratios (TUN needs root)
	BENCH=1 $(GO) test -run TestRatios -count=1 -timeout 30m -v ./internal/bench

bench-links: ## goodput over emulated links against the kernel's BBR (root); RIG=DIR has the emulator
	RIG=$(abspath $(RIG)) $(GO) test -run TestLinks -count=1 -timeout 60m -v ./internal/bench

compare: ## beside the kernel, scenarios A-F, docs/comparison.md (root, RIG=DIR); REPS, ONLY=regexp, OUT=file, PFX, NICE
	$(GO) run ./internal/bench/compare -rig '$(RIG)' -reps $(REPS) -only '$(ONLY)' -out '$(OUT)' -pfx '$(PFX)' -nice $(NICE)

compare-table: ## the tables of what make compare has measured so far
	$(GO) run ./internal/bench/compare -table -out '$(OUT)'

cross: ## vet for every platform
	@set -e; for p in $(PLATFORMS); do \
		echo "== $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) vet ./...; \
	done
