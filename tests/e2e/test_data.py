# SPDX-License-Identifier: Apache-2.0
"""What comes out at either end, bit for bit, whichever path carried it."""

import socket

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS, clear_df
from sniff import Sniffer, check_checksums, hops_left, traffic_class

SO_NO_CHECK = 11
EF = 0xB8  # DSCP "expedited forwarding", no ECN

SIZES = [0, 1, 2, 3, 4, 5, 99, 100, 1001, 1200]


def payload(size):
    return bytes((7 * i + size) & 0xFF for i in range(size))


def set_traffic_class(sock, value):
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_every_size_arrives_with_true_checksums(one, start, call, pair, mode):
    """Also RFC 8656 sections 13 and 14: traffic class is copied, hops are counted."""
    relay = start(one, mode)
    talk = call(relay, pair)
    set_traffic_class(talk.client.sock, EF)
    set_traffic_class(talk.peer, EF)
    before = relay.paths()
    with Sniffer(one, "peer", "peer0") as at_peer, Sniffer(one, "client", "client0") as at_client:
        for size in SIZES:
            talk.up(payload(size))
            talk.up(payload(size), pad=True)
            talk.down(payload(size))
        ups = at_peer.udp(dport=talk.peer_address[1])
        downs = at_client.udp(dport=talk.client.mapped[1])
    assert len(ups) == 2 * len(SIZES) and len(downs) == len(SIZES)
    for packet in ups + downs:
        check_checksums(packet)
        assert traffic_class(packet) == EF
        assert hops_left(packet) == 63
    if mode != "off":
        up, down = f"up_{pair[0]}to{pair[1]}", f"down_{pair[1]}to{pair[0]}"
        assert relays.growth(before, relay.paths()) == {up: len(ups), down: len(downs)}
    stats = relay.settled()
    relays.check_sums(stats)
    relays.check_frames(stats)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client_family", [4, 6])
def test_absent_udp_checksum(one, start, call, client_family, mode):
    """A peer's IPv4 datagram without checksum: kept without, computed for IPv6 (RFC 7915 4.5)."""
    talk = call(start(one, mode), (client_family, 4))
    talk.peer.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    with Sniffer(one, "client", "client0") as at_client:
        for size in SIZES:
            talk.down(payload(size))
        got = at_client.udp(dport=talk.client.mapped[1])
    assert len(got) == len(SIZES)
    for packet in got:
        if packet.version == 6 or packet["UDP"].chksum != 0:
            check_checksums(packet)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("relayed", [4, 6])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_two_clients_of_one_relay(one, start, open_client, pair, relayed, mode):
    """Each binds a channel to the other's relayed address; client families differ or not."""
    relay = start(one, mode)
    ends = [open_client(one, pair[0]), open_client(one, pair[1], role="peer")]
    family = {4: turn.IPV4, 6: turn.IPV6}[relayed]
    addresses = [end.allocate(family) for end in ends]
    for end, other in zip(ends, reversed(addresses)):
        assert end.bind(0x4002, *other).error == 0

    def exchange(text):
        for (a, b), tag in zip((ends, reversed(ends)), (b"ab", b"ba")):
            a.send_channel(0x4002, text + tag)
            got = b.receive()
            assert got is not None and (got.number, got.data) == (0x4002, text + tag)

    def is_fast():
        channels = [c for a in relay.allocations() for c in a["channels"]]
        return len(channels) == 2 and all(c["fast"] for c in channels)

    exchange(b"first")
    if mode == "off":
        return
    relays.wait_for("both channels to become fast", is_fast)
    before = relay.paths()
    with Sniffer(one, "client", "client0") as at_client, Sniffer(one, "peer", "peer0") as at_peer:
        for i in range(10):
            exchange(payload(i))
        arrived = at_client.udp(dport=ends[0].mapped[1]) + at_peer.udp(dport=ends[1].mapped[1])
    assert len(arrived) == 20
    for packet in arrived:
        check_checksums(packet)
    want = {f"hairpin_{pair[0]}to{pair[1]}": 10}
    back = f"hairpin_{pair[1]}to{pair[0]}"
    want[back] = want.get(back, 0) + 10
    assert relays.growth(before, relay.paths()) == want
    stats = relay.settled()
    relays.check_sums(stats)
    relays.check_frames(stats)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_fragments_both_ways(one, start, call, pair, mode):
    """8000 bytes on a 1500-byte link: reassembled and relayed by the kernel path."""
    relay = start(one, mode)
    talk = call(relay, pair)
    clear_df(talk.client.sock, talk.peer)
    before = relay.slow().get("relayed", 0)
    for size in (1472, 1500, 3000, 4000, 8000):
        talk.both(payload(size))
    assert relay.slow()["relayed"] - before >= 8


def test_send_and_data_indications(one, start, open_client):
    """RFC 8656 section 11: with a permission and no channel; empty data included."""
    start(one)
    for client_family, peer_family in PAIRS:
        peer = one.udp("peer", one.PEER[peer_family])
        client = open_client(one, client_family)
        relayed = client.allocate({4: turn.IPV4, 6: turn.IPV6}[peer_family])
        assert client.permit(one.PEER[peer_family]).error == 0
        for size in (0, 1, 100, 1200):
            client.send(peer.getsockname()[:2], payload(size))
            got, source = peer.recvfrom(2048)
            assert got == payload(size) and source[:2] == relayed
            peer.sendto(payload(size), relayed)
            back = client.receive()
            assert back.kind == "data" and back.peer == peer.getsockname()[:2]
            assert back.data == payload(size)


def test_nothing_without_permission(one, start, open_client):
    """RFC 8656 sections 9 and 11.3: keyed by address, port ignored; others are dropped unheard."""
    relay = start(one)
    client = open_client(one, 4)
    relayed = client.allocate()
    peer = one.udp("peer", one.PEER[4])
    peer.sendto(b"too early", relayed)
    client.send(peer.getsockname(), b"too early")
    relays.wait_for(
        "two drops", lambda: relay.slow().get("drop_no_permission", 0) >= 2
    )
    assert client.permit(one.PEER[4]).error == 0
    other_port = one.udp("peer", one.PEER[4])
    other_port.sendto(b"welcome", relayed)
    assert client.receive().data == b"welcome"
    # The early ones are not delivered late.
    assert client.receive(timeout=0.2) is None


def test_second_peer_on_a_fast_port(one, start, call):
    """The port is redirected as a whole: what has no channel still arrives, as Data indication."""
    relay = start(one)
    talk = call(relay, (4, 4))
    other = one.udp("peer", one.PEER[4])
    other.sendto(b"same host, other port", talk.relayed)
    got = talk.client.receive()
    assert (got.kind, got.peer, got.data) == ("data", other.getsockname(), b"same host, other port")
    stats = relay.settled()
    assert stats["total"]["verdicts"]["punt"] >= 1
    relays.check_sums(stats)


@pytest.mark.parametrize("client_family", [4, 6])
def test_dual_stack_allocation_relays_both(one, start, open_client, client_family):
    """RFC 8656 section 7.2 step 9: one allocation, a relayed address of each family."""
    start(one)
    client = open_client(one, client_family)
    client.allocate(additional=turn.IPV6)
    assert sorted(turn.family_of(ip) for ip, _ in client.relayed) == [turn.IPV4, turn.IPV6]
    for number, family in ((0x4003, 4), (0x4004, 6)):
        peer = one.udp("peer", one.PEER[family])
        assert client.bind(number, *peer.getsockname()[:2]).error == 0
        client.send_channel(number, b"over")
        data, source = peer.recvfrom(100)
        assert data == b"over" and source[:2] in client.relayed
        peer.sendto(b"back", source)
        got = client.receive()
        assert (got.number, got.data) == (number, b"back")
