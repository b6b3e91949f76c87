#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs a fuzz target over a copy of its corpus: run_fuzz.sh TARGET CORPUS [SECONDS]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/corpus"
cp "$2"/* "$dir/corpus"
target=$(realpath "$1")
cd "$dir"
"$target" -max_total_time="${3:-15}" -max_len=2048 -verbosity=0 -timeout=20 "$dir/corpus"
