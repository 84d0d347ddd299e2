# SPDX-License-Identifier: Apache-2.0
"""The same frames through `mode: off`, `skb` and `copy`, and by DPDK: what leaves is the same.

A part of the golden matrix (tests/golden) that a real network carries is sent as it is, by
AF_PACKET, and what comes out at the other end is captured.  Each mode is compared with the
reference, which was written from the RFCs, and the modes with each other.

The RFCs leave a choice, and here it is taken, in:
  identification, flow label, transaction id   any
  TTL between two clients of the relay         one hop or two: the kernel path takes the packet for
                                               one that crosses two routers, workers for one
  IPv4 packets, kernel path                    DF of small ones is not copied: their sockets do not
                                               tell, so section 14's alternate, "assume 0"
  UDP checksum absent, IPv4 to IPv4            kept absent, or computed
The kernel path is that of `mode: off`, and in all modes what XDP passes: fragments, options.
"""

import collections
import contextlib
import pathlib
import socket
import sys
import time

import pytest
import relay as relays
import turn
from call import PAIR_IDS, PAIRS

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))

import matrix
import reference
from matrix import Way
from reference import Addr, Allocation, Hop

pytestmark = pytest.mark.own_mode

MODES = ["off", "skb", "copy", "dpdk"]
FAMILY = {4: turn.IPV4, 6: turn.IPV6}
CLIENT_PORT, PEER_PORT = 40000, 41000
CHANNEL = 0x4ABC
BATCH = 64
ETH_P_ALL, PACKET_OUTGOING = 3, 4
SETTLE_SEC = 0.1  # after the last frame that was waited for: nothing else may come

# One frame, or a packet in fragments; and the plain frame that stands for it in the reference.
Sent = collections.namedtuple("Sent", "frames plain note is_unusual", defaults=(True,))


class Link:
    """Raw frames at one end of the network."""

    def __init__(self, net, role):
        self.mac = mac(net, role)
        self.to_relay = mac(net, "relay") + self.mac
        self.sock = net.socket(role, socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind((role + "0", ETH_P_ALL))

    def send(self, frame):
        # Whoever cuts a frame off inside its Ethernet header can not send it here.
        if len(frame) >= 14:
            self.sock.send(frame)

    def received(self, timeout):
        """The next frame for this end, None: there is none."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                frame, address = self.sock.recvfrom(65536)
            except TimeoutError:
                return None
            if address[2] != PACKET_OUTGOING and frame[:6] == self.mac:
                return frame
        return None

    def drain(self):
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sock.recv(65536)

    def close(self):
        self.sock.close()


def mac(net, role):
    return bytes.fromhex(net.mac(role, role + "0").replace(":", ""))


# ---- putting fragments together ----


class Reassembly:
    """Fragments in, whole frames out; a frame that is none comes out as it is."""

    def __init__(self):
        self.parts = collections.defaultdict(dict)  # key -> offset -> (data, is it the last)

    def add(self, frame):
        kind, packet = reference.strip_link(frame)
        if kind == 0x0800 and int.from_bytes(packet[6:8], "big") & 0x3FFF:
            word = int.from_bytes(packet[6:8], "big")
            total = int.from_bytes(packet[2:4], "big")
            return self._add(
                packet[4:6] + packet[12:20],
                *((word & 0x1FFF) * 8, not word & 0x2000, packet[20:total]),
                lambda data: frame[:14] + whole_ipv4(packet[:20], data),
            )
        if kind == 0x86DD and packet[6] == 44:
            word = int.from_bytes(packet[42:44], "big")
            end = 40 + int.from_bytes(packet[4:6], "big")
            return self._add(
                packet[44:48] + packet[8:40],
                *(word & 0xFFF8, not word & 1, packet[48:end]),
                lambda data: frame[:14]
                + put(packet[:40], 4, len(data).to_bytes(2, "big") + packet[40:41])
                + data,
            )
        return frame

    def _add(self, key, offset, is_last, data, make):
        parts = self.parts[key]
        parts[offset] = (data, is_last)
        whole = b""
        while len(whole) in parts:
            data, is_last = parts[len(whole)]
            whole += data
            if is_last:
                del self.parts[key]
                return make(whole)
        return None


put = matrix.put


def whole_ipv4(header, data):
    header = put(header, 2, (20 + len(data)).to_bytes(2, "big") + header[4:6] + b"\0\0")
    return matrix.mend_ipv4(bytes(14) + header)[14:] + data


# ---- what is sent ----


def thinned(vectors, step):
    return [v for i, v in enumerate(vectors) if i % step == 0]


def plain_vectors(way):
    """(class, frame, note) of the matrix, as many as a network test has time for."""
    yield from thinned(matrix.payloads(way), 2 if way.form == "channel" else 1)
    yield from thinned(matrix.fields(way), 3)
    yield from thinned(matrix.df_boundary(way), 4)
    yield from thinned(matrix.last_hop(way), 5)
    yield from thinned(matrix.truncated(way), 9)
    yield from thinned(matrix.channel_data_lies(way), 3)
    yield from thinned(matrix.send_lies(way), 3)
    yield from thinned(matrix.header_lies(way), 2)
    yield from matrix.other_channels(way)


def fragments_of(frame, size):
    """The packet of an untagged frame in fragments of `size` bytes, as its sender's host does."""
    kind, packet = reference.strip_link(frame)
    head = 20 if kind == 0x0800 else 40
    data = packet[head:]
    for at in range(0, len(data), size):
        part = data[at : at + size]
        is_last = at + size >= len(data)
        if kind == 0x0800:
            word = (0 if is_last else 0x2000) | at // 8
            header = put(packet[:20], 2, (20 + len(part)).to_bytes(2, "big"))
            header = put(header, 6, word.to_bytes(2, "big"))
            yield matrix.mend_ipv4(frame[:14] + header + part)
        else:
            word = at | (0 if is_last else 1)
            extension = bytes([packet[6], 0]) + word.to_bytes(2, "big") + b"\1\2\3\4"
            header = put(packet[:40], 4, (8 + len(part)).to_bytes(2, "big") + bytes([44]))
            yield frame[:14] + header + extension + part


def with_options(frame):
    """No-operations behind the IPv4 header, or an empty IPv6 Destination Options header."""
    kind, packet = reference.strip_link(frame)
    if kind == 0x0800:
        total = int.from_bytes(packet[2:4], "big") + 4
        header = bytearray(b"\x46" + packet[1:2] + total.to_bytes(2, "big") + packet[4:20] + b"\1\1\1\0")
        header[10:12] = b"\0\0"
        header[10:12] = matrix.checksum(bytes(header)).to_bytes(2, "big")
        return frame[:14] + bytes(header) + packet[20:]
    length = int.from_bytes(packet[4:6], "big") + 8
    header = put(packet[:40], 4, length.to_bytes(2, "big") + bytes([60]))
    return frame[:14] + header + bytes([17, 0, 1, 4, 0, 0, 0, 0]) + packet[40:]


def unusual(way):
    """What XDP passes to the kernel arrives all the same: fragments, options, extension headers."""
    for size, tos in ((64, 0x28), (900, 0xB8), (1200, 0x02)):
        frame = matrix.build(way.src, way.dst, matrix.message(way, size), tos, mark=size)
        yield Sent([with_options(frame)], frame, f"{size} bytes with options")
    for n, size in enumerate((200, 1100, 2600)):
        frame = matrix.build(way.src, way.dst, matrix.message(way, size), 0, mark=7000 + n)
        for step in (104, 1208):
            parts = list(fragments_of(frame, step + 8 * n))
            if len(parts) > 1:
                yield Sent(parts, frame, f"{size} bytes in {len(parts)} fragments")


# ---- sending it ----


def comparable(frame):
    """What has to be the same in all modes: not the addresses, which each run draws anew."""
    frame, _ = reference.loosen(frame)
    kind, packet = reference.strip_link(frame)
    data = reference.without_transaction(reference.udp_payload(frame))
    if kind == 0x0800:
        tos, ttl = packet[1], packet[8]
    else:
        tos, ttl = int.from_bytes(packet[:2], "big") >> 4 & 0xFF, packet[7]
    return tos, ttl, len(packet), data


class Stretch:
    """One way of one relay, with both ends of the network."""

    def __init__(self, daemon, paper, way, source, sink):
        self.daemon, self.relay = daemon, paper
        self.way, self.source, self.sink = way, source, sink

    def sendable(self):
        for _, frame, note in plain_vectors(self.way):
            frame = self.source.to_relay + frame[12:]
            if len(frame) - 14 <= 1500:
                yield Sent([frame], frame, note, False)
        for sent in unusual(self.way):
            yield sent._replace(
                frames=[self.source.to_relay + f[12:] for f in sent.frames],
                plain=self.source.to_relay + sent.plain[12:],
            )

    def run(self, mode):
        """{(number, note): what left}; asserts that it is what the reference wants."""
        everything = list(enumerate(self.sendable()))
        result = {}
        for at in range(0, len(everything), BATCH):
            result.update(self._batch(everything[at : at + BATCH], mode))
        return result

    def _batch(self, batch, mode):
        wanted = []
        for number, sent in batch:
            outcome = any_size(self.relay, sent, self.relay.receive(sent.plain))
            if outcome.kind == reference.SEND:
                wanted.append((number, sent, outcome))
        self.sink.drain()
        for _, sent in batch:
            for frame in sent.frames:
                self.source.send(frame)
        got = self._collect(sum(not outcome.may_drop for _, _, outcome in wanted))
        result = {}
        # First who did as it should, then who fell back on the alternate behaviour; in each who has
        # least to choose from, lest others take it.
        wanted.sort(key=lambda w: len(w[2].preferred))
        for with_alternate in (False, True):
            for number, sent, outcome in wanted:
                by_kernel = mode == "off" or sent.is_unusual
                if (number, sent.note) in result or (with_alternate and not by_kernel):
                    continue
                found = next((f for f in got if reference.matches(f, outcome, with_alternate)), None)
                if found is not None:
                    got.remove(found)
                    result[number, sent.note] = comparable(found)
        for number, sent, outcome in wanted:
            if (number, sent.note) not in result and not outcome.may_drop:
                pytest.fail(
                    f"{mode}: {self.way.name}: {sent.note}: not relayed as section 13 and 14 say\n"
                    + f"in   {reference.describe(sent.plain)}\n"
                    + "".join(f"want {reference.describe(f)}\n" for f in outcome.frames())
                    + "".join(f"got  {reference.describe(f)}\n" for f in got[:4])
                    + self.counters()
                )
        assert not got, f"{mode}: {self.way.name}: more than was sent: {reference.describe(got[0])}"
        return result

    def counters(self):
        stats = self.daemon.stats()
        return "".join(
            f"{name}: { {k: v for k, v in counters['verdicts'].items() if v} }\n"
            for name, counters in (("workers", stats["total"]), ("kernel", stats["kernel_path"]))
        )

    def _collect(self, count):
        reassembly, got = Reassembly(), []
        target = self.way.target
        while (frame := self.sink.received(2 if len(got) < count else SETTLE_SEC)) is not None:
            frame = reassembly.add(frame)
            if frame is not None and is_udp_to(frame, target.port):
                got.append(frame)
        return got


def any_size(relay, sent, outcome):
    """What is too big for the link leaves in fragments when DF is not set; here they are whole."""
    if outcome.why != "too big":
        return outcome
    big = {
        key: a._replace(to_client=jumbo(a.to_client), to_peer=jumbo(a.to_peer))
        for key, a in relay.by_client.items()
    }
    outcome = reference.Relay(big.values()).receive(sent.plain)
    kind, packet = reference.strip_link(sent.plain)
    is_df = kind == 0x86DD or packet[6] & 0x40
    # Reassembled by the relay's host, a packet is like any that may be fragmented.
    return outcome._replace(may_drop=bool(is_df) and len(sent.frames) == 1)


def jumbo(hop):
    return hop._replace(mtu=65535)


def is_udp_to(frame, port):
    kind, packet = reference.strip_link(frame)
    at = {0x0800: 20, 0x86DD: 40}.get(kind)
    if at is None or packet[9 if at == 20 else 6] != 17:
        return False
    # Late answers to requests are not data.
    is_answer = packet[at + 8 : at + 9] == b"\1"
    return int.from_bytes(packet[at + 2 : at + 4], "big") == port and not is_answer


# ---- the tests ----


class Ends:
    """Links, sockets and facts of one network."""

    def __init__(self, net):
        self.net = net
        self.client, self.peer = Link(net, "client"), Link(net, "peer")
        relay = mac(net, "relay")
        self.hops = {
            "client": Hop(self.client.mac + relay, 1500),
            "peer": Hop(self.peer.mac + relay, 1500),
        }
        self.sockets = []

    def turn_client(self, role, family, port):
        address = {"client": self.net.CLIENT, "peer": self.net.PEER}[role][family]
        sock = self.net.udp(role, address, port)
        self.sockets.append(sock)
        return turn.Client(sock, (self.net.LISTEN[family], 3478)), Addr(address, port)

    def allocate(self, role, family, relayed, port, peer=None):
        """(the TURN client, the facts without channel)"""
        client, address = self.turn_client(role, family, port)
        got = Addr(*client.allocate(FAMILY[relayed]))
        server = Addr(self.net.LISTEN[family], 3478)
        return client, Allocation(
            address, server, got, peer, None, self.hops[role], self.hops["peer"]
        )

    def close(self):
        for end in (*self.sockets, self.client, self.peer):
            end.close()


def way_up(a, name):
    form = "channel" if a.channel is not None else "send"
    return Way(name, form, a.client, a.server, a.channel, a.peer, a.peer)


def way_down(a, name):
    return Way(name, "plain", a.peer, a.relayed, None, a.peer, a.client)


def wait_fast(relay, count):
    def fast():
        channels = [c for a in relay.allocations() for c in a["channels"]]
        return len(channels) == count and all(c["fast"] for c in channels)

    if relay.mode != "off":
        relays.wait_for("channels to become fast", fast)


def warm_up(relay, client, peer_socket, a):
    """Workers take a permission over from the kernel path once it is used."""

    def fast():
        before = relay.paths()
        client.send(a.peer, b"up")
        peer_socket.recv(100)
        peer_socket.sendto(b"down", a.relayed)
        assert client.receive() is not None
        return len(relays.growth(before, relay.paths())) == 2

    if relay.mode != "off":
        relays.wait_for("the permission to become fast", fast)


def same_in_all_modes(results):
    """Only what came out of all of them: where an output is optional, the reference has judged."""
    first = results[MODES[0]]
    for mode in MODES[1:]:
        for key in first.keys() & results[mode].keys():
            assert first[key] == results[mode][key], f"{key[1]}: {MODES[0]} and {mode} differ"
    assert len(first) > 50


@pytest.mark.parametrize("has_channel", [True, False], ids=["channel", "indications"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_modes_agree(one, start, pair, has_channel):
    """Both directions of a channel, and of a permission alone."""
    results = {"up": {}, "down": {}}
    for mode in MODES:
        relay, ends = start(one, mode), Ends(one)
        peer = Addr(one.PEER[pair[1]], PEER_PORT)
        peer_socket = one.udp("peer", *peer)
        ends.sockets.append(peer_socket)
        client, a = ends.allocate("client", *pair, CLIENT_PORT, peer)
        if has_channel:
            a = a._replace(channel=CHANNEL)
            assert client.bind(CHANNEL, *peer).error == 0
            wait_fast(relay, 1)
        else:
            assert client.permit(peer.ip).error == 0
            warm_up(relay, client, peer_socket, a)
        paper = reference.Relay([a])
        up = Stretch(relay, paper, way_up(a, "up"), ends.client, ends.peer)
        down = Stretch(relay, paper, way_down(a, "down"), ends.peer, ends.client)
        results["up"][mode] = up.run(mode)
        results["down"][mode] = down.run(mode)
        relays.check_sums(relay.settled())
        ends.close()
        relay.stop()
    for way in results.values():
        same_in_all_modes(way)


@pytest.mark.parametrize("relayed", [4, 6])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_modes_agree_between_clients(one, start, pair, relayed):
    """Relay to relay, a channel on both sides."""
    results = {}
    for mode in MODES:
        relay, ends = start(one, mode), Ends(one)
        first, a = ends.allocate("client", pair[0], relayed, CLIENT_PORT)
        second, b = ends.allocate("peer", pair[1], relayed, PEER_PORT)
        a = a._replace(peer=b.relayed, channel=CHANNEL)
        b = b._replace(peer=a.relayed, channel=CHANNEL + 1)
        assert first.bind(CHANNEL, *b.relayed).error == 0
        assert second.bind(CHANNEL + 1, *a.relayed).error == 0
        wait_fast(relay, 2)
        hairpin = way_up(a, "hairpin")._replace(target=b.client)
        stretch = Stretch(relay, reference.Relay([a, b]), hairpin, ends.client, ends.peer)
        results[mode] = stretch.run(mode)
        relays.check_sums(relay.settled())
        ends.close()
        relay.stop()
    same_in_all_modes(results)
