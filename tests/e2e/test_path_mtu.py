# SPDX-License-Identifier: Apache-2.0
"""What is too large, and what has lived too long (RFC 8656 sections 13 and 14, RFC 7915)."""

import socket

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS, Call, clear_df, set_df
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw
from sniff import Sniffer, check_checksums

IP_MTU, IPV6_MTU = 14, 24
HEADERS = {4: 28, 6: 48}
FAMILY = {4: turn.IPV4, 6: turn.IPV6}
NARROW = 1280


def payload(size):
    return bytes((7 * i + size) & 0xFF for i in range(size))


def path_mtu(net, role, source, target):
    """What the host knows of the way, as a connected socket says it."""
    with net.udp(role, source) as probe:
        probe.connect(target)
        if ":" in source:
            return probe.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
        return probe.getsockopt(socket.IPPROTO_IP, IP_MTU)


def narrow(net, *ends):
    for role, name in ends:
        net.ip(role, "link", "set", name, "mtu", str(NARROW))


def make_call(net, relay, open_client, pair, bind=True):
    talk = Call(
        relay,
        open_client(net, pair[0]),
        net.udp("peer", net.PEER[pair[1]]),
        pair[1],
        bind=bind,
    )
    if bind and relay.mode != "off":
        talk.wait_fast()
    return talk


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_client_learns_the_path_in_one_step(two, start, open_client, pair, mode):
    """The peer's leg takes 1280 bytes; the client begins with 1400."""
    narrow(two, ("peer", "peer0"), ("relay", "back0"))
    relay = start(two, mode)
    talk = make_call(two, relay, open_client, pair)
    set_df(talk.client.sock)
    want = NARROW + HEADERS[pair[0]] - HEADERS[pair[1]] + 4
    server = talk.client.server
    with Sniffer(two, "client", "client0") as at_client:
        talk.client.send_channel(talk.number, payload(1400 - HEADERS[pair[0]] - 4))
        relays.wait_for(
            "the client's host to learn the MTU",
            lambda: path_mtu(two, "client", two.CLIENT[pair[0]], server) == want,
        )
        frames = list(at_client.frames())
    check_error(frames, pair[0], server[0], "too big", want)
    with Sniffer(two, "peer", "peer0") as at_peer:
        talk.up(payload(want - HEADERS[pair[0]] - 4))
        arrived = at_peer.udp(dport=talk.peer_address[1])
    assert len(arrived) == 1 and len(arrived[0]) == NARROW
    check_checksums(arrived[0])
    assert relay.stats()["kernel_path"]["icmp_sent"] == 1
    relays.check_sums(relay.settled())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bind", [True, False], ids=["channel", "indication"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_peer_learns_the_path_in_one_step(two, start, open_client, pair, bind, mode):
    """The client's leg takes 1280 bytes: 48 less towards the peer, but for IPv6's least."""
    client_family, peer_family = pair
    narrow(two, ("client", "client0"), ("relay", "front0"))
    relay = start(two, mode)
    talk = make_call(two, relay, open_client, pair, bind)
    if not bind:
        assert talk.client.permit(talk.peer_address[0]).error == 0
    set_df(talk.peer)
    want = NARROW + HEADERS[peer_family] - HEADERS[client_family] - 48
    if peer_family == 6:
        want = max(want, 1280)
    with Sniffer(two, "peer", "peer0") as at_peer:
        talk.peer.sendto(payload(1400 - HEADERS[peer_family]), talk.relayed)
        relays.wait_for(
            "the peer's host to learn the MTU",
            lambda: path_mtu(two, "peer", two.PEER[peer_family], talk.relayed) == want,
        )
        frames = list(at_peer.frames())
    check_error(frames, peer_family, talk.relayed[0], "too big", want)
    data = payload(want - HEADERS[peer_family])
    talk.peer.sendto(data, talk.relayed)
    assert talk.client.receive().data == data
    assert relay.stats()["kernel_path"]["icmp_sent"] == 1
    relays.check_sums(relay.settled())


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_a_narrow_path_beyond_the_link(two, start, open_client, pair, mode):
    """A router on the client's leg says 1280: workers and kernel path pass it on to the peer."""
    relay = start(two, mode)
    talk = make_call(two, relay, open_client, pair)
    set_df(talk.peer)
    data = payload(1400 - HEADERS[pair[1]])
    talk.down(data)
    client, server = talk.client.mapped, talk.client.server
    udp = UDP(sport=server[1], dport=client[1]) / turn.channel_data(talk.number, data)
    if pair[0] == 4:
        quoted = IP(src=server[0], dst=client[0], flags="DF") / udp
        error = IP(src=client[0], dst=server[0]) / ICMP(type=3, code=4, nexthopmtu=NARROW)
        error = error / Raw(bytes(quoted)[:500])
    else:
        quoted = IPv6(src=server[0], dst=client[0]) / udp
        error = IPv6(src=client[0], dst=server[0]) / ICMPv6PacketTooBig(mtu=NARROW)
        error = error / Raw(bytes(quoted)[:1200])
    send_packet(two, "client", error)
    want = NARROW + HEADERS[pair[1]] - HEADERS[pair[0]] - 48
    if pair[1] == 6:
        want = max(want, 1280)

    def is_told():
        if path_mtu(two, "peer", two.PEER[pair[1]], talk.relayed) == want:
            return True
        talk.peer.sendto(data, talk.relayed)
        return False

    relays.wait_for("the peer's host to learn the MTU", is_told)
    while talk.client.receive(0.1) is not None:
        pass
    data = payload(want - HEADERS[pair[1]])
    talk.down(data)
    relays.check_sums(relay.settled())


def check_error(frames, family, source, kind, mtu=None):
    """The one ICMP error among the frames, and what it says."""
    found = []
    for frame in frames:
        if family == 4 and ICMP in frame and frame[ICMP].type in (3, 11):
            found.append(frame)
        elif family == 6 and (ICMPv6PacketTooBig in frame or ICMPv6TimeExceeded in frame):
            found.append(frame)
    assert len(found) == 1, [frame.summary() for frame in frames]
    frame = found[0]
    if family == 4:
        ip, error = frame[IP], frame[ICMP]
        assert (error.type, error.code) == {"too big": (3, 4), "time exceeded": (11, 0)}[kind]
        assert kind != "too big" or error.nexthopmtu == mtu
        assert len(ip) <= 576
    else:
        ip = frame[IPv6]
        layer = {"too big": ICMPv6PacketTooBig, "time exceeded": ICMPv6TimeExceeded}[kind]
        error = frame[layer]
        assert error.code == 0
        assert kind != "too big" or error.mtu == mtu
        assert len(ip) <= 1280
    assert ip.src == source
    fresh = ip.copy()
    if family == 6:
        del fresh[type(error)].cksum
    else:
        del fresh[ICMP].chksum
    fresh = type(ip)(bytes(fresh))
    assert bytes(fresh) == bytes(ip), "checksum"
    return bytes(error)[8:]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_last_hop_is_answered(one, start, open_client, family, mode):
    """TTL or hop limit 1: time exceeded, to client and peer, with the packet as it was sent."""
    relay = start(one, mode)
    talk = make_call(one, relay, open_client, (family, family))
    ends = {
        "client": (talk.client, one.CLIENT, talk.client.server),
        "peer": (talk.peer, one.PEER, talk.relayed),
    }
    data = {"client": turn.channel_data(talk.number, payload(40)), "peer": payload(40)}
    ports = {"client": talk.client.mapped[1], "peer": talk.peer_address[1]}
    for role, (_, addresses, target) in ends.items():
        udp = UDP(sport=ports[role], dport=target[1]) / data[role]
        if family == 4:
            packet = IP(src=addresses[4], dst=target[0], ttl=1, id=0x4321, tos=0xB9) / udp
        else:
            packet = IPv6(src=addresses[6], dst=target[0], hlim=1, tc=0xB9, fl=0x54321) / udp
        packet = type(packet)(bytes(packet))
        with Sniffer(one, role, role + "0") as sniffer:
            send_packet(one, role, packet)
            relays.wait_for(
                "an answer", lambda: relay.stats()["kernel_path"]["icmp_sent"] > (role == "peer")
            )
            frames = list(sniffer.frames())
        quoted = check_error(frames, family, target[0], "time exceeded")
        assert quoted == bytes(packet)
    assert relay.slow()["drop_ttl"] == 2
    # One more hop is enough.
    talk.both(payload(10))
    relays.check_sums(relay.settled())


def send_packet(net, role, packet):
    """An IP packet with the header it has."""
    is_v6 = packet.version == 6
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    with net.socket(role, family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(bytes(packet), (packet.dst, 0))


@pytest.mark.own_mode
def test_answers_are_limited(one, start, open_client):
    """A storm of what must be answered: RFC 4443 section 2.4(f)."""
    relay = start(one, "off")
    talk = make_call(one, relay, open_client, (6, 6))
    packet = IPv6(src=one.CLIENT[6], dst=one.LISTEN[6], hlim=1) / UDP(
        sport=talk.client.mapped[1], dport=3478
    ) / turn.channel_data(talk.number, b"x")
    raw = one.socket("client", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for _ in range(2000):
        raw.sendto(bytes(packet), (one.LISTEN[6], 0))
    raw.close()
    relays.wait_for("all of it", lambda: relay.slow()["drop_ttl"] >= 2000)
    stats = relay.settled()["kernel_path"]
    assert stats["icmp_sent"] + stats["icmp_held"] == 2000
    assert 50 <= stats["icmp_sent"] <= 50 + 100 * 10
    assert stats["icmp_held"] > 0


@pytest.mark.own_mode
def test_strangers_are_not_answered(one, start, open_client):
    """Only what an allocation would have relayed is answered."""
    relay = start(one, "off")
    stranger = one.udp("client", one.CLIENT[4])
    stranger.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    stranger.sendto(turn.channel_data(0x4001, b"x"), (one.LISTEN[4], 3478))
    talk = make_call(one, relay, open_client, (4, 4), bind=False)
    talk.peer.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    talk.peer.sendto(b"no permission", talk.relayed)
    relays.wait_for("the drop", lambda: relay.slow()["drop_no_permission"] == 1)
    stats = relay.settled()["kernel_path"]
    assert stats["icmp_sent"] == 0 and stats["verdicts"]["drop_no_allocation"] >= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1100, 1172, 1173, 1300])
def test_datagrams_with_df_come_once(one, start, open_client, size, mode):
    """By UDP socket or with their header, never both; DF is copied where it is known."""
    relay = start(one, mode)
    talk = make_call(one, relay, open_client, (4, 4))
    set_df(talk.client.sock, talk.peer)
    before = relay.settled()
    with Sniffer(one, "peer", "peer0") as at_peer, Sniffer(one, "client", "client0") as at_client:
        for _ in range(10):
            talk.both(payload(size))
        ups = at_peer.udp(dport=talk.peer_address[1])
        downs = at_client.udp(dport=talk.client.mapped[1])
    assert len(ups) == len(downs) == 10
    if mode != "off" or size > 1172:
        assert all("DF" in packet.flags for packet in ups + downs)
    after = relay.settled()
    if mode == "off":
        assert after["kernel_path"]["rx_pkts"] - before["kernel_path"]["rx_pkts"] == 20
    relays.check_sums(after)
    # Nobody was told that the port is closed.
    assert relay.slow()["drop_icmp"] == 0


@pytest.mark.own_mode
@pytest.mark.parametrize("size", [100, 1173, 1300])
def test_checksums_left_to_hardware(one, start, open_client, size):
    """Two ends of a veth leave the UDP checksum out: the kernel path takes these too, and once."""
    relay = start(one, "off")
    for role in ("client", "peer"):
        one.exec(role, "ethtool", "-K", role + "0", "tx", "on")
    talk = make_call(one, relay, open_client, (4, 4))
    set_df(talk.client.sock, talk.peer)
    before = relay.settled()["kernel_path"]["rx_pkts"]
    for _ in range(10):
        talk.both(payload(size))
    assert relay.settled()["kernel_path"]["rx_pkts"] - before == 20


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lowest", [1280, 1500])
def test_lowest_ipv6_mtu(one, start, open_client, lowest, mode):
    """RFC 7915 section 4.1: IPv4 without DF leaves in fragments that every IPv6 path takes."""
    relay = start(one, mode, change=lambda conf: conf.update(lowest_ipv6_mtu=lowest))
    talk = make_call(one, relay, open_client, (4, 6))
    for has_df in (True, False):
        (set_df if has_df else clear_df)(talk.client.sock)
        with Sniffer(one, "peer", "peer0") as at_peer:
            for size in (1232, 1233, 1400):
                talk.up(payload(size))
            packets = [frame[IPv6] for frame in at_peer.frames() if IPv6 in frame]
        whole = [p for p in packets if UDP in p and IPv6ExtHdrFragment not in p]
        parts = [p for p in packets if IPv6ExtHdrFragment in p]
        if has_df or lowest == 1500:
            assert len(whole) == 3 and not parts
        else:
            assert len(whole) == 1 and len(parts) == 4
            assert max(len(p) for p in parts) <= 1280


@pytest.mark.parametrize("mode", MODES)
def test_dscp_cleared(one, start, open_client, mode):
    """`dscp: clear`: Best Effort whatever came in; ECN is copied."""
    relay = start(one, mode, change=lambda conf: conf.update(dscp="clear"))
    for pair in PAIRS:
        talk = make_call(one, relay, open_client, pair)
        for sock in (talk.client.sock, talk.peer):
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xB9)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB9)
        with Sniffer(one, "peer", "peer0") as at_peer, Sniffer(one, "client", "client0") as at_client:
            talk.both(payload(100))
            packets = at_peer.udp(dport=talk.peer_address[1])
            packets += at_client.udp(dport=talk.client.mapped[1])
        assert len(packets) == 2
        for packet in packets:
            check_checksums(packet)
            assert (packet.tos if packet.version == 4 else packet.tc) == 0x01
        assert talk.client.refresh(0).error == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client_family", [4, 6])
def test_df_of_what_is_sent(one, start, open_client, client_family, mode):
    """Sections 13.3 and 14: copied from IPv4; from IPv6 clear up to 1260 bytes and set above."""
    relay = start(one, mode)
    talk = make_call(one, relay, open_client, (client_family, 4))
    if client_family == 4:
        cases = [(clear_df, 1300, False), (set_df, 1300, True)]
    else:
        cases = [(clear_df, 1232, False), (clear_df, 1233, True)]
    for prepare, size, want in cases:
        prepare(talk.client.sock)
        with Sniffer(one, "peer", "peer0") as at_peer:
            for _ in range(3):
                talk.up(payload(size))
            packets = at_peer.udp(dport=talk.peer_address[1])
        assert [("DF" in packet.flags) for packet in packets] == 3 * [want]
        assert want or len({packet.id for packet in packets}) == 3


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_dont_fragment(two, start, open_client, mode):
    """Section 14: DF is set because the client asks; if that is too big, it is told."""
    relay = start(two, mode)
    talk = make_call(two, relay, open_client, (4, 4), bind=False)
    assert talk.client.permit(talk.peer_address[0]).error == 0
    clear_df(talk.client.sock)
    for asked in (True, False):
        with Sniffer(two, "peer", "peer0") as at_peer:
            talk.client.send(talk.peer_address, payload(1000), dont_fragment=asked)
            assert talk.peer.recv(2048) == payload(1000)
            (packet,) = at_peer.udp(dport=talk.peer_address[1])
        assert ("DF" in packet.flags) == asked
    narrow(two, ("peer", "peer0"), ("relay", "back0"))
    relays.wait_for(
        "the new MTU", lambda: is_told(talk, payload(1300)), timeout=15
    )
    # Without it the packet is fragmented, as its own DF=0 allows.
    talk.client.send(talk.peer_address, payload(1300))
    assert talk.peer.recv(2048) == payload(1300)


def is_told(talk, data):
    talk.client.send(talk.peer_address, data, dont_fragment=True)
    got = talk.client.receive(0.5)
    if got is None:
        return False  # the old MTU was still in effect
    assert got.peer == talk.peer_address and got.icmp == (3, 4, NARROW)
    return True
