# SPDX-License-Identifier: Apache-2.0
"""VLAN sub-interfaces: the kernel's, or on a kernel without 8021q, TAPs and a thread that moves
frames between them and the interface below, with a tag and without.

The relay is told by vlan_shim.c that such a TAP is a VLAN; all else is as real as it is with the
kernel's: XDP, workers, netlink, sockets, ARP and neighbour discovery.
"""

import fcntl
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading

import lab

SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4
ETH_P_ALL = 3
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002

HERE = pathlib.Path(__file__).parent


def with_tag(data, ancillary):
    """A received frame with the tag that the kernel took off it."""
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value[:20])
            if status & TP_STATUS_VLAN_VALID:
                return data[:12] + struct.pack(">HH", 0x8100, tci) + data[12:]
    return data


def has_kernel_vlans():
    """Can this kernel make VLAN devices?"""
    made = lab.run("unshare", "-n", "sh", "-c", "ip link add va0 type veth peer name vb0 && "
                   "ip link add link va0 name va0.7 type vlan id 7", check=False)
    return made.returncode == 0


class Carrier(threading.Thread):
    """One sub-interface without the kernel's help, until close()."""

    def __init__(self, net, role, parent, vid):
        super().__init__(daemon=True)
        self.tag = struct.pack(">HH", 0x8100, vid)
        self.below = net.socket(role, socket.AF_PACKET, socket.SOCK_RAW)
        self.below.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.below.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.below.bind((parent, ETH_P_ALL))
        with lab.inside(net.ns(role)):
            self.tap = os.open("/dev/net/tun", os.O_RDWR)
            name = f"{parent}.{vid}".encode()
            fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH", name, IFF_TAP_NO_PI) + bytes(22))
        self.quit, self._quit = os.pipe()

    def run(self):
        ready = select.poll()
        for fd in (self.below.fileno(), self.tap, self.quit):
            ready.register(fd, select.POLLIN)
        while True:
            fds = {fd for fd, _ in ready.poll()}
            if self.quit in fds:
                return
            try:
                if self.tap in fds:
                    data = os.read(self.tap, 65536)
                    self.below.send(data[:12] + self.tag + data[12:])
                if self.below.fileno() in fds:
                    self.up(*self.below.recvmsg(65536, 64)[:2])
            except OSError:
                pass  # down

    def up(self, data, ancillary):
        data = with_tag(data, ancillary)
        if data[12:14] == b"\x81\x00" and data[14] & 0xF == self.tag[2] and data[15] == self.tag[3]:
            os.write(self.tap, data[:12] + data[16:])

    def close(self):
        os.write(self._quit, b"x")
        self.join()
        for fd in (self.tap, self.quit, self._quit):
            os.close(fd)
        self.below.close()


class Vlans:
    """The sub-interfaces of a lab."""

    def __init__(self, net, directory):
        self.net = net
        self.carriers = {}
        self.is_real = has_kernel_vlans()
        if not self.is_real:
            shim = directory / "vlan_shim.so"
            subprocess.run(
                ["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "vlan_shim.c", "-ldl"], check=True
            )
            net.wrap = ("env", f"LD_PRELOAD={shim}", "ASAN_OPTIONS=verify_asan_link_order=0")

    def add(self, role, parent, vid, mac=None):
        """@return its name; up, with no addresses"""
        net, name = self.net, f"{parent}.{vid}"
        net.exec(role, "ethtool", "-K", parent, "txvlan", "off", "rxvlan", "off")
        if self.is_real:
            net.ip(role, "link", "add", "link", parent, "name", name, "type", "vlan", "id", str(vid))
        else:
            self.carriers[role, name] = Carrier(net, role, parent, vid)
            self.carriers[role, name].start()
            mac = mac or net.mac(role, parent)
        if mac:
            net.ip(role, "link", "set", name, "address", mac)
        net.ip(role, "link", "set", name, "up")
        return name

    def delete(self, role, name):
        if self.is_real:
            self.net.ip(role, "link", "del", name)
        else:
            self.carriers.pop((role, name)).close()

    def close(self):
        while self.carriers:
            self.carriers.popitem()[1].close()
