#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# coverage.sh - lines of lib/wire and lib/turn that tests run: of all, and of each file.
#
#   tests/coverage.sh [--floor PERCENT] [BUILD]
#
# Builds what sees nothing above lib/turn, with gcc's coverage, into BUILD (build-cov); runs the
# unit tests, the simulator and the fuzzers' corpora.  Fails when less than PERCENT are run.
set -euo pipefail

cd "$(dirname "$0")/.."

floor=0
if [ "${1:-}" = --floor ]; then
	floor=$2
	shift 2
fi
build=${1:-build-cov}

# What includes a layer above would be linked for nothing.
tests=()
for source in tests/unit/test_*.c; do
	name=$(basename "$source" .c)
	grep -qE '#include "(app|bench|bpf|flow|io|packet|fake_kernel|eal)[./]' "$source" || tests+=("$name")
done
replays=(replay_icmp replay_stun replay_turn)

if ! [ -e "$build/build.ninja" ]; then
	rm -rf "$build"
	CC=gcc meson setup "$build" -Db_coverage=true >/dev/null
fi
ninja -C "$build" "${tests[@]/#/tests/}" tests/sim/turn_sim "${replays[@]/#/tests/fuzz/}" >"$build/build.log" ||
	{ tail -n 40 "$build/build.log"; exit 1; }
find "$build" -name '*.gcda' -delete
meson test -C "$build" --no-rebuild --print-errorlogs "${tests[@]#test_}" "${replays[@]}" \
	turn_sim_1 turn_sim_2 >"$build/test.log" || { tail -n 40 "$build/test.log"; exit 1; }

exec python3 tests/coverage.py --floor "$floor" "$build" lib/wire lib/turn
