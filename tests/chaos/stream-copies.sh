#!/bin/sh
# Prints its figures; exits 0 if nothing is missing and each unheard moment lies in a gap. An argument bounds the number of events (10,000).
set -eu
cd "$(dirname "$0")/../.."
export SQLX_OFFLINE=true
cargo build --quiet --release --locked --bins --example chaos
exec target/release/examples/chaos stream-copies "$@"
