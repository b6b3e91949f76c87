#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs a fuzz target from a fresh seed corpus: run_fuzz.sh CORPUS_MAKE TARGET wire|engine [SECONDS]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/wire" "$dir/engine"
"$1" "$dir/wire" "$dir/engine"
target=$(realpath "$2")
cd "$dir"
"$target" -max_total_time="${4:-30}" -max_len=4096 -verbosity=0 -timeout=20 "$dir/$3"
