#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch_webrtc.sh DIR - print the directory of node packages that package-lock.json asks for.
#
# Installs them into DIR, below which they stay until the lock file changes.  Takes node and npm
# as they are on this host, else Debian's.  Runs no package's install script: both packages come
# with their binaries in packages of their own, one for each kind of machine.
set -euo pipefail

dir=${1:?usage: fetch_webrtc.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	"$here/../../app/packages.sh" node
fi

if ! cmp -s "$here/package-lock.json" "$dir/package-lock.json"; then
	# Whole or not at all, so that an interrupted run leaves nothing half done.
	tmp=$(mktemp -d "$dir.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	cp "$here/package.json" "$here/package-lock.json" "$tmp"
	(cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier >&2)
	rm -rf "$dir"
	mv "$tmp" "$dir"
fi
echo "$(cd "$dir" && pwd)/node_modules"
