# SPDX-License-Identifier: Apache-2.0
"""Frames as they arrive at an interface, and whether their checksums are true."""

import logging
import socket

logging.getLogger("scapy").setLevel(logging.ERROR)

import vlan
from scapy.layers.inet import IP, UDP, Ether
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment

ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33


class Sniffer:
    """Collects from its making on; frames() gives what has come in, oldest first.

    With outgoing also what has gone out.
    """

    def __init__(self, net, role, interface, outgoing=False):
        self.outgoing = outgoing
        # Of no protocol until it is bound: else it begins with frames of all interfaces.
        self.sock = net.socket(role, socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.sock.setsockopt(vlan.SOL_PACKET, vlan.PACKET_AUXDATA, 1)
        self.sock.bind((interface, ETH_P_ALL))
        self.sock.setblocking(False)

    def frames(self):
        while True:
            try:
                data, ancillary, _, address = self.sock.recvmsg(65536, 64)
            except BlockingIOError:
                return
            if self.outgoing or address[2] != PACKET_OUTGOING:
                yield Ether(vlan.with_tag(data, ancillary))

    def udp(self, src=None, dport=None):
        """IP packets in order that hold a whole UDP datagram, as asked for."""
        found = []
        for frame in self.frames():
            ip = frame.getlayer(IP) or frame.getlayer(IPv6)
            if ip is None or UDP not in ip or is_fragment(ip):
                continue
            if src in (None, ip.src) and dport in (None, ip[UDP].dport):
                found.append(ip)
        return found

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_fragment(ip):
    if ip.version == 4:
        return ip.flags.MF or ip.frag != 0
    return IPv6ExtHdrFragment in ip


def check_checksums(ip):
    """Recompute from nothing: IPv4 header and UDP, the latter not absent."""
    fresh = ip.copy()
    if ip.version == 4:
        del fresh.chksum
    del fresh[UDP].chksum
    fresh = type(ip)(bytes(fresh))
    if ip.version == 4:
        assert ip.chksum == fresh.chksum, f"IPv4 header checksum of {ip.summary()}"
    assert ip[UDP].chksum == fresh[UDP].chksum, f"UDP checksum of {ip.summary()}"


def traffic_class(ip):
    return ip.tos if ip.version == 4 else ip.tc


def hops_left(ip):
    return ip.ttl if ip.version == 4 else ip.hlim
