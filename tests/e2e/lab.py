# SPDX-License-Identifier: Apache-2.0
"""Private networks for the tests: namespaces, veths, and sockets inside them.

one NIC:   client --+                       two NICs:  client -- relay -- peer
           relay  --+-- bridge (sw)                    (the far addresses of client and peer are
           peer   --+                                   behind a gateway: static routes)

Nothing of the host's own network is touched: both ends of every veth are born in a namespace.
"""

import contextlib
import json
import os
import re
import socket
import subprocess

from bench.wire import netns
from bench.wire.netns import inside, run

_serial = 0

# Our namespaces: tpe<pid>n<serial>-<role>.  The pid tells whose they are.
_NAME = re.compile(r"^tpe(\d+)n\d+-")


def sweep():
    """Remove what a killed run left behind; namespaces of living runs stay."""
    netns.sweep(_NAME)


class Lab:
    """A set of namespaces by role; close() removes them and what runs in them."""

    def __init__(self, roles):
        global _serial
        _serial += 1
        self.prefix = f"tpe{os.getpid()}n{_serial}-"
        self.roles = roles
        self.wires = []  # of to_dpdk()
        for role in roles:
            run("ip", "netns", "add", self.ns(role))
            self.ip(role, "link", "set", "lo", "up")
            netns.sysctl(self.ns(role), netns.QUIET)
            for key, value in (
                ("ipv4/icmp_ratelimit", 0),
                ("ipv4/icmp_msgs_per_sec", 1000000),
                ("ipv4/icmp_msgs_burst", 1000000),
                ("ipv6/icmp/ratelimit", 0),
            ):
                self.sysctl(role, key, value)

    def ns(self, role):
        return self.prefix + role

    def exec(self, role, *cmd, **kw):
        return run("ip", "netns", "exec", self.ns(role), *cmd, **kw)

    def popen(self, role, *cmd, **kw):
        """`ip netns exec` execs: the process is the command itself."""
        return subprocess.Popen(["ip", "netns", "exec", self.ns(role), *cmd], **kw)

    def ip(self, role, *args):
        return run("ip", "-n", self.ns(role), *args)

    def sysctl(self, role, key, value):
        # Not every kernel has every key in every namespace.
        with contextlib.suppress(FileNotFoundError):
            netns.sysctl(self.ns(role), {key: value})

    def veth(self, role_a, name_a, role_b, name_b, queues=1):
        ends = ((role_a, name_a), (role_b, name_b))
        args = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
        run(
            *("ip", "link", "add", name_a, "netns", self.ns(role_a), *args, "type", "veth"),
            *("peer", "name", name_b, "netns", self.ns(role_b), *args),
        )
        for role, name in ends:
            # A checksum that no hardware will ever complete is wrong on an AF_XDP socket.
            off = [word for f in ("tx", "tso", "gso", "gro", "sg") for word in (f, "off")]
            self.exec(role, "ethtool", "-K", name, *off)
            self.ip(role, "link", "set", name, "up")

    def address(self, role, name, *prefixes):
        for prefix in prefixes:
            nodad = ["nodad"] if ":" in prefix else []
            self.ip(role, "address", "add", prefix, "dev", name, *nodad)

    def mac(self, role, name):
        link = json.loads(run("ip", "-n", self.ns(role), "-j", "link", "show", name).stdout)
        return link[0]["address"]

    def socket(self, role, family, kind, proto=0):
        with inside(self.ns(role)):
            return socket.socket(family, kind, proto)

    def udp(self, role, ip, port=0):
        """A bound UDP socket."""
        sock = self.socket(role, socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((ip, port))
        sock.settimeout(2)
        return sock

    def to_dpdk(self, role, name):
        """
        A TAP takes the place of a NIC, with its name, addresses and routes; the NIC becomes
        name + "w", and all that it receives goes to name + "t", a TAP that net_tap attaches to,
        and the other way.  @return that one's name
        """
        wire, tap = name + "w", name + "t"
        if wire in self.wires:
            return tap
        self.wires.append(wire)
        show = ("ip", "-n", self.ns(role), "-j")
        link = json.loads(run(*show, "address", "show", "dev", name).stdout)[0]
        routes = [
            (route["dst"], route["gateway"])
            for family in ("-4", "-6")
            for route in json.loads(run(*show, family, "route", "show", "dev", name).stdout)
            if "gateway" in route
        ]
        self.ip(role, "link", "set", name, "down")
        self.ip(role, "address", "flush", "dev", name)
        self.ip(role, "link", "set", name, "name", wire)
        self.ip(role, "tuntap", "add", "dev", name, "mode", "tap")
        self.ip(role, "tuntap", "add", "dev", tap, "mode", "tap", "multi_queue")
        for nic in (name, tap):
            self.ip(role, "link", "set", nic, "address", link["address"], "mtu", str(link["mtu"]))
        for nic in (wire, tap):
            self.ip(role, "link", "set", nic, "arp", "off")
            self.sysctl(role, f"ipv6/conf/{nic}/disable_ipv6", 1)
        self.join(role, wire, tap)
        for nic in (name, wire, tap):
            self.ip(role, "link", "set", nic, "up")
        self.address(
            *(role, name),
            *(
                f"{a['local']}/{a['prefixlen']}"
                for a in link["addr_info"]
                if a["scope"] == "global"
            ),
        )
        for dst, gateway in routes:
            self.ip(role, "route", "add", dst, "via", gateway)
        return tap

    def join(self, role, *ends):
        """What either of two interfaces receives leaves by the other, and the kernel sees none of it."""
        for this, other in (ends, ends[::-1]):
            self.exec(role, "tc", "qdisc", "add", "dev", this, "clsact")
            self.exec(
                *(role, "tc", "filter", "add", "dev", this, "ingress", "protocol", "all"),
                *("bpf", "bytecode", "1,6 0 0 4294967295", "flowid", "1:1"),  # whatever it is
                *("action", "mirred", "egress", "redirect", "dev", other),
            )

    def has_xdp(self, role, name):
        link = json.loads(run("ip", "-n", self.ns(role), "-j", "-d", "link", "show", name).stdout)
        return "xdp" in link[0]

    def close(self):
        for role in self.roles:
            netns.delete(self.ns(role))


class OneNic(Lab):
    """Client, relay and peer on one segment."""

    CLIENT = {4: "10.91.0.2", 6: "fd91::2"}
    PEER = {4: "10.91.0.3", 6: "fd91::3"}
    LISTEN = {4: "10.91.0.1", 6: "fd91::1"}
    LISTEN2 = {4: "10.91.0.11", 6: "fd91::11"}
    RELAY = LISTEN
    NIC = "relay0"
    INTERFACES = (NIC,)

    def __init__(self, queues=1):
        super().__init__(("client", "relay", "peer", "sw"))
        self.queues = queues
        self.sysctl("sw", "ipv6/conf/default/disable_ipv6", 1)
        self.ip("sw", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.ip("sw", "link", "set", "br0", "up")
        for role, hosts in (("client", (2,)), ("relay", (1, 11)), ("peer", (3,))):
            nic = role + "0"
            # Only here: what left by queue 1 of a first veth leaves the bridge by queue 0.
            self.veth(role, nic, "sw", role, queues if role == "relay" else 1)
            self.ip("sw", "link", "set", role, "master", "br0")
            self.address(role, nic, *(f"10.91.0.{n}/24" for n in hosts))
            self.address(role, nic, *(f"fd91::{n}/64" for n in hosts))


class TwoNics(Lab):
    """Clients behind one interface, peers behind the other, both behind a gateway."""

    CLIENT = {4: "10.94.1.2", 6: "fd94:1::2"}
    PEER = {4: "10.94.2.3", 6: "fd94:2::3"}
    LISTEN = {4: "10.92.1.1", 6: "fd92:1::1"}
    RELAY = {4: "10.92.2.1", 6: "fd92:2::1"}
    INTERFACES = ("front0", "back0")

    def __init__(self):
        super().__init__(("client", "relay", "peer"))
        for role, nic, net, host in (("client", "front0", 1, 2), ("peer", "back0", 2, 3)):
            self.veth(role, role + "0", "relay", nic)
            self.address("relay", nic, f"10.92.{net}.1/24", f"fd92:{net}::1/64")
            self.address(role, role + "0", f"10.92.{net}.{host}/24", f"fd92:{net}::{host}/64")
            # The address that talks is not on the link: the next hop is a gateway.
            self.address(role, "lo", f"10.94.{net}.{host}/32", f"fd94:{net}::{host}/128")
            self.ip(role, "route", "add", "10.92.0.0/16", "via", f"10.92.{net}.1")
            self.ip(role, "route", "add", "fd92::/16", "via", f"fd92:{net}::1")
            self.ip("relay", "route", "add", f"10.94.{net}.0/24", "via", f"10.92.{net}.{host}")
            self.ip("relay", "route", "add", f"fd94:{net}::/64", "via", f"fd92:{net}::{host}")


class ThreeNics(TwoNics):
    """Two ways to the peer, by back0 or by alt0; the relayed addresses are on no NIC."""

    RELAY = {4: "10.92.9.1", 6: "fd92:9::1"}
    INTERFACES = ("front0", "back0", "alt0")
    # To the peer: destination, gateway on back0, gateway on alt0.
    WAYS = {
        4: ("10.94.2.0/24", "10.92.2.3", "10.92.3.3"),
        6: ("fd94:2::/64", "fd92:2::3", "fd92:3::3"),
    }

    def __init__(self):
        super().__init__()
        self.veth("peer", "peer1", "relay", "alt0")
        self.address("relay", "alt0", "10.92.3.1/24", "fd92:3::1/64")
        self.address("peer", "peer1", "10.92.3.3/24", "fd92:3::3/64")
        self.address("relay", "lo", "10.92.9.1/32", "fd92:9::1/128")


class VlanNics(Lab):
    """Client and peer each at a NIC of the relay, by a VLAN of it or untagged (vid 0)."""

    CLIENT = {4: "10.93.1.2", 6: "fd93:1::2"}
    PEER = {4: "10.93.2.3", 6: "fd93:2::3"}
    LISTEN = {4: "10.93.1.1", 6: "fd93:1::1"}
    RELAY = {4: "10.93.2.1", 6: "fd93:2::1"}
    INTERFACES = ("front0", "back0")

    def __init__(self, make_vlans, client_vid, peer_vid, is_dpdk):
        super().__init__(("client", "relay", "peer"))
        self.vlans = make_vlans(self)
        self.links = {}  # role -> name of the interface with the addresses
        for role, nic, net, vid in (
            ("client", "front0", 1, client_vid),
            ("peer", "back0", 2, peer_vid),
        ):
            self.veth(role, role + "0", "relay", nic)
            if is_dpdk:  # VLANs are the kernel interface's
                self.to_dpdk("relay", nic)
            host = {"client": 2, "peer": 3}[role]
            for at, name, last in ((role, role + "0", host), ("relay", nic, 1)):
                if vid:
                    name = self.vlans.add(at, name, vid)
                self.address(at, name, f"10.93.{net}.{last}/24", f"fd93:{net}::{last}/64")
            self.links[role] = f"{role}0.{vid}" if vid else role + "0"

    def close(self):
        self.vlans.close()
        super().close()
