#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs a fuzz target on a copy of its corpus: run_fuzz.sh TARGET CORPUS SECONDS
# FUZZ_SECONDS=N in the environment is for longer runs; FUZZ_KEEP=DIR keeps what was found there.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
target=$(realpath "$1")
mkdir "$dir/corpus"
[ ! -d "$2" ] || cp "$2"/* "$dir/corpus/"
keep=${FUZZ_KEEP:-}
cd "$dir"
"$target" -max_total_time="${FUZZ_SECONDS:-$3}" -max_len=4096 -verbosity=0 -timeout=20 -print_final_stats=1 \
	${keep:+-artifact_prefix="$keep/"} "$dir/corpus"
[ -z "$keep" ] || cp -r "$dir/corpus" "$keep/$(basename "$target")"
