#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# lockfile - package-lock.json holds versions and hashes, and names no server.
#
# Where packages come from is for the host's npm to know.  tests/e2e/.npmrc makes npm leave the
# address out; a lock file written elsewhere would have it back.
#
# usage: lockfile.sh [source directory]
set -euo pipefail

cd "${1:-$(dirname "$0")/../..}"

lock=tests/e2e/package-lock.json
grep -q '"integrity": "sha512-' "$lock" || { echo "$lock: no hashes" >&2; exit 1; }
! grep -nE '"resolved"|://' "$lock"
