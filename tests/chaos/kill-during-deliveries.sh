#!/bin/sh
# Prints its figures; exits 0 if no delivery is left out and each that came twice is explained by a kill. An argument
# bounds the number of deliveries (20,000).
set -eu
cd "$(dirname "$0")/../.."
export SQLX_OFFLINE=true
cargo build --quiet --release --locked --bins --example chaos
exec target/release/examples/chaos kill-during-deliveries "${1:-20000}"
