# SPDX-License-Identifier: Apache-2.0
"""Send and Data indications by workers: what has a permission and no channel."""

import socket
import struct

import pytest
import relay as relays
import turn
from call import PAIR_IDS, PAIRS
from sniff import Sniffer, check_checksums, hops_left, traffic_class

EF = 0xB8  # DSCP "expedited forwarding", no ECN
SIZES = [0, 1, 2, 3, 4, 5, 99, 100, 1001, 1200]
FAMILY = {4: turn.IPV4, 6: turn.IPV6}
CHANNEL = 0x4005


def payload(size):
    return bytes((7 * i + size) & 0xFF for i in range(size))


def set_traffic_class(sock, value):
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)


class Permitted:
    """A client with an allocation and a permission for the peer."""

    def __init__(self, net, relay, client, pair):
        self.relay = relay
        self.client = client
        self.peer = net.udp("peer", net.PEER[pair[1]])
        self.peer_address = self.peer.getsockname()[:2]
        self.relayed = client.allocate(FAMILY[pair[1]])
        assert client.permit(net.PEER[pair[1]]).error == 0
        self.paths = {f"send_{pair[0]}to{pair[1]}", f"data_{pair[1]}to{pair[0]}"}

    def up(self, data):
        self.client.send(self.peer_address, data)
        got, source = self.peer.recvfrom(65536)
        assert got == data and source[:2] == self.relayed

    def down(self, data):
        self.peer.sendto(data, self.relayed)
        got = self.client.receive()
        assert got is not None, f"{len(data)} bytes from the peer were lost"
        assert (got.kind, got.peer, got.data) == ("data", self.peer_address, data)

    def both(self, data):
        self.up(data)
        self.down(data)

    def wait_fast(self):
        """The first ones are the kernel path's, and nothing is lost on the way to the workers."""

        def is_fast():
            before = self.relay.paths()
            self.both(b"are we there yet")
            return set(relays.growth(before, self.relay.paths())) == self.paths

        relays.wait_for("the permission to become fast", is_fast)
        return self


@pytest.fixture
def permitted(open_client):
    return lambda net, relay, pair: Permitted(net, relay, open_client(net, pair[0]), pair)


@pytest.mark.parametrize("mode", ["copy", "skb", "dpdk"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_the_first_indication_is_the_only_one_by_the_kernel_path(one, start, permitted, pair, mode):
    relay = start(one, mode)
    talk = permitted(one, relay, pair)
    # With a neighbour that is known, there is nothing that the flows have to wait for.
    one.exec("relay", "ping", "-c", "1", one.PEER[pair[1]])
    talk.up(b"first")
    assert relay.slow()["relayed"] == 1  # answered by the thread that also publishes the flows
    assert not any(relay.paths().values())
    for _ in range(5):
        talk.both(b"further")
    stats = relay.settled()
    assert {path: n for path, n in stats["total"]["paths"].items() if n} == dict.fromkeys(talk.paths, 5)
    assert stats["kernel_path"]["verdicts"]["relayed"] == 1


@pytest.mark.parametrize("mode", ["copy", "skb", "dpdk"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_every_size_arrives_with_true_checksums(one, start, permitted, pair, mode):
    """RFC 8656 sections 11, 13 and 14: all of it by workers once the first one was seen."""
    relay = start(one, mode)
    talk = permitted(one, relay, pair)
    talk.wait_fast()
    set_traffic_class(talk.client.sock, EF)
    set_traffic_class(talk.peer, EF)
    before, slow = relay.paths(), relay.slow()
    with Sniffer(one, "peer", "peer0") as at_peer, Sniffer(one, "client", "client0") as at_client:
        for size in SIZES:
            talk.both(payload(size))
        ups = at_peer.udp(dport=talk.peer_address[1])
        downs = at_client.udp(dport=talk.client.mapped[1])
    assert len(ups) == len(SIZES) and len(downs) == len(SIZES)
    for packet in ups + downs:
        check_checksums(packet)
        assert traffic_class(packet) == EF
        assert hops_left(packet) == 63
    assert relays.growth(before, relay.paths()) == dict.fromkeys(talk.paths, len(SIZES))
    assert relays.growth(slow, relay.slow()) == {}
    relays.check_sums(relay.settled())


def test_transaction_ids_differ(one, start, permitted):
    talk = permitted(one, start(one), (4, 4)).wait_fast()
    tids = set()
    for _ in range(50):
        talk.peer.sendto(b"x", talk.relayed)
        tids.add(turn.Message(talk.client.sock.recv(2048)).tid)
    assert len(tids) == 50


@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_other_ports_of_the_peer(one, start, permitted, pair):
    """RFC 8656 section 9: a permission is for an address; workers need no more than that either."""
    relay = start(one)
    talk = permitted(one, relay, pair).wait_fast()
    before = relay.paths()
    for _ in range(5):
        talk.peer = one.udp("peer", one.PEER[pair[1]])
        talk.peer_address = talk.peer.getsockname()[:2]
        talk.both(b"from another port")
    assert relays.growth(before, relay.paths()) == dict.fromkeys(talk.paths, 5)


def test_a_channel_bound_later_wins(one, start, permitted):
    """RFC 8656 section 12.5: ChannelData MUST be sent from then on; Send still works."""
    talk = permitted(one, start(one), (4, 6)).wait_fast()
    assert talk.client.bind(CHANNEL, *talk.peer_address).error == 0
    for i in range(20):
        talk.peer.sendto(payload(i), talk.relayed)
        got = talk.client.receive()
        assert (got.kind, got.number, got.data) == ("channel", CHANNEL, payload(i))
        talk.up(payload(i))
    other = one.udp("peer", one.PEER[6])
    for i in range(5):
        other.sendto(payload(i), talk.relayed)
        got = talk.client.receive()
        assert (got.kind, got.peer, got.data) == ("data", other.getsockname()[:2], payload(i))


def test_unusual_indications_take_the_kernel_path(one, start, permitted):
    """Whatever a worker does not take apart is relayed all the same."""
    relay = start(one)
    talk = permitted(one, relay, (4, 4)).wait_fast()
    peer = (turn.XOR_PEER_ADDRESS, talk.peer_address)
    data = (turn.DATA_ATTR, b"unusual")
    before, slow = relay.paths(), relay.slow()["relayed"]
    for attrs, fingerprint in (
        ([peer, data, (turn.SOFTWARE, b"me")], False),
        ([(turn.SOFTWARE, b"me"), data, peer], True),
        ([(turn.DONT_FRAGMENT, b""), peer, data], False),
        ([peer, data, data], False),
    ):
        message = turn.build(turn.SEND, turn.INDICATION, attrs, fingerprint=fingerprint)
        talk.client.send_raw(message)
        assert talk.peer.recvfrom(100)[0] == b"unusual"
    assert relay.slow()["relayed"] - slow == 4
    assert relays.growth(before, relay.paths()) == {}


def test_both_orders_and_fingerprint(one, start, permitted):
    """What the clients of others send; a wrong FINGERPRINT is the kernel path's to drop."""
    relay = start(one)
    talk = permitted(one, relay, (4, 6)).wait_fast()
    peer = (turn.XOR_PEER_ADDRESS, talk.peer_address)
    before, slow = relay.paths(), relay.slow()
    for size in SIZES:
        data = (turn.DATA_ATTR, payload(size))
        for attrs in ([peer, data], [data, peer]):
            for fingerprint in (False, True):
                message = turn.build(turn.SEND, turn.INDICATION, attrs, fingerprint=fingerprint)
                talk.client.send_raw(message)
                assert talk.peer.recvfrom(2048)[0] == payload(size)
    assert relays.growth(before, relay.paths()) == {"send_4to6": 4 * len(SIZES)}
    assert relays.growth(slow, relay.slow()) == {}
    talk.client.send_raw(message[:-1] + bytes([message[-1] ^ 1]))
    relays.wait_for("the drop", lambda: relay.slow()["drop_fingerprint"] == 1)


def test_nothing_goes_on_after_the_allocation(one, start, permitted):
    relay = start(one)
    talk = permitted(one, relay, (6, 4)).wait_fast()
    assert relay.stats()["flows"] == 2
    assert talk.client.refresh(0).error == 0
    stats = relay.stats()
    assert stats["flows"] == 0 and stats["turn"]["permissions"] == 0
    talk.peer.settimeout(0.3)
    talk.client.send(talk.peer_address, b"too late")
    with pytest.raises(TimeoutError):
        talk.peer.recvfrom(100)
    relays.check_sums(relay.settled())


def test_who_has_no_permission_gets_nothing_through_a_worker(one, start, open_client, permitted):
    relay = start(one)
    talk = permitted(one, relay, (4, 4)).wait_fast()
    one.address("peer", "peer0", "10.91.0.33/24")
    stranger = one.udp("peer", "10.91.0.33")
    before = relay.paths()
    stranger.sendto(b"hello?", talk.relayed)
    talk.client.send(stranger.getsockname(), b"hello?")
    other = open_client(one, 4)  # without allocation
    other.send(talk.peer_address, b"hello?")
    assert talk.client.receive(timeout=0.3) is None
    talk.peer.settimeout(0.3)
    with pytest.raises(TimeoutError):
        talk.peer.recvfrom(100)
    assert relays.growth(before, relay.paths()) == {}
    assert relay.slow()["drop_no_permission"] >= 2
    assert relay.slow()["drop_no_allocation"] >= 1


def test_more_permissions_than_room(one, start, open_client):
    """The rest goes by the kernel path; nothing is lost, and who ends makes room."""
    relay = start(one, change=lambda conf: conf.update(limits={"channels": 4}))
    client = open_client(one, 4)
    relayed = client.allocate()
    hosts = [f"10.91.0.{n}" for n in range(100, 120)]
    one.address("peer", "peer0", *(f"{host}/24" for host in hosts))
    peers = [one.udp("peer", host) for host in hosts]
    assert client.permit(*hosts).error == 0

    def talk_to_all():
        for peer in peers:
            client.send(peer.getsockname(), b"ping")
            assert peer.recvfrom(100)[0] == b"ping"
            peer.sendto(b"pong", relayed)
            assert client.receive().data == b"pong"

    talk_to_all()
    stats = relay.stats()
    assert stats["flows"] == 8 and stats["flows_refused"] >= 1
    talk_to_all()
    assert relay.stats()["flows"] == 8
    assert client.refresh(0).error == 0
    assert relay.stats()["flows"] == 0
    relays.check_sums(relay.settled())


# ---- relay to relay ----


class End:
    """One of two clients of the same relay, with what it does to reach the other."""

    def __init__(self, client, family):
        self.client = client
        self.relayed = client.allocate(FAMILY[family])
        self.other = None
        self.has_channel = False

    def meet(self, other, has_channel):
        self.other = other
        self.has_channel = has_channel
        if has_channel:
            assert self.client.bind(CHANNEL, *other.relayed).error == 0
        else:
            assert self.client.permit(other.relayed[0]).error == 0

    def send(self, data):
        if self.has_channel:
            self.client.send_channel(CHANNEL, data)
        else:
            self.client.send(self.other.relayed, data)

    def expect(self, data, timeout=2.0):
        got = self.client.receive(timeout)
        assert got is not None, f"{data!r} was lost"
        assert got.data == data
        if self.has_channel:
            assert (got.kind, got.number) == ("channel", CHANNEL)
        else:
            assert (got.kind, got.peer) == ("data", self.other.relayed)


@pytest.fixture
def meet(open_client):
    """Two ends that know each other; forms: who of them has a channel."""

    def make(net, relay, pair, relayed, forms):
        ends = [
            End(open_client(net, pair[0]), relayed),
            End(open_client(net, pair[1], role="peer"), relayed),
        ]
        for end, other, has_channel in zip(ends, reversed(ends), forms):
            end.meet(other, has_channel)

        def is_fast():
            before = relay.paths()
            for a, b in (ends, reversed(ends)):
                a.send(b"are we there yet")
                b.expect(b"are we there yet")
            return sum(relays.growth(before, relay.paths()).values()) == 2

        if relay.mode != "off":
            relays.wait_for("both directions to become fast", is_fast)
        return ends

    return make


FORMS = [(False, False), (True, False), (False, True)]
FORM_IDS = ["send-send", "channel-send", "send-channel"]


@pytest.mark.parametrize("forms", FORMS, ids=FORM_IDS)
@pytest.mark.parametrize("relayed", [4, 6])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_two_clients_of_one_relay(one, start, meet, pair, relayed, forms):
    relay = start(one)
    ends = meet(one, relay, pair, relayed, forms)
    before, slow = relay.paths(), relay.slow()
    with Sniffer(one, "client", "client0") as at_client, Sniffer(one, "peer", "peer0") as at_peer:
        for size in SIZES:
            for a, b in (ends, reversed(ends)):
                a.send(payload(size))
                b.expect(payload(size))
        arrived = at_client.udp(dport=ends[0].client.mapped[1])
        arrived += at_peer.udp(dport=ends[1].client.mapped[1])
    assert len(arrived) == 2 * len(SIZES)
    for packet in arrived:
        check_checksums(packet)
        assert hops_left(packet) == 63
    want = {f"hairpin_indication_{pair[0]}to{pair[1]}": len(SIZES)}
    back = f"hairpin_indication_{pair[1]}to{pair[0]}"
    want[back] = want.get(back, 0) + len(SIZES)
    assert relays.growth(before, relay.paths()) == want
    assert relays.growth(slow, relay.slow()) == {}
    relays.check_sums(relay.settled())


@pytest.mark.parametrize("forms", [*FORMS, (True, True)], ids=[*FORM_IDS, "channel-channel"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_ten_thousand_each_way_without_loss(one, start, meet, pair, forms):
    total, window = 10000, 50
    relay = start(one)
    ends = meet(one, relay, pair, pair[1], forms)
    before = relay.paths()
    for first in range(0, total, window):
        for i in range(first, first + window):
            for end in ends:
                end.send(struct.pack("!I", i))
        for i in range(first, first + window):
            for end in ends:
                end.expect(struct.pack("!I", i))
    assert sum(relays.growth(before, relay.paths()).values()) == 2 * total
    relays.check_sums(relay.settled())


def test_the_other_side_changes_its_mind(one, start, meet):
    """It binds, deletes its allocation, and is there again: nothing stale is delivered."""
    relay = start(one)
    a, b = meet(one, relay, (4, 6), 4, (False, False))
    b.meet(a, has_channel=True)
    a.send(b"now by channel")
    b.expect(b"now by channel")
    assert b.client.refresh(0).error == 0
    a.send(b"to nobody")
    assert b.client.receive(timeout=0.3) is None
    b.relayed = b.client.allocate(FAMILY[4])
    a.send(b"to nobody yet")
    assert b.client.receive(timeout=0.3) is None
    b.meet(a, has_channel=False)
    a.send(b"welcome back")
    b.expect(b"welcome back")
