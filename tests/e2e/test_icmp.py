# SPDX-License-Identifier: Apache-2.0
"""ICMP errors of the network, and datagrams that only the kernel can read (RFC 8656 section 11.5)."""

import os
import random
import socket
import time

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.packet import Raw

FAMILY = {4: turn.IPV4, 6: turn.IPV6}

ERRORS = {
    4: [
        (lambda: ICMP(type=3, code=3), (3, 3, 0)),
        (lambda: ICMP(type=3, code=4, nexthopmtu=1400), (3, 4, 1400)),
        (lambda: ICMP(type=3, code=13), (3, 13, 0)),
        (lambda: ICMP(type=11, code=0), (11, 0, 0)),
    ],
    6: [
        (lambda: ICMPv6DestUnreach(code=4), (1, 4, 0)),
        (lambda: ICMPv6PacketTooBig(mtu=1400), (2, 0, 1400)),
        (lambda: ICMPv6TimeExceeded(code=0), (3, 0, 0)),
    ],
}


def inject(net, role, packet):
    """An IP packet with the header it has."""
    is_v6 = packet.version == 6
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    with net.socket(role, family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(bytes(packet), (packet.dst, 0))


def error_about(net, error, relayed, peer):
    """From the peer's host, about a datagram from a relayed address to the peer."""
    if ":" in relayed[0]:
        quoted = IPv6(src=relayed[0], dst=peer[0]) / UDP(sport=relayed[1], dport=peer[1]) / b"hello"
        return IPv6(src=net.PEER[6], dst=relayed[0]) / error / Raw(bytes(quoted))
    quoted = IP(src=relayed[0], dst=peer[0]) / UDP(sport=relayed[1], dport=peer[1]) / b"hello"
    return IP(src=net.PEER[4], dst=relayed[0]) / error / Raw(bytes(quoted))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_errors_become_data_indications(one, start, open_client, pair, mode):
    """With a permission for the address that was sent to; even where there is a channel."""
    relay = start(one, mode)
    client = open_client(one, pair[0])
    relayed = client.allocate(FAMILY[pair[1]])
    peer = (one.PEER[pair[1]], 4000)
    make, _ = ERRORS[pair[1]][0]
    inject(one, "peer", error_about(one, make(), relayed, peer))
    relays.wait_for("the drop", lambda: relay.slow()["drop_no_permission"] == 1)
    assert client.permit(peer[0]).error == 0
    for make, want in ERRORS[pair[1]]:
        inject(one, "peer", error_about(one, make(), relayed, peer))
        got = client.receive()
        assert got is not None and (got.peer, got.data, got.icmp) == (peer, None, want)
    assert client.bind(0x4001, *peer).error == 0
    inject(one, "peer", error_about(one, make(), relayed, peer))
    assert client.receive().icmp == want
    # About another port of ours, or another destination: nobody's.
    other = (relayed[0], relayed[1] ^ 1)
    inject(one, "peer", error_about(one, make(), other, peer))
    relays.wait_for("the drop", lambda: relay.slow()["drop_no_allocation"] == 1)
    inject(one, "peer", error_about(one, make(), relayed, (one.CLIENT[pair[1]], 4000)))
    relays.wait_for("the drop", lambda: relay.slow()["drop_no_permission"] == 2)
    assert client.receive(0.1) is None
    relays.check_sums(relay.settled())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_closed_port(one, start, open_client, family, mode):
    """No peer listens: its host says so, and the client hears it."""
    start(one, mode)
    client = open_client(one, 4)
    client.allocate(FAMILY[family])
    peer = (one.PEER[family], 4999)
    assert client.bind(0x4001, *peer).error == 0
    client.send_channel(0x4001, b"anyone there?")
    got = client.receive()
    assert got.peer == peer and got.icmp == {4: (3, 3, 0), 6: (1, 4, 0)}[family]


def garbage(rng, net, relayed):
    """An ICMP error that quotes something, or a part of it."""
    family = rng.choice((4, 6))
    make, _ = rng.choice(ERRORS[family])
    target = relayed[family]
    whole = bytes(error_about(net, make(), target, (net.PEER[family], 4000)))
    header = 28 if family == 4 else 48
    quoted = whole[header:]
    kind = rng.randrange(4)
    if kind == 0:
        quoted = rng.randbytes(rng.choice((0, 1, 7, 8, 27, 28, 47, 48, 500)))
    elif kind == 1:
        quoted = quoted[: rng.randrange(len(quoted))]
    elif kind == 2:
        broken = bytearray(quoted)
        broken[rng.randrange(min(48, len(broken)))] ^= 1 << rng.randrange(8)
        quoted = bytes(broken)
    if family == 4:
        return IP(src=net.PEER[4], dst=target[0]) / make() / Raw(quoted)
    return IPv6(src=net.PEER[6], dst=target[0]) / make() / Raw(quoted)


def test_storm_of_errors(one, start, open_client, call):
    """4,000 errors, most of them garbage: each is counted, few are told, and a call goes on."""
    seed = int(os.environ.get("TURNPIKE_SEED", random.randrange(1 << 32)))
    print(f"TURNPIKE_SEED={seed}")
    rng = random.Random(seed)
    relay = start(one)
    talk = call(relay, (4, 4))
    client = open_client(one, 6)
    client.allocate(additional=turn.IPV6)
    relayed = {6 if ":" in ip else 4: (ip, port) for ip, port in client.relayed}
    assert client.permit(one.PEER[4], one.PEER[6]).error == 0
    packets = [garbage(rng, one, relayed) for _ in range(400)]
    raw = {
        version: one.socket("peer", family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6))
    }
    wire = [(raw[p.version], bytes(p), (p.dst, 0)) for p in packets]
    begin = time.monotonic()
    for i in range(10):
        for sock, data, target in wire:
            sock.sendto(data, target)
        talk.both(b"still there?")
    for sock in raw.values():
        sock.close()
    stats = relay.settled()
    took = time.monotonic() - begin
    verdicts = stats["kernel_path"]["verdicts"]
    assert verdicts["drop_icmp"] > 400 and verdicts["drop_icmp_rate"] > 0
    told = 0
    while client.receive(0.2) is not None:
        told += 1
    assert 0 < told <= 100 + 200 * (took + 1)
    relays.check_sums(stats)
    talk.both(b"still here")


def udp_of(net, role, family, sock, target, data, extra):
    """A datagram of a socket as it would be with options or extension headers."""
    address = {"client": net.CLIENT, "peer": net.PEER}[role][family]
    udp = UDP(sport=sock.getsockname()[1], dport=target[1]) / data
    if family == 4:
        return IP(src=address, dst=target[0], options=extra) / udp
    packet = IPv6(src=address, dst=target[0])
    for header in extra:
        packet = packet / header
    return packet / udp


EXTRAS = {
    4: {
        "no-operation": [IPOption_NOP()] * 4,
        "record route": [IPOption_RR(routers=["0.0.0.0"] * 3)],
    },
    6: {
        "hop by hop": [IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])],
        "destination": [IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])],
        "both": [
            IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]),
            IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]),
        ],
        "atomic fragment": [IPv6ExtHdrFragment(id=77)],
    },
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_options_and_extension_headers(one, start, call, pair, mode):
    """XDP leaves them to the kernel, and the kernel path relays them: both ways."""
    relay = start(one, mode)
    talk = call(relay, pair)
    for what, extra in EXTRAS[pair[0]].items():
        for size in (10, 1100):
            data = bytes(size)
            inject(
                one,
                "client",
                udp_of(
                    *(one, "client", pair[0], talk.client.sock, talk.client.server),
                    *(turn.channel_data(talk.number, data), extra),
                ),
            )
            assert talk.peer.recv(2048) == data, what
    for what, extra in EXTRAS[pair[1]].items():
        for size in (10, 1100):
            data = bytes(size)
            inject(
                one,
                "peer",
                udp_of(one, "peer", pair[1], talk.peer, talk.relayed, data, extra),
            )
            got = talk.client.receive()
            assert got is not None and got.data == data, what
    relays.check_sums(relay.settled())
