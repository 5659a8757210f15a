#!/bin/sh
# Prints its figures; exits 0 if the relay's memory stays flat and no stranger holds a request longer than the deadline.
# Takes about two minutes. An argument names the one kind that all 64 are of, such as "a body of one byte a second".
set -eu
cd "$(dirname "$0")/../.."
export SQLX_OFFLINE=true
cargo build --quiet --release --locked --bins --example chaos
exec target/release/examples/chaos hostile-receivers "$@"
