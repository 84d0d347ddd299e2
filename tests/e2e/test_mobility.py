# SPDX-License-Identifier: Apache-2.0
"""Clients that change their address (RFC 8016), and the traffic that follows them."""

import pytest
import relay as relays
import turn
from call import CHANNEL, Call
from test_uclient import TOTAL, uclient


def mobile(conf):
    conf["mobility"] = True


class MobileCall(Call):
    """A call whose client asked for a ticket."""

    def __init__(self, relay, client, peer_socket, peer_family):
        allocate = client.allocate
        client.allocate = lambda family: allocate(family, mobile=True)
        super().__init__(relay, client, peer_socket, peer_family)

    def goes_to(self, client):
        """Send the rest by another client, without looking at the first again."""
        self.client = client


@pytest.fixture
def walker(one):
    """walker(family): another address of the client's host, then another port."""
    one.address("client", "client0", "10.91.0.22/24", "fd91::22/64")

    def make(family, port=0):
        return one.udp("client", {4: "10.91.0.22", 6: "fd91::22"}[family], port)

    return make


def shown(sock):
    """The address as records have it."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def client_at(net, family, sock):
    return turn.Client(sock, (net.LISTEN[family], 3478))


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
@pytest.mark.parametrize("to_family", [4, 6])
def test_channels_follow_the_client(one, start, open_client, walker, mode, to_family):
    relay = start(one, mode, change=mobile)
    old = open_client(one, 4)
    call = MobileCall(relay, old, one.udp("peer", one.PEER[4]), 4)
    if mode != "off":
        call.wait_fast()
    call.both(b"from the first address")
    new = client_at(one, to_family, walker(to_family))
    assert new.follow(old).error == 0

    # Until data comes by the new address, the old one is served, by the workers as before.
    before = relay.paths()
    for i in range(20):
        call.both(b"before %d" % i)
    if mode != "off":
        assert relays.growth(before, relay.paths())["up_4to4"] >= 20
    assert relay.stats()["turn"]["moved"] == 0

    call.goes_to(new)
    for i in range(20):
        call.both(b"after %d" % i)
    assert relay.stats()["turn"]["moved"] == 1
    assert old.receive(0.2) is None
    if mode != "off":
        call.wait_fast()
        before = relay.paths()
        for i in range(20):
            call.both(b"fast %d" % i)
        grown = relays.growth(before, relay.paths())
        assert grown[f"up_{to_family}to4"] == grown[f"down_4to{to_family}"] == 20
    # What was the old five-tuple carries nothing any more.
    old.send_channel(CHANNEL, b"from the grave")
    assert old.refresh().error == 437
    call.both(b"and the peer heard none of it")
    relays.check_sums(relay.settled())
    (moved,) = [line for line in relay.lines if "allocation_moved" in line]
    assert f'client="{shown(new.sock)}" ' in moved and f'client_before="{shown(old.sock)}" ' in moved


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_nothing_is_lost_on_the_way(one, start, open_client, walker, mode):
    """Numbered datagrams in both directions, while the client moves ten times."""
    relay = start(one, mode, change=mobile)
    peer = one.udp("peer", one.PEER[4])
    client = open_client(one, 4)
    call = MobileCall(relay, client, peer, 4)
    if mode != "off":
        call.wait_fast()
    up, down, n = [], [], 0
    clients = [client]
    for step in range(10):
        for _ in range(50):
            clients[-1].send_channel(CHANNEL, b"up %d" % n)
            peer.sendto(b"down %d" % n, call.relayed)
            n += 1
        # It has arrived; the rest of what it sent may still be on the way when it goes on.
        while f"up {50 * step}".encode() not in up:
            up.append(peer.recv(100))
        new = client_at(one, 4, walker(4))
        assert new.follow(clients[-1]).error == 0
        clients.append(new)
    clients[-1].send_channel(CHANNEL, b"up %d" % n)
    peer.settimeout(0.5)
    try:
        while True:
            up.append(peer.recv(100))
    except TimeoutError:
        pass
    for each in clients:
        while (got := each.receive(0.2)) is not None:
            down.append(got.data)
        each.sock.close()
    assert sorted(up) == sorted(b"up %d" % i for i in range(n + 1))
    assert sorted(down) == sorted(b"down %d" % i for i in range(n))
    assert relay.stats()["turn"]["moved"] == 10


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_indications_follow_the_client(one, start, open_client, walker, mode):
    relay = start(one, mode, change=mobile)
    old = open_client(one, 4)
    peer = one.udp("peer", one.PEER[4])
    at = peer.getsockname()[:2]
    relayed = old.allocate(mobile=True)
    assert old.permit(one.PEER[4]).error == 0
    new = client_at(one, 4, walker(4))
    for client in (old, old, new, new, new):
        if client is new and relay.stats()["turn"]["moved"] == 0 and new.ticket is None:
            assert new.follow(old).error == 0
        for i in range(10):
            client.send(at, b"up %d" % i)
            assert peer.recvfrom(100) == (b"up %d" % i, relayed)
            peer.sendto(b"down %d" % i, relayed)
            got = client.receive()
            assert got is not None and (got.kind, got.data) == ("data", b"down %d" % i)
    assert relay.stats()["turn"]["moved"] == 1


def test_off_means_forbidden(one, start, open_client):
    """RFC 8016 section 3.1.2."""
    start(one)
    client = open_client(one, 4)
    assert client.allocate_request(mobile=True).error == 405
    client.allocate()


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_coturns_client_moves(one, start, echo_peer, coturn, mode):
    """`-M`: it opens another socket in the middle and goes on with the ticket."""
    relay = start(one, mode, change=mobile)
    echo_peer(one)
    uclient(relay, coturn, 4, "-c", "-M", "-e", one.PEER[4])
    stats = relay.settled()
    relays.check_sums(stats)
    assert stats["turn"]["moved"] > 0
    if mode != "off":
        assert stats["total"]["paths"]["up_4to4"] > TOTAL // 2
