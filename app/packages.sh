#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packages.sh - the one list of Debian 12 packages, by what they are for.
#
#   app/packages.sh build          what compiling needs
#   app/packages.sh build run      ... and what the quickstart's private network and client need
#   app/packages.sh build run test ... and what the tests need
#   app/packages.sh build run bench    for the benchmarks, which also draw
#   app/packages.sh node           node and npm, for a host that has none of its own
#
# Installs what is missing; asks apt for nothing when all is there.  coturn is not in the list:
# installing it would start a TURN service on this host; see fetch_coturn.sh.
set -euo pipefail

declare -A packages=(
	[build]="bpftool clang gcc libbpf-dev libc6-dev libcap-ng-dev libcyaml-dev libdpdk-dev
		libjansson-dev libmicrohttpd-dev libmnl-dev libnuma-dev libseccomp-dev libssl-dev
		libsystemd-dev libunistring-dev libxdp-dev libxxhash-dev libyaml-dev linux-libc-dev llvm meson
		ninja-build pkg-config zlib1g-dev"
	[run]="ca-certificates ethtool iproute2 iputils-ping libevent-core-2.1-7
		libevent-extra-2.1-7 procps python3"
	[test]="clang-format clang-tidy cppcheck git libclang-rt-14-dev libcmocka-dev librte-net-memif23
		librte-net-vhost23 librte-net-virtio23 pyflakes3 python3-aioice
		python3-pytest python3-scapy shellcheck uthash-dev"
	[node]="nodejs npm"
	[bench]="dpdk-dev gnuplot-nox libevent-openssl-2.1-7 libevent-pthreads-2.1-7 libhiredis0.14 libmariadb3 libpq5
		librte-net-memif23 librte-net-vhost23 librte-net-virtio23 libsqlite3-0"
)

missing=()
for set in "$@"; do
	for package in ${packages[$set]:?no such set of packages}; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing+=("$package")
	done
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "packages.sh: as root, please; missing: ${missing[*]}" >&2
	exit 1
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
