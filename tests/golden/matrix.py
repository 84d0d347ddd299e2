# SPDX-License-Identifier: Apache-2.0
"""The golden matrix: every way through the relay, and the frames that are sent along it.

Nothing is random: the same vectors in the same order on every run.
"""

import functools
import itertools
from typing import NamedTuple

import reference
from reference import SEND_INDICATION, Addr, Allocation, Hop, Message, Relay, attribute, indication
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.utils import checksum

SIZES = [0, 1, 2, 3, 4, 5, 63, 64, 1199, 1200, 1400]
TOS = [0x00, 0x01, 0x03, 0x28, 0xB8, 0xBA, 0xFF]
CHECKSUMS = ("valid", "zero", "wrong")
ERRORS = [1, 0x5555, 0xFFFE]  # what a wrong checksum is wrong by, in one's complement
LEGS = list(itertools.product((4, 6), repeat=2))

CLIENT_A = {4: "192.0.2.7", 6: "2001:db8::7"}
CLIENT_B = {4: "192.0.2.8", 6: "2001:db8:0:0:ff00::8"}
SERVER = {4: "198.51.100.1", 6: "2001:db8:100::1"}
RELAY = {4: "198.51.100.2", 6: "2001:db8:200::1"}
PEER = {4: "203.0.113.99", 6: "fd00:ffff::dead"}

MACS = bytes.fromhex("0200000000aa0200000000bb")
TAG = bytes.fromhex("8100a064")  # 802.1Q, priority 5, VLAN 100
IN_MACS = bytes.fromhex("020000000001020000000002")

HOPS = {
    "plain": Hop(MACS, 1500, 5),
    "tagged": Hop(MACS + TAG, 1500, 6),
    "small": Hop(MACS, 1280, 5),
    "smallest": Hop(MACS, 576, 7),
    "none": None,
    "late": Hop(MACS, 1500, 5),  # the channel's time is over
    "jumbo": Hop(MACS, 9000, 5),
}


class Vector(NamedTuple):
    group: str  # the test case that it counts for
    frame: bytes
    note: str


class Way(NamedTuple):
    """One direction: what the packets that come in have constant."""

    name: str
    form: str  # of what is received: "channel", "send", or "plain" from a peer
    src: Addr
    dst: Addr
    channel: int | None
    peer: Addr  # named by a Send indication
    target: Addr  # where they leave to

    @property
    def is_hairpin(self):
        return self.name.startswith("hairpin")


@functools.cache
def pattern(size):
    return bytes((167 * i + (i >> 8) + 1 + size) & 0xFF for i in range(size))


def build(src, dst, data, tos=0, ttl=64, df=0, csum="valid", error=0, mark=0, tag=b"", tail=b""):
    """A frame of an honest sender, but for its checksum."""
    if src.family == 4:
        ip = IP(src=src.ip, dst=dst.ip, tos=tos, ttl=ttl, flags="DF" if df else 0, id=mark & 0xFFFF)
    else:
        ip = IPv6(src=src.ip, dst=dst.ip, tc=tos, hlim=ttl, fl=mark * 7919 & 0xFFFFF)
    packet = bytearray(reference.datagram_bytes(ip, src.port, dst.port, data))
    at = reference.ip_header_len(src.family) + 6
    if csum == "zero":
        packet[at : at + 2] = b"\0\0"
    elif csum == "wrong":
        right = int.from_bytes(packet[at : at + 2], "big")
        packet[at : at + 2] = ((right + error) % 0xFFFF or 0xFFFF).to_bytes(2, "big")
    kind = b"\x08\x00" if src.family == 4 else b"\x86\xdd"
    return IN_MACS + tag + kind + bytes(packet) + tail


def padding(n):
    """Of ChannelData: no two bytes alike, none of them zero."""
    return bytes((0xA1 + 0x1D * i) & 0xFF for i in range(n))


def channel_data(number, data):
    return Message(data, channel=number).bytes()


TID = bytes(range(0x70, 0x7C))


def message(way, size, n_pad=0):
    """What is sent along the way, by a client or a peer."""
    data = pattern(size)
    if way.form == "channel":
        return channel_data(way.channel, data) + padding(n_pad)
    if way.form == "send":
        # Padding of any value is allowed (RFC 8489 section 14).
        return indication(SEND_INDICATION, way.peer, data, TID, pad=0x51 * n_pad)
    return data


# ---- the ways ----


class World:
    """All ways with all their allocations, in one relay; no two share a client or a relayed port."""

    def __init__(self):
        self.n = 0
        self.allocations = []
        self.ways = {kind: {} for kind in HOPS}  # hop kind -> name -> Way
        for hop, (source, target) in itertools.product(HOPS, LEGS):
            for has_channel in (True, False):
                self._up(hop, source, target, has_channel)
                self._down(hop, source, target, has_channel)
            for relayed in (4, 6):
                self._hairpin(hop, source, target, relayed, True, True)
                for has_channels in ((False, False), (False, True), (True, False)):
                    self._hairpin(hop, source, target, relayed, *has_channels)
        self.relay = Relay(self.allocations)

    def _allocation(self, hop, ip, client, relayed, has_channel, peer=None):
        n = self.n
        self.n += 1
        return Allocation(
            client=Addr(ip[client], 10000 + 13 * n),
            server=Addr(SERVER[client], 3478),
            relayed=Addr(RELAY[relayed], 49152 + 17 * n),
            peer=peer or Addr(PEER[relayed], 9000 + n),
            channel=0x4000 + 5 * n if has_channel else None,
            to_client=HOPS[hop],
            to_peer=HOPS[hop],
            is_alive=hop != "late",
        )

    def _add(self, hop, name, a, target, is_up=True):
        form = "plain" if not is_up else "channel" if a.channel is not None else "send"
        src, dst = (a.client, a.server) if is_up else (a.peer, a.relayed)
        self.ways[hop][name] = Way(
            name, form, src, dst, a.channel if is_up else None, a.peer, target
        )

    def _up(self, hop, client, peer, has_channel):
        a = self._allocation(hop, CLIENT_A, client, peer, has_channel)
        self.allocations.append(a)
        self._add(hop, f"{'up' if has_channel else 'send'}_{client}to{peer}", a, a.peer)

    def _down(self, hop, peer, client, has_channel):
        a = self._allocation(hop, CLIENT_B, client, peer, has_channel)
        self.allocations.append(a)
        name = f"{'down' if has_channel else 'data'}_{peer}to{client}"
        self._add(hop, name, a, a.client, is_up=False)

    def _hairpin(self, hop, first, second, relayed, *has_channels):
        a = self._allocation("plain", CLIENT_A, first, relayed, has_channels[0])
        b = self._allocation(hop, CLIENT_B, second, relayed, has_channels[1], peer=a.relayed)
        a = a._replace(peer=b.relayed)
        self.allocations += [a, b]
        forms = ("channel" if has_channels[0] else "send", "channel" if has_channels[1] else "data")
        what = "" if all(has_channels) else f"_{forms[0]}_to_{forms[1]}"
        self._add(hop, f"hairpin{what}_{first}to{second}_over{relayed}", a, b.client)


# ---- the frames of one way ----


def payloads(way):
    """Every size with every checksum and padding; header fields vary along."""
    fields = itertools.cycle(itertools.product(TOS, (0, 1), (2, 64), (0, 9)))
    n = 0
    for size, csum, n_pad in itertools.product(
        SIZES, CHECKSUMS, {"channel": range(4), "send": range(2), "plain": range(1)}[way.form]
    ):
        for _ in range(1 if way.is_hairpin else 3):
            tos, df, ttl, n_tail = next(fields)
            n += 1
            yield (
                f"payload, checksum {csum}",
                build(
                    *(way.src, way.dst, message(way, size, n_pad), tos, ttl, df),
                    *(csum, ERRORS[n % len(ERRORS)], n),
                    tail=b"\xee" * n_tail,
                ),
                f"{size} bytes, checksum {csum}, pad {n_pad}, tos {tos:#x}, df {df}, ttl {ttl}",
            )


def fields(way):
    """DSCP and ECN, DF, TTL and what Ethernet appends, all with all."""
    for n, (size, tos, df, ttl, n_tail) in enumerate(
        itertools.product(
            (1200,) if way.is_hairpin else (0, 5, 1200, 1400), TOS, (0, 1), (2, 64, 255), (0, 18)
        )
    ):
        yield (
            "DSCP, ECN, DF, TTL",
            build(
                *(way.src, way.dst, message(way, size, n & 3), tos, ttl, df),
                *("valid", 0, n),
                tail=b"\xee" * n_tail,
            ),
            f"{size} bytes, tos {tos:#x}, df {df}, ttl {ttl}, {n_tail} bytes behind",
        )


def df_boundary(way):
    """RFC 7915 sections 4.1 and 5.1: sizes at which DF and the right to leave whole change."""
    # What the indication is longer by than the message of a channel.
    most = 1260 if way.form != "send" and "data" not in way.name else 1260 - 24
    sizes = range(most - 44, most, 3 if way.is_hairpin else 1)
    for size, df in itertools.product(sizes, (0, 1)):
        yield (
            "DF at 1260 bytes",
            build(way.src, way.dst, message(way, size), df=df, mark=size),
            f"{size} bytes, df {df}",
        )


def last_hop(way):
    for size, ttl, df, csum in itertools.product((0, 1, 64, 1400), (0, 1), (0, 1), CHECKSUMS):
        yield (
            "TTL 1 is the last",
            build(way.src, way.dst, message(way, size), ttl=ttl, df=df, csum=csum, error=1),
            f"{size} bytes, ttl {ttl}, checksum {csum}",
        )


def truncated(way):
    """The end of the frame is missing: every length of the small ones."""
    for size in (0, 1, 5):
        whole = build(way.src, way.dst, message(way, size, size & 3))
        for cut in range(len(whole)):
            yield "frame cut short", whole[:cut], f"{size} bytes cut to {cut}"
    for size in (64, 1200, 1400):
        whole = build(way.src, way.dst, message(way, size))
        for cut in sorted({*range(14, len(whole), 131), len(whole) - 2, len(whole) - 1}):
            yield "frame cut short", whole[:cut], f"{size} bytes cut to {cut}"


def channel_data_lies(way):
    """Datagrams with honest headers whose ChannelData is shorter or longer than it says."""
    if way.form != "channel":
        return
    for size in (0, 1, 2, 5, 10, 64):
        cd = channel_data(way.channel, pattern(size)) + padding(9)
        for length in range(len(cd) + 1):
            yield (
                "ChannelData cut short or long",
                build(way.src, way.dst, cd[:length]),
                f"ChannelData of {size} bytes in a datagram of {length}",
            )
    for claim in (65535, 65532, 32768, 1401):
        cd = channel_data(way.channel, pattern(1400))
        yield (
            "ChannelData cut short or long",
            build(way.src, way.dst, cd[:2] + claim.to_bytes(2, "big") + cd[4:]),
            f"ChannelData of 1400 bytes that claims {claim}",
        )


def to_zero(way, relay):
    """The checksum that leaves comes to zero, which has to be sent as 0xffff (RFC 768)."""
    for size, csum in itertools.product((2, 3, 64, 1201), CHECKSUMS[:2]):
        data = pattern(size)
        frame = build(way.src, way.dst, message(way, size), csum=csum)
        outcome = relay.receive(frame)
        if outcome.kind != reference.SEND:
            continue
        sent = next(outcome.frames())
        left = int.from_bytes(reference.udp_checksum(sent), "big")
        # Two bytes at an even place of the datagram take up what is left.  The data begins at one.
        word = (int.from_bytes(data[:2], "big") + left) % 0xFFFF
        at = frame.index(data)
        changed = put(frame, at, word.to_bytes(2, "big"))
        yield (
            "checksum that comes to zero",
            changed if csum == "zero" else mend_udp(changed),
            f"{size} bytes, checksum {csum}",
        )


def send_lies(way):
    """Send indications with lengths that lie, and such as a worker need not understand."""
    if way.form != "send":
        return
    data, whole = pattern(10), message(way, 10)
    peer = attribute(reference.XOR_PEER_ADDRESS, reference.xor_address(way.peer, TID))
    other = way.peer._replace(ip="192.0.2.200" if way.peer.family == 4 else "2001:db8::200")
    payload = attribute(reference.DATA, data)
    for at, name in ((2, "message"), (22, "peer"), (20 + len(peer) + 2, "data")):
        true = int.from_bytes(whole[at : at + 2], "big")
        for value in sorted({0, 1, 4, 8, 12, 20, true - 4, true - 1, true + 1, true + 3, true + 4, 0xFFFF}):
            lie = put(whole, at, value.to_bytes(2, "big"))
            yield "indication", build(way.src, way.dst, lie), f"{name} length {value} of {true}"
    for length in range(len(whole)):
        yield "indication", build(way.src, way.dst, whole[:length]), f"cut to {length} in its datagram"
    for name, *attributes in (
        ("data first", payload, peer),
        ("DONT-FRAGMENT", peer, attribute(reference.DONT_FRAGMENT, b""), payload),
        ("DONT-FRAGMENT last", peer, payload, attribute(reference.DONT_FRAGMENT, b"")),
        ("SOFTWARE", attribute(0x8022, b"x"), peer, payload),
        ("unknown, to be understood", attribute(0x7F00, b""), peer, payload),
        ("unknown, to be understood, last", peer, payload, attribute(0x7F00, b"")),
        ("no data", peer),
        ("no peer", payload),
        ("two peers", peer, peer, payload),
        ("data twice", peer, payload, attribute(reference.DATA, b"second")),
        ("port 0", attribute(0x12, reference.xor_address(way.peer._replace(port=0), TID)), payload),
        ("other peer", attribute(0x12, reference.xor_address(other, TID)), payload),
        ("family 0", put(peer, 5, b"\0"), payload),
        ("family of the other length", put(peer, 5, b"\2" if way.peer.family == 4 else b"\1"), payload),
        ("nothing",),
    ):
        made = reference.stun(SEND_INDICATION, TID, *attributes)
        for df in (0, 1):
            yield "indication", build(way.src, way.dst, made, df=df), f"{name}, df {df}"
    for kind in (0x0001, 0x0003, 0x0006, 0x0017, 0x0106, 0x0116, 0x4016):
        made = reference.stun(kind, TID, peer, payload)
        yield "indication", build(way.src, way.dst, made), f"message type {kind:#x}"
    yield "indication", build(way.src, way.dst, put(whole, 4, b"\0")), "no cookie"


def other_ports(way):
    """A permission is for all ports of its address (RFC 8656 section 9)."""
    for port in (1, 53, 3478, 9999, 49152, 65535):
        if way.form == "send" and not way.is_hairpin:
            made = indication(SEND_INDICATION, way.peer._replace(port=port), b"data", TID)
            yield "other port of the peer", build(way.src, way.dst, made), f"port {port}"
        elif way.name.startswith("data"):
            src = way.src._replace(port=port)
            yield "other port of the peer", build(src, way.dst, b"data"), f"port {port}"


def other_channels(way):
    if way.form != "channel":
        return
    for number in (way.channel ^ 1, 0x3FFF, 0x4000, 0x4FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF, 0):
        cd = channel_data(number, pattern(20))
        yield "channel that is not bound", build(way.src, way.dst, cd), f"channel {number:#x}"


def strangers(way):
    """Off by one in any part of the five-tuple."""
    data = message(way, 20)
    for src, dst in (
        (way.src._replace(port=way.src.port + 1), way.dst),
        (way.src, way.dst._replace(port=way.dst.port - 1)),
        (way.src._replace(ip=way.dst.ip), way.dst),
        (way.src, way.dst._replace(ip=way.src.ip)),
        (way.dst, way.src),
    ):
        yield "stranger", build(src, dst, data), f"{src} to {dst}"


def mend_ipv4(frame):
    """Give the IPv4 header a right checksum again, so that only the lie is wrong."""
    header = bytearray(frame[14:34])
    header[10:12] = b"\0\0"
    header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
    return frame[:14] + bytes(header) + frame[34:]


def mend_udp(frame):
    """Give the UDP datagram a right checksum."""
    kind, packet = reference.strip_link(frame)
    at = reference.ip_header_len(4 if kind == 0x0800 else 6)
    datagram = reference.parse(frame)
    length = int.from_bytes(packet[at + 4 : at + 6], "big")
    csum = reference.udp_sum(datagram.src, datagram.dst, packet[at : at + length])
    return put(frame, len(frame) - len(packet) + at + 6, csum.to_bytes(2, "big"))


def put(frame, at, value):
    return frame[:at] + value + frame[at + len(value) :]


def header_lies(way):
    """Each length field with each value around the truth, and headers that are no plain UDP."""
    family = way.src.family
    whole = build(way.src, way.dst, message(way, 32), tail=b"\xee" * 4)
    l4 = 14 + reference.ip_header_len(family)
    rest = len(whole) - l4 - 4
    udp_lengths = {0, 1, 7, 8, 9, 11, 12, 13, rest - 1, rest, rest + 1, rest + 4, rest + 5, 0xFFFF}
    for value in sorted(udp_lengths):
        yield (
            "length that lies",
            put(whole, l4 + 4, value.to_bytes(2, "big")),
            f"UDP length {value} of {rest}",
        )
    if family == 4:
        total = rest + 20
        for value in sorted({0, 19, 20, 27, 28, 29, total - 1, total + 1, total + 4, total + 5, 0xFFFF}):
            lie = mend_ipv4(put(whole, 16, value.to_bytes(2, "big")))
            yield "length that lies", lie, f"IPv4 length {value} of {total}"
        for value in (0, 0x44, 0x46, 0x4F, 0x55, 0x60, 0x65):
            yield "no plain UDP", mend_ipv4(put(whole, 14, bytes([value]))), f"version, ihl {value:#x}"
        for value in (0x2000, 0x0001, 0x1FFF, 0x3FFF, 0x6001):
            lie = mend_ipv4(put(whole, 20, value.to_bytes(2, "big")))
            yield "no plain UDP", lie, f"fragment field {value:#x}"
        for value in (0, 1, 6, 41, 44, 136, 255):
            yield "no plain UDP", mend_ipv4(put(whole, 23, bytes([value]))), f"protocol {value}"
        for at in range(14, 34):
            bad = put(whole, at, bytes([whole[at] ^ 0x10]))
            yield "IPv4 header damaged", bad, f"byte {at}"
    else:
        for value in sorted({0, 7, 8, 9, rest - 1, rest + 1, rest + 4, rest + 5, 0xFFFF}):
            lie = put(whole, 18, value.to_bytes(2, "big"))
            yield "length that lies", lie, f"IPv6 length {value} of {rest}"
        for value in (0x45, 0x50, 0x00, 0xF0):
            yield "no plain UDP", put(whole, 14, bytes([value])), f"version {value:#x}"
        for value in (0, 6, 43, 44, 50, 51, 58, 59, 60, 135, 136, 255):
            yield "no plain UDP", put(whole, 20, bytes([value])), f"next header {value}"
    for kind in (0x0806, 0x88A8, 0x8847, 0x05DC, 0x9100, 0x86DD if family == 4 else 0x0800):
        yield "no plain UDP", put(whole, 12, kind.to_bytes(2, "big")), f"ethertype {kind:#x}"


def tags(way):
    """802.1Q: any single tag is as good as none; two are not ours."""
    for size, tag in itertools.product((0, 5, 64, 1200), ("81000064", "8100afff", "81000000")):
        tag = bytes.fromhex(tag)
        yield (
            "received with a tag",
            build(way.src, way.dst, message(way, size, size & 3), tag=tag),
            f"{size} bytes, tag {tag.hex()}",
        )
    whole = build(way.src, way.dst, message(way, 4), tag=TAG)
    for cut in range(12, len(whole)):
        yield "received with a tag", whole[:cut], f"tagged, cut to {cut}"
    two = build(way.src, way.dst, message(way, 4), tag=TAG + TAG)
    yield "received with a tag", two, "two tags"


# Of hairpins: what the way in decides is the same as on the way up.
HAIRPIN = [payloads, fields, df_boundary, last_hop]
PLAIN = [
    payloads,
    fields,
    df_boundary,
    last_hop,
    truncated,
    channel_data_lies,
    send_lies,
    other_channels,
    other_ports,
    strangers,
    header_lies,
    tags,
]


def sent_with_a_tag(way):
    for size, df, tag in itertools.product(SIZES, (0, 1), (b"", TAG)):
        yield (
            "sent with a tag",
            build(way.src, way.dst, message(way, size, size & 3), df=df, tag=tag),
            f"{size} bytes, df {df}, received {'with' if tag else 'without'} a tag",
        )


def overhead(way):
    """Of the packet that leaves, without data and padding."""
    base = reference.ip_header_len(way.target.family) + 8
    if way.name.startswith("data") or "to_data" in way.name:
        peer = int(way.name[-1]) if way.is_hairpin else way.src.family
        return base + (36 if peer == 4 else 48)
    return base if way.name.startswith(("up", "send")) else base + 4


def around_mtu(way, hop):
    """The packet sent is a byte below the next hop's MTU, equal, and a byte above."""
    for delta, df, csum in itertools.product((-4, -1, 0, 1, 4), (0, 1), CHECKSUMS):
        size = HOPS[hop].mtu - overhead(way) + delta
        yield (
            f"around an MTU of {HOPS[hop].mtu}",
            build(way.src, way.dst, message(way, size), df=df, csum=csum, error=1),
            f"{size} bytes, df {df}, checksum {csum}",
        )


def not_now(way, hop):
    what = {"none": "next hop not known", "late": "past its time"}[hop]
    for size, df in itertools.product((0, 5, 1400), (0, 1)):
        yield what, build(way.src, way.dst, message(way, size), df=df), f"{size} bytes, df {df}"


def vectors(world):
    """Every vector: its group is "WAY: CLASS"."""
    for hop, ways in world.ways.items():
        for way in ways.values():
            if hop == "plain":
                chosen = HAIRPIN if way.is_hairpin else PLAIN
                made = itertools.chain(
                    *(f(way) for f in chosen), to_zero(way, world.relay), around_mtu(way, hop)
                )
            elif hop == "tagged":
                made = sent_with_a_tag(way)
            elif hop in ("none", "late"):
                made = not_now(way, hop)
            else:
                made = around_mtu(way, hop)
            for what, frame, note in made:
                yield Vector(f"{way.name}: {what}", frame, note)
