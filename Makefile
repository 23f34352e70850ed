SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

LINT_VERSION := v2.15.0
LINT_DIR := $(CURDIR)/.tools/golangci-lint-$(LINT_VERSION)
LINT := $(LINT_DIR)/golangci-lint

# S3 servers for the tests. versitygw before v1.8.0 loses conditional writes.
# MinIO is a tool of the tests only: it is never linked (AGPL).
VERSITYGW_VERSION := v1.8.0
VERSITYGW := $(CURDIR)/.tools/versitygw-$(VERSITYGW_VERSION)/versitygw
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
MINIO := $(CURDIR)/.tools/minio-$(MINIO_VERSION)/minio
# A shell and Compose for the test of the image: gosh stands for the shell of
# images that are not pulled there.
GOSH_VERSION := v3.14.1
GOSH := $(CURDIR)/.tools/gosh-$(GOSH_VERSION)/gosh
COMPOSE_VERSION := v2.28.1
COMPOSE := $(CURDIR)/.tools/compose-$(COMPOSE_VERSION)/compose
# It has the schemas of Kubernetes built in, and asks no cluster.
KUBECTL_VALIDATE_VERSION := v0.0.4
KUBECTL_VALIDATE := $(CURDIR)/.tools/kubectl-validate-$(KUBECTL_VALIDATE_VERSION)/kubectl-validate
KUBERNETES := 1.30
export GUARDIAN_TEST_VERSITYGW := $(VERSITYGW)
export GUARDIAN_TEST_MINIO := $(MINIO)

FUZZ_TIME ?= 2s
SIM_RUNS ?= 20000
MOVE_RUNS ?= 20000
SOAK_TIME ?= 1h
SOAK_SEED ?= 0
POWER_CUTS ?= 50
BENCH ?= .
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
IDENTITIES ?= 10000
TURN ?= 3s
SHARES ?= 2000
SHARES_BOLT ?= $(SHARES)

##@ Use

.PHONY: build
build: ## build bin/guardian and bin/guardianctl, static
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/guardian ./cmd/guardianctl

.PHONY: demo
demo: build ## keep a file on five guardians and bring it back from three
	bin/guardianctl demo

.PHONY: run
run: build ## start one open guardian on ./data, for development only
	GUARDIAN_STORAGE=./data bin/guardian --unauthenticated --bind 127.0.0.1:7500

.PHONY: image
image: ## build the container image, with docker, podman or buildah
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/guardian ./cmd/guardianctl
	docker/build.sh

.PHONY: dist
dist: ## archives of the binaries for Linux and macOS, with checksums, in dist/; the same bytes from the same commit
	PLATFORMS='$(PLATFORMS)' deploy/dist.sh

##@ Test

.PHONY: check
check: ## the quick loop: vet, and the short tests without -race
	go vet ./...
	go test -short ./...

.PHONY: test
test: vet lint race plain model fuzz ## all that must be green: vet, linters, tests with -race, some simulations, the whole model, 2 s of each fuzz target

.PHONY: test-long
test-long: export GUARDIAN_TEST_LONG = 1
test-long: FUZZ_TIME = 60s
test-long: tools test-alerts test-disk test-power ## the full campaigns: more rounds, longer fuzzing, test-alerts, test-disk, test-power
	CGO_ENABLED=1 go test -race -timeout 90m ./...
	go test -count=1 -timeout 60m -run '^TestModel' ./guardian
	.ci/fuzz $(FUZZ_TIME)

.PHONY: test-alerts
test-alerts: $(LINT) ## alert rules, their cases, metrics and dashboard before promtool, and a Prometheus that scrapes (needs Debian's prometheus)
	@command -v promtool >/dev/null || { echo "promtool is missing: install the Debian package prometheus" >&2; exit 1; }
	promtool check config --syntax-only deploy/prometheus/prometheus.yml
	promtool check config --syntax-only deploy/prometheus/kubernetes.yml
	promtool check rules deploy/prometheus/alerts.yml
	promtool test rules deploy/prometheus/alerts_test.yml
	go vet -tags promtool ./cmd/guardian
	$(LINT) run --build-tags promtool ./cmd/guardian
	go test -tags promtool -count=1 -v -run '^TestPromtool' ./cmd/guardian

.PHONY: test-disk
test-disk: $(LINT) ## guardians on a slow or failing disk, killed while they wait for it (needs Debian's strace)
	@command -v strace >/dev/null || { echo "strace is missing: install the Debian package strace" >&2; exit 1; }
	go vet -tags strace ./cmd/guardian
	$(LINT) run --build-tags strace ./cmd/guardian
	go test -tags strace -count=1 -timeout 20m -v -run '^TestDisk' ./cmd/guardian

# Of its own directories TMPDIR has the disks: /dev/shm makes them fast.
.PHONY: test-power
test-power: $(LINT) ## POWER_CUTS=50 power cuts of each directory and bolt file on ext4 and xfs, under load (needs root, loop devices, Debian's e2fsprogs and xfsprogs)
	go vet -tags power ./cmd/guardian
	$(LINT) run --build-tags power ./cmd/guardian
	go test -tags power -count=1 -timeout 6h -v -run '^TestPower' ./cmd/guardian -power.cuts=$(POWER_CUTS)

.PHONY: test-arm64
test-arm64: ## the arm64 kernel of shamir, emulated (needs Debian's qemu-user)
	@command -v qemu-aarch64 >/dev/null || { echo "qemu-aarch64 is missing: install the Debian package qemu-user" >&2; exit 1; }
	GOARCH=arm64 go vet ./shamir
	CGO_ENABLED=0 GOARCH=arm64 go test -count=1 -exec qemu-aarch64 ./shamir

.PHONY: test-image
test-image: image $(LINT) $(VERSITYGW) $(GOSH) $(COMPOSE) ## run the image, and the compose file with local stand-ins for foreign images
	go vet -tags image ./docker/...
	$(LINT) run --build-tags image ./docker/...
	go test -tags image -count=1 -timeout 15m -v ./docker

# systemd takes a unit with a misspelt setting, and only says so. 15 is an exposure of
# 1.5 of 10.
.PHONY: test-deploy
test-deploy: build $(LINT) $(VERSITYGW) $(KUBECTL_VALIDATE) ## the recipes before Kubernetes' schemas, AWS's models and systemd, a guardian in its unit's sandbox, day one of docs/DEPLOYMENT.md (needs Debian's systemd, bubblewrap, awscli, prometheus, openssl, curl)
	@for program in systemd-analyze bwrap aws prometheus promtool openssl curl; do \
		command -v $$program >/dev/null || { echo "$$program is missing: install the Debian packages systemd, bubblewrap, awscli, prometheus, openssl and curl" >&2; exit 1; }; \
	done
	go vet -tags deploy ./deploy ./docs
	$(LINT) run --build-tags deploy ./deploy ./docs
	$(KUBECTL_VALIDATE) --version $(KUBERNETES) deploy/kubernetes
	go test -tags deploy -count=1 ./deploy
	rm -rf bin/units && mkdir bin/units
	for unit in deploy/systemd/guardian*.{service,timer}; do sed 's#/usr/local/bin/#$(CURDIR)/bin/#' $$unit > bin/units/$${unit##*/}; done
	@said=$$(cd bin/units && systemd-analyze verify guardian* 2>&1) && [ -z "$$said" ] || { echo "$$said" >&2; exit 1; }
	for unit in bin/units/*.service; do systemd-analyze security --offline=true --no-pager --threshold=15 $$unit; done
	go test -tags deploy -count=1 -v -run '^TestDayOne$$' ./docs

# browser is a module of its own, with a dependency that the product must not have.
.PHONY: test-browser
test-browser: ## the operator's web page in Chromium (needs Debian's chromium and fonts-dejavu); GUARDIAN_TEST_SCREENSHOTS=dir keeps what it looks like
	@command -v chromium >/dev/null || { echo "chromium is missing: install the Debian packages chromium and fonts-dejavu" >&2; exit 1; }
	cd browser && go vet ./... && go test -count=1 -timeout 15m ./...

# rqlited cannot be installed from Go's module proxy. Whoever has one names it.
.PHONY: test-rqlite
test-rqlite: $(LINT) ## RQLITED=path: rqlite itself, one node and three whose leader is stopped, against its stand-in
	@program=$$(command -v -- "$${RQLITED-}") && "$$program" -version 2>&1 | grep '^rqlited ' || \
		{ echo "RQLITED is not a program of rqlite's server: make test-rqlite RQLITED=/path/to/rqlited" >&2; exit 1; }
	go vet -tags rqlite ./cluster/... ./cmd/guardian
	$(LINT) run --build-tags rqlite ./cluster/... ./cmd/guardian
	GUARDIAN_TEST_RQLITED=$$(realpath -- "$$(command -v -- "$$RQLITED")") CGO_ENABLED=1 \
		go test -tags rqlite -race -count=1 -timeout 20m -v -run '^TestReal' ./cluster/... ./cmd/guardian

.PHONY: bench
bench: ## benchmarks with their baselines, then bench-serve and bench-shamir; BENCH=regexp: only the benchmarks that match
	go test -run '^$$' -bench '$(BENCH)' $$(grep -rl --include='*_test.go' --exclude-dir='.?*' --exclude-dir=bench '^func Benchmark' . | xargs -n1 dirname | sort -u)
	$(if $(filter .,$(BENCH)),$(MAKE) --no-print-directory bench-serve bench-shamir)

.PHONY: bench-serve
bench-serve: build $(VERSITYGW) $(MINIO) ## real guardians under load beside bare servers, TURN=3s each; writes the tables of docs/BENCHMARKS.md; SHARES=200000 SHARES_BOLT=1000000 to have so many stored
	cd bench && go run ./serve -duration $(TURN) -shares $(SHARES) -shares-bolt $(SHARES_BOLT) -write ../docs/BENCHMARKS.md

# bench is a module of its own, with a dependency that the product must not have.
.PHONY: bench-shamir
bench-shamir: ## shamir on one core: its speed against Vault's package, then whether its time depends on secrets
	cd bench && go vet ./... && go test ./... && go run . && go run ./cttest

.PHONY: bench-repair
bench-repair: $(VERSITYGW) ## scrub, serving meanwhile, recovery and moving shares, with their baselines, at small sizes; see docs/BENCHMARKS.md for large ones
	cd bench && go run ./repair -quick

.PHONY: bench-move
bench-move: ## a refresh of IDENTITIES=10000 at N=5 and N=14, with its baselines
	cd bench && go run ./repair -slots 0 -s3-slots 0 -windows 0 -rounds 0 -identities $(IDENTITIES)

.PHONY: vet
vet:
	go vet ./...

.PHONY: lint
lint: $(LINT) ## the linters, import rules among them
	$(LINT) run ./...

.PHONY: tools
tools: $(LINT) $(VERSITYGW) $(MINIO) ## install what the tests need into .tools, pinned

# A version of its own per directory: a new version is installed beside the old.
$(VERSITYGW):
	CGO_ENABLED=0 GOBIN=$(dir $@) go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION)

$(MINIO):
	CGO_ENABLED=0 GOBIN=$(dir $@) go install github.com/minio/minio@$(MINIO_VERSION)

$(GOSH):
	CGO_ENABLED=0 GOBIN=$(dir $@) go install mvdan.cc/sh/v3/cmd/gosh@$(GOSH_VERSION)

$(COMPOSE):
	CGO_ENABLED=0 GOBIN=$(dir $@) go install github.com/docker/compose/v2/cmd@$(COMPOSE_VERSION)
	mv $(dir $@)cmd $@

$(KUBECTL_VALIDATE):
	CGO_ENABLED=0 GOBIN=$(dir $@) go install sigs.k8s.io/kubectl-validate@$(KUBECTL_VALIDATE_VERSION)

$(LINT):
	CGO_ENABLED=0 GOBIN=$(LINT_DIR) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

# Without the race detector, which test-long has look at all: the simulator, which lets
# one thing happen at a time, and what only computes; guardianctl, whose tests wait for
# processes and passphrases; a hundred guardians in one process; and the models of
# guardian, and its faults at every step of a move, which run by themselves below.
PLAIN := /(sim|record|manifest|envelope|shamir|repair/(secrecy|check|recovery)|cmd/guardianctl)$$
CONCURRENT := AtOnce|InARace|WithoutALock
STEPWISE := ^Test(Model.*|MovesFaultAtEveryStep|CleanersLeaveMovesAlone)$$

.PHONY: race
race: $(VERSITYGW) $(MINIO)
	CGO_ENABLED=1 go test -race -timeout 20m -parallel 4 -skip '^Test(Simulation|Join)$$|$(STEPWISE)' $$(go list ./... | grep -Ev '$(PLAIN)')
	CGO_ENABLED=1 go test -race -run '$(CONCURRENT)' ./repair/check

.PHONY: plain
plain: $(VERSITYGW) $(MINIO)
	go test -timeout 15m $$(go list ./... | grep -E '$(PLAIN)')
	go test -run '^Test(Simulation|Join)$$' ./cluster

# The race detector slows the model's search down tenfold; with it on the
# search is smaller.
.PHONY: model
model:
	go test -count=1 -run '$(STEPWISE)' ./guardian

.PHONY: sim
sim: ## simulated clusters, SIM_RUNS seeds of repair and audit and MOVE_RUNS of redistribution
	go test -count=1 -timeout 12h ./sim -run '^TestSimulation$$' -v -sim.runs=$(SIM_RUNS)
	go test -count=1 -timeout 12h ./sim -run '^TestMoveSimulation$$' -v -sim.runs=$(MOVE_RUNS)

.PHONY: soak
soak: $(VERSITYGW) ## SOAK_TIME=1h of load on every storage while guardians are killed, disks are full, buckets fail and clocks jump; by itself: test and test-long have 10 s of it
	go test ./cmd/guardian -count=1 -timeout 0 -parallel 8 -v -run '^TestSoak$$' -soak.time=$(SOAK_TIME) -soak.seed=$(SOAK_SEED)

.PHONY: fuzz
fuzz:
	.ci/fuzz $(FUZZ_TIME)

##@ Other

.PHONY: clean
clean: ## remove what was built; tools and data stay
	rm -rf bin dist

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
