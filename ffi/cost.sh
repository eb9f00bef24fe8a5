#!/usr/bin/env bash
# Counts the instructions of a decision over the ABI, beside the same in Rust, under
# callgrind: `name-rust`, `name-abi`, and what the ABI adds.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
cargo build --quiet --release --lib --package tollgate-ffi
cargo bench --quiet --package tollgate-ffi --bench cost --no-run \
    --message-format=json-render-diagnostics >"$work/built"
program=$(sed -n 's/.*"name":"cost".*"executable":"\([^"]*\)".*/\1/p' "$work/built")
[[ -x $program ]] || { echo "cargo did not name the program that it built" >&2; exit 1; }
valgrind --quiet --tool=callgrind --callgrind-out-file="$work/counts" \
    --toggle-collect=cost::counted --dump-after=cost::counted "$program" count >"$work/names"
nth=0
while read -r name decisions; do
    nth=$((nth + 1))
    [[ -f $work/counts.$nth ]] || { echo "$name was not counted" >&2; exit 1; }
    awk -v name="$name" -v decisions="$decisions" \
        '/^totals: / { printf "%s %.1f\n", name, $2 / decisions }' "$work/counts.$nth"
done <"$work/names" | awk '
    $1 ~ /-first$/ { next }
    { print; if (sub(/-abi$/, "", $1)) printf "%s-more %.1f\n", $1, $2 - rust; else rust = $2 }'
