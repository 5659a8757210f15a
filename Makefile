# Every everyday command. None needs anything but rustup, a C compiler and make; what else is missing is installed
# (apt-get or Homebrew) or named in one line. Works as root too.

# Queries are checked against .sqlx, so that compiling needs no database. `make sqlx` renews it.
export SQLX_OFFLINE = true
with_postgres = scripts/with-postgres
tool = command -v cargo-$(1) >/dev/null || cargo install --locked cargo-$(1)
# Private items are documented too, so links to them lead somewhere.
DOC_LINTS = -D warnings -A rustdoc::private_intra_doc_links
SQLX_CLI = sqlx-cli --version ~0.9 --no-default-features --features postgres,sqlx-toml

.DEFAULT_GOAL := help
.PHONY: help dev test lint fmt fuzz bench db openapi sqlx sqlx-cli configuration rules release upgrade

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: ## Run everything: Postgres, a simulated Transak, the relay, a callback receiver
	@cargo run --locked -- dev

test: ## Run all tests beside a Postgres of their own; POSTGRES=18 for that version (15 to 18), ARGS="--test it" for some
	@scripts/install node:nodejs:node npm:npm:node
	@$(with_postgres) cargo test --locked --no-fail-fast $(ARGS)

lint: sqlx-cli ## Check format, lints, documentation, queries and dependencies
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	@cp Cargo.lock fuzz/Cargo.lock
	@# callback_url needs the nightly compiler that `make fuzz` asks for.
	if cargo fetch --quiet --manifest-path fuzz/Cargo.toml; \
	then cargo check --quiet --manifest-path fuzz/Cargo.toml --target-dir target --bin frame --bin claims --bin retry_after; \
	else echo "the fuzz targets are not checked: their crates cannot be fetched"; fi
	RUSTDOCFLAGS='$(DOC_LINTS)' cargo doc --locked --no-deps --document-private-items
	SQLX_OFFLINE=false $(with_postgres) sh -ec 'cargo sqlx migrate run && cargo sqlx prepare --check -- --all-targets'
	@$(call tool,machete)
	cargo machete
	@$(call tool,deny)
	scripts/deny

fmt: ## Format the code
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml

fuzz: ## Fuzz what strangers write, FUZZ_SECONDS (60) for each target; ARGS=frame for one
	@scripts/fuzz $(ARGS)

bench: ## Measure the relay (docs/performance.md); ARGS="--quick one gentle" for less
	@cargo bench --locked --bench relay -- $(ARGS)

db: ## Open psql on the database of a running `make dev`, or on a throw-away one
	@scripts/db

configuration: ## Write docs/configuration.md and docs/cli.md from the code
	cargo run --quiet --locked --example configuration >docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	cargo run --quiet --locked --example configuration commands >docs/cli.md.new && mv docs/cli.md.new docs/cli.md

release: ## Build the program and its bill of materials (CycloneDX), into target/release-files
	@$(call tool,cyclonedx)
	cargo build --release --locked --bin transak-relay
	cargo cyclonedx --format json --spec-version 1.5 --override-filename transak-relay.cdx
	mkdir -p target/release-files
	mv transak-relay.cdx.json target/release-files/
	cp target/release/transak-relay LICENSE target/release-files/
	cd target/release-files && sha256sum transak-relay transak-relay.cdx.json >SHA256SUMS && cat SHA256SUMS

upgrade: ## Run the newest tag's program and this one on one database
	@$(with_postgres) scripts/upgrade-test

rules: ## Check the alerts and run their tests
	@scripts/install promtool:prometheus:prometheus
	promtool check rules deploy/prometheus/rules.yml
	promtool test rules deploy/prometheus/rules_test.yml

openapi: ## Write openapi.yaml from the code
	cargo run --quiet --locked -- openapi >openapi.yaml.new && mv openapi.yaml.new openapi.yaml

sqlx: sqlx-cli ## Write .sqlx, the checked form of every query, from the migrations
	SQLX_OFFLINE=false $(with_postgres) sh -ec 'cargo sqlx migrate run && cargo sqlx prepare -- --all-targets'

sqlx-cli:
	@cargo sqlx --version 2>/dev/null | grep -q ' 0\.9\.' || cargo install --locked $(SQLX_CLI)
