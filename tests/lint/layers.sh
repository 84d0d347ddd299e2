#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# layers - includes flow one way: base <- wire <- turn <- flow <- io <- app.
#
# bench/ is above them all and may include any.  Headers of bpf/ are for bpf/, lib/io, app/ and
# bench/.  lib/wire and lib/turn know nothing of DPDK.
# Prints every edge that goes up, and fails if there is one.
#
# usage: layers.sh [source directory]
set -euo pipefail

cd "${1:-$(dirname "$0")/../..}"

# The layer of a path as it is in the tree or in an include; nothing if it is none of ours.
layer() {
	case "$1" in
	lib/*/*) layer "${1#lib/}" ;;
	base/* | wire/* | turn/* | flow/* | io/* | app/* | bpf/* | bench/*) echo "${1%%/*}" ;;
	esac
}

rank() {
	case "$1" in
	base) echo 0 ;;
	wire) echo 1 ;;
	turn) echo 2 ;;
	flow) echo 3 ;;
	io) echo 4 ;;
	app) echo 5 ;;
	bench) echo 6 ;;
	esac
}

# $1: layer of the file, $2: what it includes, in quotes or in angle brackets
is_allowed() {
	local to

	case "$2" in
	../* | */../*) return 1 ;;
	rte_*)
		[[ $1 != wire && $1 != turn ]]
		return
		;;
	esac

	# Without a directory: of the file's own, or of the system.  The skeletons are generated from bpf/.
	to=$(layer "$2")
	if [[ $2 == *.skel.h ]]; then
		to=bpf
	fi
	if [[ -z $to || $to == "$1" ]]; then
		return 0
	fi
	if [[ $to == bpf ]]; then
		[[ $1 == io || $1 == app || $1 == bench ]]
		return
	fi
	[[ $1 != bpf ]] && (($(rank "$to") < $(rank "$1")))
}

bad=0
n=0
include='^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]'
while IFS=: read -r file line text; do
	name=${text#*[\"<]}
	name=${name%%[\">]*}
	n=$((n + 1))
	if ! is_allowed "$(layer "$file")" "$name"; then
		echo "$file:$line: $name is not below this layer"
		bad=$((bad + 1))
	fi
done < <(grep -rnE --include='*.[ch]' "$include" lib app bpf bench)

# No include at all means that the check looked in the wrong place.
if ((n == 0)); then
	echo "layers: no includes found" >&2
	exit 1
fi
((bad == 0))
