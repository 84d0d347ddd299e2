#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# quickstart.sh - build turnpike and watch it relay; as root, on Debian 12.
#
#   app/quickstart.sh                  a relay and real TURN traffic in a private network
#   app/quickstart.sh --interface IF   a relay on a real interface, and credentials for it
#   app/quickstart.sh --seconds N      stop after N seconds; in the private network fails unless
#                                      workers forwarded packets in every family pair
#
# The private network is four network namespaces; the host's own network is not touched.
# Ctrl-C ends everything and leaves nothing behind but the build and the packages.
set -euo pipefail

export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
repo=$(cd "$(dirname "$0")/.." && pwd)

usage() { sed -n '5,11s/^# \{0,1\}//p' "$0"; }

fail() {
	echo "quickstart: $*" >&2
	exit 1
}

interface="" seconds=0
while [ $# -gt 0 ]; do
	case $1 in
	--interface) interface=${2:?--interface needs a name} && shift 2 ;;
	--seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
	--help | -h) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
done
[[ $seconds =~ ^[0-9]+$ ]] || fail "--seconds $seconds: must be a whole number"
[ "$(id -u)" -eq 0 ] || fail "as root, please: sudo $0"

# What is running, and how it ends

dir=$(mktemp -d /tmp/turnpike-quickstart.$$.XXXXXX)
namespaces=() children=() relay_pid=""
prefix=tpq$$-

# Recorded first: an interruption in between must find it.
add_namespace() {
	namespaces+=("$1")
	ip netns add "$1"
}

delete_namespace() {
	local pids
	pids=$(ip netns pids "$1" 2>/dev/null) || true
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
	ip netns del "$1" 2>/dev/null || true
}

cleanup() {
	trap '' INT TERM HUP
	local pid ns i
	for pid in "${children[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	if [ -n "$relay_pid" ]; then
		for i in {1..100}; do
			kill "$relay_pid" 2>/dev/null || break
			sleep 0.1
		done
		[ "$i" -lt 100 ] || kill -KILL "$relay_pid" 2>/dev/null || true
	fi
	for ns in "${namespaces[@]}"; do
		delete_namespace "$ns"
	done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A quickstart that was killed outright could not clean up: its pid is in the names it used.
# A process that nobody reaped has no command line.
is_alive() { [ -n "$(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline")" ]; } 2>/dev/null

for ns in $(ip netns list 2>/dev/null | awk '{ print $1 }'); do
	[[ $ns =~ ^tpq([0-9]+)- ]] && ! is_alive "${BASH_REMATCH[1]}" && delete_namespace "$ns"
done
for stale in /tmp/turnpike-quickstart.*; do
	[[ $stale =~ \.([0-9]+)\. ]] && ! is_alive "${BASH_REMATCH[1]}" && rm -rf "$stale"
done

# Packages and build.  TURNPIKE_BUILD names a build directory that is ready to use.

build=${TURNPIKE_BUILD:-}
if [ -z "$build" ]; then
	build=$repo/build
	"$repo/app/packages.sh" build run
	if ! [ -e "$build/build.ninja" ]; then
		rm -rf "$build"
		meson setup "$build" "$repo" >"$dir/log" 2>&1 || { cat "$dir/log" && fail "meson setup failed"; }
	fi
	echo "building in $build"
	ninja -C "$build" app/turnpike/turnpike app/turnpikectl/turnpikectl >"$dir/log" 2>&1 || { tail -n 50 "$dir/log" && fail "the build failed"; }
fi
turnpike=$build/app/turnpike/turnpike
turnpikectl=$build/app/turnpikectl/turnpikectl

# start_relay CMD...: in the background, until it says that it is ready.
start_relay() {
	setpriv --pdeathsig TERM "$@" "$turnpike" -c "$dir/turnpike.yaml" 2>"$dir/turnpike.log" &
	relay_pid=$!
	until grep -q ready "$dir/turnpike.log"; do
		if ! kill -0 $relay_pid 2>/dev/null; then
			cat "$dir/turnpike.log" >&2
			fail "turnpike did not start"
		fi
		sleep 0.1
	done
}

# watch OPTION...: the live table, until --seconds or Ctrl-C.
watch() {
	local status=0
	python3 "$repo/app/quickstart_table.py" --ctl "$turnpikectl" --socket "$dir/control.sock" \
		--seconds "$seconds" "$@" &
	children+=($!)
	wait $! || status=$?
	if ! kill -0 "$relay_pid" 2>/dev/null; then
		cat "$dir/turnpike.log" >&2
		fail "turnpike ended"
	fi
	return $status
}

# A relay on a real interface

# addresses FAMILY: of the interface, that a client elsewhere can use.
addresses() {
	ip -o "-$1" address show dev "$interface" scope global |
		grep -Ev 'temporary|deprecated|tentative' | awk '{ sub("/.*", "", $4); print $4 }'
}

on_interface() {
	[ -d "/sys/class/net/$interface" ] || fail "no interface $interface"
	local v4 v6 queues cpus q secret
	mapfile -t v4 < <(addresses 4)
	mapfile -t v6 < <(addresses 6)
	[ ${#v4[@]} -gt 0 ] || [ ${#v6[@]} -gt 0 ] ||
		fail "$interface has no address that clients could use"
	queues=$(find "/sys/class/net/$interface/queues/" -name 'rx-*' | wc -l)
	cpus=$(nproc)
	[ "$queues" -le "$cpus" ] ||
		fail "$interface has $queues queues for $cpus cores; first: ethtool -L $interface combined $cpus"
	secret=$(python3 -c 'import secrets; print(secrets.token_hex(16))')

	# Relayed ports are above the ephemeral ports of this host's own sockets.
	umask 077
	{
		echo "realm: turnpike"
		echo "listen:"
		printf -- '  - { address: "%s" }\n' "${v4[@]}" "${v6[@]}"
		echo "relay:"
		echo "  addresses:"
		printf -- '    - { address: "%s" }\n' "${v4[@]:0:1}" "${v6[@]:0:1}"
		echo "  ports: { min: 61000, max: 65535 }"
		echo "auth: { secrets: [ \"$secret\" ] }"
		echo "peers: { deny: [ recommended ] }"
		echo "interfaces: [ { name: $interface, mode: auto } ]"
		echo "cores:"
		for ((q = 0; q < queues; q++)); do
			echo "  - { cpu: $((cpus - 1 - q)), queues: [ \"$interface:$q\" ], idle: adaptive }"
		done
		echo "control: { socket: $dir/control.sock }"
	} >"$dir/turnpike.yaml"

	start_relay
	echo
	echo "ICE servers for the next 24 hours:"
	echo
	"$turnpikectl" --config "$dir/turnpike.yaml" credentials |
		python3 -c 'import json, sys; print(json.dumps({"iceServers": [json.load(sys.stdin)]}, indent=2))'
	if [[ ${v4[0]:-} =~ ^(10\.|192\.168\.|172\.(1[6-9]|2[0-9]|3[01])\.) ]]; then
		echo
		echo "The address is private: clients elsewhere need the public one in its place, and"
		echo "config/turnpike.yaml says how to name it (relay.addresses, external)."
	fi
	echo
	watch
}

# A private network with traffic in it

# add_host ROLE NUMBER: a namespace on the switch, with 10.3.4.NUMBER and fd34::NUMBER.
add_host() {
	local ns=$prefix$1 sw=${prefix}sw
	add_namespace "$ns"
	ip link add eth0 netns "$ns" type veth peer name "$1" netns "$sw"
	# A checksum left for hardware to fill in would be wrong on an AF_XDP socket.
	ip netns exec "$ns" ethtool -K eth0 tx off tso off gso off gro off >/dev/null
	ip netns exec "$sw" ethtool -K "$1" tx off tso off gso off gro off >/dev/null
	ip -n "$sw" link set "$1" master switch up
	ip -n "$ns" link set lo up
	ip -n "$ns" link set eth0 up
	ip -n "$ns" address add "10.3.4.$2/24" dev eth0
	ip -n "$ns" address add "fd34::$2/64" dev eth0 nodad
}

# traffic SERVER PEER OPTION...: coturn's client, again and again.
traffic() {
	local server=$1 peer=$2
	shift 2
	while [ -e "/run/netns/${prefix}client" ]; do
		ip netns exec "${prefix}client" "$coturn/turnutils_uclient" -u demo -w demo -c \
			-m 4 -n 2000 -l 200 -z 10 -e "$peer" "$@" "$server" >/dev/null 2>&1 || sleep 1
	done
}

in_private_network() {
	local coturn ip
	coturn=$("$repo/app/fetch_coturn.sh" "$repo/build-coturn")

	add_namespace "${prefix}sw"
	ip -n "${prefix}sw" link add switch type bridge mcast_snooping 0
	ip -n "${prefix}sw" link set switch up
	add_host relay 1
	add_host client 2
	add_host peer 3

	# `recommended` denies private addresses as peers, and this network has no others;
	# legacy_channels is for Debian's uclient, which picks numbers of RFC 5766.
	cat >"$dir/turnpike.yaml" <<-YAML
		realm: turnpike
		listen:
		  - { address: 10.3.4.1 }
		  - { address: "fd34::1" }
		relay:
		  addresses:
		    - { address: 10.3.4.1 }
		    - { address: "fd34::1" }
		auth: { users: [ { name: demo, password: demo } ] }
		peers:
		  deny: [ recommended ]
		  allow: [ 10.3.4.0/24, "fd34::/64" ]
		legacy_channels: true
		interfaces: [ { name: eth0, mode: auto } ]
		cores: [ { cpu: $(($(nproc) - 1)), queues: [ "eth0:0" ], idle: adaptive } ]
		control: { socket: $dir/control.sock }
	YAML
	start_relay ip netns exec "${prefix}relay"

	for ip in 10.3.4.3 fd34::3; do
		ip netns exec "${prefix}peer" "$coturn/turnutils_peer" -L $ip >/dev/null 2>&1 &
		children+=($!)
	done
	traffic 10.3.4.1 10.3.4.3 & children+=($!)
	traffic fd34::1 fd34::3 -x & children+=($!)
	traffic 10.3.4.1 fd34::3 -x & children+=($!)
	traffic fd34::1 10.3.4.3 & children+=($!)
	watch --every-pair
}

if [ -n "$interface" ]; then
	on_interface
else
	in_private_network
fi
