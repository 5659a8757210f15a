#!/bin/sh
# Prints the size of the database and the resident memory at each minute; exits 0 if both are flat. An argument is the
# number of minutes (15).
set -eu
cd "$(dirname "$0")/../.."
export SQLX_OFFLINE=true
cargo build --quiet --release --locked --bins --example chaos
exec target/release/examples/chaos soak "$@"
