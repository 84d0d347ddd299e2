# SPDX-License-Identifier: Apache-2.0
"""A TURN relay on paper: what RFC 8656 sections 11-14 and RFC 7915 make of one frame.

Written from the text of the RFCs and from nothing of the relay under test.  Given the facts of the
allocations, receive() says what has to leave for a frame that came in.  Where the text leaves a
choice, every output it allows is there: `preferred` and, where section 13 or 14 has one,
`alternate`.
"""

import functools
import ipaddress
import logging
from typing import NamedTuple

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from scapy.utils import checksum

# What becomes of a frame.
SEND = "send"  # one of Outcome.preferred leaves
SILENCE = "silence"  # discarded, and nobody is told
ICMP = "icmp"  # discarded, and the sender is told: the kernel path's work
KERNEL = "kernel"  # not for a worker to decide: options, fragments, STUN, no channel, too big

DF_CLEAR_MAX = 1260  # RFC 7915 section 5.1
LOWEST_IPV6_MTU = 1280  # RFC 7915 section 4.1


class Addr(NamedTuple):
    ip: str
    port: int

    @property
    def family(self):
        return 6 if ":" in self.ip else 4


class Hop(NamedTuple):
    """How a packet leaves: destination and source MAC, and a tag if the link has one."""

    l2: bytes  # all before the ethertype
    mtu: int
    port: int = 0


class Allocation(NamedTuple):
    """An allocation with one peer, which has a channel, or a permission only."""

    client: Addr
    server: Addr
    relayed: Addr
    peer: Addr
    channel: int | None  # None: the peer's address is permitted, no more
    to_client: Hop | None  # None: the next hop is not known yet
    to_peer: Hop | None
    is_alive: bool = True  # False: the time of channel and permission is over


class Message(NamedTuple):
    """What a client's packet has behind the UDP header, or a peer's: `data` and how it is wrapped."""

    data: bytes
    channel: int | None = None
    peer: Addr | None = None  # Data indication: from whom
    tid: bytes = bytes(12)

    def bytes(self):
        if self.channel is not None:  # section 12.5; over UDP without padding
            return self.channel.to_bytes(2, "big") + len(self.data).to_bytes(2, "big") + self.data
        if self.peer is not None:
            return indication(DATA_INDICATION, self.peer, self.data, self.tid)
        return self.data


class Outcome(NamedTuple):
    kind: str
    why: str
    # Of SEND: the packets that may leave, any of them; then those of the alternate behaviour.
    hop: Hop | None = None
    src: Addr | None = None
    dst: Addr | None = None
    message: Message | None = None
    preferred: tuple = ()  # of Header
    alternate: tuple = ()
    may_drop: bool = False  # to discard it instead is as good
    may_defer: bool = False  # the kernel path may do it instead

    def frames(self, got=None, with_alternate=False):
        """All that may leave; transaction ids are random, so that of `got` is taken."""
        message = self.message
        if message.peer is not None and got is not None:
            message = message._replace(tid=transaction_id(got))
        headers = self.preferred + (self.alternate if with_alternate else ())
        data = message.bytes()
        for header in dict.fromkeys(headers):
            yield frame_of(self.hop, self.src, self.dst, header, data)


class Discard(Exception):
    """The frame breaks a rule of its own header."""


class Defer(Exception):
    """Not a plain UDP datagram."""


class Datagram(NamedTuple):
    src: Addr
    dst: Addr
    tos: int
    ttl: int
    df: bool  # of IPv4
    data: bytes
    error: int | None  # of the UDP checksum: 0 is right, None: there is none


class Header(NamedTuple):
    """The fields of a packet that the relay hands on, between two legs."""

    family: int
    tos: int
    ttl: int
    df: bool
    error: int | None


@functools.cache
def packed(ip):
    return ipaddress.ip_address(ip).packed


def udp_sum(src, dst, datagram):
    """The checksum that the datagram should have, its own field taken as zero (RFC 768)."""
    pseudo = packed(src.ip) + packed(dst.ip) + len(datagram).to_bytes(4, "big") + b"\0\0\0\x11"
    return checksum(pseudo + datagram[:6] + b"\0\0" + datagram[8:]) or 0xFFFF


def ip_header_len(family):
    return 20 if family == 4 else 40


# ---- STUN indications (RFC 8489 sections 5 and 14, RFC 8656 sections 11 and 18) ----

SEND_INDICATION, DATA_INDICATION = 0x0016, 0x0017
COOKIE = bytes.fromhex("2112a442")
XOR_PEER_ADDRESS, DATA, DONT_FRAGMENT = 0x0012, 0x0013, 0x001A
# Known, but with no business in a Send indication: ignored (RFC 8489 section 14).
REQUIRED = {1, 6, 8, 9, 10, 0xC, 0xD, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x20, 0x22}


def attribute(kind, value, pad=0):
    padding = bytes([pad]) * (-len(value) % 4)
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + padding


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xor_address(addr, tid):
    port = xor(addr.port.to_bytes(2, "big"), COOKIE)
    return (b"\0\1" if addr.family == 4 else b"\0\2") + port + xor(packed(addr.ip), COOKIE + tid)


def stun(kind, tid, *attributes):
    body = b"".join(attributes)
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + COOKIE + tid + body


def indication(kind, peer, data, tid, pad=0):
    """The order of attributes is free; all paths of this relay put DATA last."""
    return stun(
        kind,
        tid,
        attribute(XOR_PEER_ADDRESS, xor_address(peer, tid)),
        attribute(DATA, data, pad),
    )


def attributes_of(message):
    """[(type, value)]; Discard when the lengths are not true."""
    if len(message) < 20 or message[4:8] != COOKIE:
        raise Discard("not STUN")
    if int.from_bytes(message[2:4], "big") != len(message) - 20 or len(message) % 4 != 0:
        raise Discard("STUN length")
    found, at = [], 20
    while at < len(message):
        size = int.from_bytes(message[at + 2 : at + 4], "big")
        if at + 4 + size > len(message):
            raise Discard("attribute length")
        kind = int.from_bytes(message[at : at + 2], "big")
        found.append((kind, message[at + 4 : at + 4 + size]))
        at += 4 + size + -size % 4
    return found


def parse_send(message):
    """(peer, data, has DONT-FRAGMENT, is it the plain form)"""
    attributes = attributes_of(message)
    first = dict(reversed(attributes))  # the first of a kind counts
    if any(kind < 0x8000 and kind not in REQUIRED for kind in first):
        raise Discard("unknown attribute that has to be understood")
    value = first.get(XOR_PEER_ADDRESS, b"")
    if DATA not in first or len(value) < 4 or (value[1], len(value)) not in ((1, 8), (2, 20)):
        raise Discard("no peer or no data")
    port = int.from_bytes(xor(value[2:4], COOKIE), "big")
    ip = ipaddress.ip_address(xor(value[4:], COOKIE + message[8:20]))
    is_plain = [kind for kind, _ in attributes] == [XOR_PEER_ADDRESS, DATA]
    return Addr(str(ip), port), first[DATA], DONT_FRAGMENT in first, is_plain


# ---- receiving ----


def strip_link(frame):
    """(ethertype, the rest); at most one tag, whose number does not matter."""
    if len(frame) < 14:
        raise Discard("no Ethernet header")
    at = 12
    if frame[12:14] == b"\x81\x00":
        if len(frame) < 18:
            raise Discard("no room for the tag")
        at = 16
    return int.from_bytes(frame[at : at + 2], "big"), frame[at + 2 :]


def parse_ipv4(packet):
    """(header, UDP datagram with what follows it in the packet)"""
    if len(packet) < 20:
        raise Discard("no IPv4 header")
    ip = IP(packet[:20])
    if ip.version != 4 or ip.ihl < 5:
        raise Discard("not IPv4")
    if ip.len < 4 * ip.ihl or ip.len > len(packet):
        raise Discard("IPv4 length")
    if checksum(packet[: 4 * ip.ihl]) != 0:
        raise Discard("IPv4 header checksum")  # RFC 1122 section 3.2.1.2
    if ip.proto != 17:
        raise Defer("not UDP")
    if ip.flags.MF or ip.frag != 0:
        raise Defer("fragment")
    if ip.ihl > 5:
        raise Defer("IPv4 options")
    header = Header(4, ip.tos, ip.ttl, bool(ip.flags.DF), None)
    return ip, header, packet[20 : ip.len]


def parse_ipv6(packet):
    if len(packet) < 40:
        raise Discard("no IPv6 header")
    ip = IPv6(packet[:40])
    if ip.version != 6:
        raise Discard("not IPv6")
    if ip.plen > len(packet) - 40:
        raise Discard("IPv6 length")
    if ip.nh != 17:
        raise Defer("not UDP, or an extension header")
    return ip, Header(6, ip.tc, ip.hlim, False, None), packet[40 : 40 + ip.plen]


def parse(frame):
    """A frame with a whole UDP datagram, every length checked; or Discard, or Defer."""
    kind, rest = strip_link(frame)
    if kind == 0x0800:
        ip, header, rest = parse_ipv4(rest)
    elif kind == 0x86DD:
        ip, header, rest = parse_ipv6(rest)
    else:
        raise Defer("neither IPv4 nor IPv6")
    if len(rest) < 8:
        raise Discard("no UDP header")
    udp = UDP(rest[:8])
    if udp.len < 8 or udp.len > len(rest):
        raise Discard("UDP length")
    src, dst = Addr(ip.src, udp.sport), Addr(ip.dst, udp.dport)
    error = None
    if udp.chksum != 0:
        error = (udp.chksum - udp_sum(src, dst, rest[: udp.len])) % 0xFFFF
    elif header.family == 6:
        raise Discard("no UDP checksum over IPv6")  # RFC 8200 section 8.1
    return Datagram(src, dst, header.tos, header.ttl, header.df, rest[8 : udp.len], error)


# ---- sending ----


def carry(header, family, length):
    """Header fields of the packet that leaves; `length` is its own (sections 13.1-13.3, 14)."""
    df = False
    if family == 4:
        df = header.df if header.family == 4 else length > DF_CLEAR_MAX
    error = header.error
    if family == 6 and error is None:
        error = 0  # RFC 7915 section 4.5: computed
    # DSCP and ECN: copied in all sections.  TTL: 13.1-13.3; from IPv4 to IPv4 as section 21.1.7
    # has it against loops.
    return Header(family, header.tos, header.ttl - 1, df, error)


def datagram_bytes(ip, src_port, dst_port, data):
    """IP and UDP as scapy writes them, with its lengths and checksums."""
    layers = ip, UDP(sport=src_port, dport=dst_port), Raw(data)
    for layer in layers:
        # No field stands for many values, so scapy need not look for them: most of its time.
        layer.explicit = 1
    ip.add_payload(layers[1])
    layers[1].add_payload(layers[2])
    return bytes(ip)


def frame_of(hop, src, dst, header, data):
    """The frame that leaves.  Identification and flow label are 0 here; see LOOSE."""
    if header.family == 4:
        flags = "DF" if header.df else 0
        ip = IP(src=src.ip, dst=dst.ip, tos=header.tos, ttl=header.ttl, flags=flags, id=0)
    else:
        ip = IPv6(src=src.ip, dst=dst.ip, tc=header.tos, hlim=header.ttl, fl=0)
    packet = datagram_bytes(ip, src.port, dst.port, data)
    at = ip_header_len(header.family) + 6
    csum = 0
    if header.error is not None:
        # What was wrong by so much stays wrong by so much: the relay must not make it right.
        csum = (int.from_bytes(packet[at : at + 2], "big") + header.error) % 0xFFFF or 0xFFFF
    packet = packet[:at] + csum.to_bytes(2, "big") + packet[at + 2 :]
    return hop.l2 + (b"\x08\x00" if header.family == 4 else b"\x86\xdd") + packet


def header_of(datagram):
    return Header(
        datagram.src.family, datagram.tos, datagram.ttl, datagram.df, datagram.error
    )


class Relay:
    def __init__(self, allocations, relay_ports=range(49152, 65536)):
        self.relay_ports = relay_ports
        self.by_client = {(a.client, a.server): a for a in allocations}
        self.by_relayed = {a.relayed: a for a in allocations}

    def receive(self, frame):
        try:
            datagram = parse(frame)
        except Discard as why:
            return Outcome(SILENCE, str(why))
        except Defer as why:
            return Outcome(KERNEL, str(why), may_drop=True)
        if datagram.dst.port in self.relay_ports:
            return self.from_peer(datagram)
        return self.from_client(datagram)

    # Client to peer

    def from_client(self, datagram):
        allocation = self.by_client.get((datagram.src, datagram.dst))
        data = datagram.data
        if allocation is None or len(data) == 0:
            return Outcome(KERNEL, "no data of a client", may_drop=allocation is not None)
        if data[0] < 0x40:
            return self.indication(allocation, datagram)
        if data[0] > 0x4F:  # section 12.6, and table 3
            return Outcome(SILENCE, "reserved range")
        size = int.from_bytes(data[2:4], "big")
        if len(data) < 4 or size > len(data) - 4:
            return Outcome(SILENCE, "ChannelData is cut short")
        number = int.from_bytes(data[:2], "big")
        if allocation.channel != number or not allocation.is_alive:
            return Outcome(SILENCE, "channel is not bound")
        outcome = self.up(allocation, allocation.peer, datagram, data[4 : 4 + size])
        if len(data) - 4 - size > 3:
            # More than padding to a multiple of four.  Longer is no error (section 12.6), but it is
            # unusual enough for the kernel path.
            return outcome._replace(may_defer=True)
        return outcome

    def indication(self, allocation, datagram):
        """Section 11.2."""
        if datagram.data[:2] != SEND_INDICATION.to_bytes(2, "big"):
            return Outcome(KERNEL, "not a Send indication")
        try:
            peer, data, dont_fragment, is_plain = parse_send(datagram.data)
        except Discard as why:
            return Outcome(SILENCE, str(why))
        if peer.ip != allocation.peer.ip or not allocation.is_alive:
            return Outcome(SILENCE, "no permission")
        if peer.port == 0:
            return Outcome(SILENCE, "no port")
        if dont_fragment and datagram.src.family == 4 and peer.family == 4:
            datagram = datagram._replace(df=True)  # section 14; ignored in section 13
        outcome = self.up(allocation, peer, datagram, data)
        # Where channels do all of it, indications are the kernel path's.
        is_fast = is_plain and allocation.channel is None
        return outcome if is_fast else outcome._replace(may_defer=True)

    def up(self, allocation, peer, datagram, data):
        # Also what names a relayed address of this host goes to a peer: the other client's.
        if any(peer.ip == relayed.ip for relayed in self.by_relayed):
            return self.hairpin(allocation, peer, datagram, data)
        return self.leave(datagram, allocation.relayed, peer, Message(data), allocation.to_peer)

    def hairpin(self, allocation, peer, datagram, data):
        other = self.by_relayed.get(peer)
        message = other and self.message_down(other, allocation.relayed, data)
        if message is None:
            return Outcome(KERNEL, "the other client does not want it")
        # Seen from outside a relayed packet has crossed two legs, one after the other.  One host
        # may as well count itself once: sections 13 and 14 speak of a packet in, a packet out.
        middle_family = allocation.relayed.family
        middle_len = ip_header_len(middle_family) + 8 + len(data)
        middle = carry(header_of(datagram), middle_family, middle_len)
        return self.leave(
            datagram, other.server, other.client, message, other.to_client, middle=middle
        )

    # Peer to client

    @staticmethod
    def message_down(allocation, peer, data):
        """Sections 11.3 and 12.7; None: no permission."""
        if not allocation.is_alive or peer.ip != allocation.peer.ip:
            return None
        if allocation.channel is None:
            return Message(data, peer=peer)
        if peer != allocation.peer:
            return None  # a channel's permission is for the kernel path to know
        return Message(data, channel=allocation.channel)

    def from_peer(self, datagram):
        allocation = self.by_relayed.get(datagram.dst)
        message = allocation and self.message_down(allocation, datagram.src, datagram.data)
        if message is None:
            # A Data indication, silence, or a port unreachable: the kernel path knows.
            return Outcome(KERNEL, "no channel for this peer")
        return self.leave(
            datagram, allocation.server, allocation.client, message, allocation.to_client
        )

    # Sections 13 and 14

    @staticmethod
    def leave(datagram, src, dst, message, hop, middle=None):
        header = header_of(datagram)
        length = ip_header_len(dst.family) + 8 + len(message.bytes())
        if datagram.ttl <= 1:
            return Outcome(ICMP, "TTL")  # RFC 7915 sections 4.1 and 5.1, RFC 8656 section 13.2
        if hop is None:
            return Outcome(KERNEL, "no next hop")
        if length > hop.mtu:
            may_fragment = header.family == 4 and not header.df
            return Outcome(KERNEL if may_fragment else ICMP, "too big")

        headers = [carry(header, dst.family, length)]
        if middle is not None and middle.ttl > 1:
            # Both ways of counting, and of looking at DF and at an absent checksum.
            twice = carry(middle, dst.family, length)
            headers += [twice, headers[0]._replace(ttl=twice.ttl)]
            headers += [twice._replace(ttl=headers[0].ttl)]
        alternate = []
        if dst.family == 4:
            # Section 14: "always assume the incoming DF bit is 0"; 13.3: the system's default.
            for df in (False,) if header.family == 4 else (False, True):
                alternate += [h._replace(df=df) for h in headers]
            # A checksum may be computed where none was asked for.
            both = headers + alternate
            alternate += [h._replace(error=0) for h in both if h.error is None]
        return Outcome(
            SEND,
            "relayed",
            *(hop, src, dst, message, tuple(dict.fromkeys(headers)), tuple(alternate)),
            # Nobody asks a relay to hand on what is broken.
            may_drop=header.error not in (None, 0),
            # RFC 7915 section 4.1, SHOULD: in fragments that fit LOWEST_IPV6_MTU.  Whole, if the
            # link takes it, is section 13.1's alternate behaviour.
            may_defer=dst.family == 6
            and header.family == 4
            and not header.df
            and length > LOWEST_IPV6_MTU,
        )


# ---- comparing ----


def udp_payload(frame):
    """Of a frame with plain headers; what is there when they are not."""
    kind, packet = strip_link(frame)
    return packet[(28 if kind == 0x0800 else 48) :]


def udp_checksum(frame):
    kind, packet = strip_link(frame)
    return packet[26:28] if kind == 0x0800 else packet[46:48]


def transaction_id(frame):
    return udp_payload(frame)[8:20].ljust(12, b"\0")


def without_transaction(data):
    """A Data indication without its id, and without the IPv6 address that is XORed with it."""
    if data[:2] != DATA_INDICATION.to_bytes(2, "big"):
        return data
    return data[:8] + data[20:28] + data[44 if data[23:24] == b"\x14" else 28 :]


class Loose(NamedTuple):
    """The fields of a frame in which the RFCs ask for no certain value."""

    identification: int | None  # of IPv4: fresh for each packet (section 14), unless DF
    label: int | None  # of IPv6: of the flow, or 0, and not a copy


def loosen(frame):
    """(the frame with those fields and the checksum over them at 0, the fields).

    The header checksum of IPv4 has to be right, or it stays and will not match.
    """
    kind, packet = strip_link(frame)
    link = frame[: len(frame) - len(packet)]
    if kind == 0x0800 and len(packet) >= 20:
        loose = Loose(int.from_bytes(packet[4:6], "big"), None)
        if checksum(packet[:20]) == 0:
            packet = packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]
        return link + packet, loose
    if kind == 0x86DD and len(packet) >= 40:
        label = int.from_bytes(packet[1:4], "big") & 0xFFFFF
        packet = packet[:1] + bytes([packet[1] & 0xF0, 0, 0]) + packet[4:]
        return link + packet, Loose(None, label)
    return frame, Loose(None, None)


def matches(frame, outcome, with_alternate=False):
    """Is the frame one of those that may leave?"""
    got = loosen(frame)[0]
    return any(got == loosen(f)[0] for f in outcome.frames(frame, with_alternate))


def describe(frame):
    """One line for people."""
    try:
        kind, packet = strip_link(frame)
        layer = {0x0800: IP, 0x86DD: IPv6}[kind](packet)
        return f"{len(frame)} bytes: {layer!r}"[:600]
    except (Discard, KeyError):
        return f"{len(frame)} bytes: {frame[:80].hex()}"
