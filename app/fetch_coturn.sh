#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch_coturn.sh DIR - print the directory that holds turnutils_uclient and turnutils_peer.
#
# Takes them from PATH when they are there.  Otherwise unpacks Debian's coturn package into DIR
# without installing it: an installed coturn would run as a TURN server on this host.
set -euo pipefail

dir=${1:?usage: fetch_coturn.sh DIR}

if found=$(command -v turnutils_uclient) && command -v turnutils_peer >/dev/null; then
	dirname "$found"
	exit 0
fi

if ! [ -x "$dir/usr/bin/turnutils_uclient" ]; then
	# Whole or not at all, so that an interrupted run leaves nothing half done.
	tmp=$(mktemp -d "$dir.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	(
		cd "$tmp"
		# Unpacked as root in a directory only root can write: no sandbox user to download as.
		download=(apt-get -qq -o APT::Sandbox::User=root download coturn)
		"${download[@]}" >/dev/null 2>&1 ||
			{ apt-get update -qq >&2 && "${download[@]}" >/dev/null; }
		dpkg-deb -x coturn_*.deb root
	)
	rm -rf "$dir"
	mv "$tmp/root" "$dir"
fi
echo "$dir/usr/bin"
