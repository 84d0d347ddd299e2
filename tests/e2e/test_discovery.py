# SPDX-License-Identifier: Apache-2.0
"""NAT behaviour discovery (RFC 5780) at two addresses of the relay, for clients behind NATs of every kind."""

import select
import struct
import time

import pytest
import turn
from call import MODES, Call
from test_metrics import fetch, with_metrics

CHANGE_REQUEST, PADDING, RESPONSE_PORT = 0x0003, 0x0026, 0x0027
CHANGE_PORT, CHANGE_IP = 2, 4
PORTS = 3478, 3479
WAIT_SEC = 0.6


def change(flags):
    return [(CHANGE_REQUEST, struct.pack("!I", flags))]


def with_discovery(net):
    def edit(conf):
        with_metrics(conf)
        conf["listen"] = [
            {"address": a, "port": p}
            for where in (net.LISTEN, net.LISTEN2)
            for a in where.values()
            for p in PORTS
        ]
        conf["discovery"] = [
            {"address": net.LISTEN[f], "port": 3478, "other_address": net.LISTEN2[f], "other_port": 3479}
            for f in (4, 6)
        ]

    return edit


def binding(sock, server, attrs=()):
    """Ask twice at most.  The answer and where it came from; None, None: it was filtered."""
    request = turn.build(turn.BINDING, turn.REQUEST, list(attrs))
    for _ in range(2):
        sock.sendto(request, server)
        while got := sock.receive(WAIT_SEC):
            answer = turn.Message(got[0])
            if answer.tid == request[8:20]:
                return answer, got[1]
    return None, None


def told(answer, kind):
    return turn.plain_address(answer.get(kind))


def mapping_behaviour(sock, first):
    """Section 4.3, tests I to III."""
    one, _ = binding(sock, first)
    mapped, other = one.address(turn.XOR_MAPPED_ADDRESS), told(one, turn.OTHER_ADDRESS)
    assert told(one, turn.MAPPED_ADDRESS) == mapped
    if mapped == sock.getsockname()[:2]:
        return "no NAT"
    two, _ = binding(sock, (other[0], first[1]))
    if two.address(turn.XOR_MAPPED_ADDRESS) == mapped:
        return "endpoint-independent"
    three, _ = binding(sock, other)
    if three.address(turn.XOR_MAPPED_ADDRESS) == two.address(turn.XOR_MAPPED_ADDRESS):
        return "address-dependent"
    return "address and port-dependent"


def filtering_behaviour(sock, first):
    """Section 4.4, tests I to III."""
    one, _ = binding(sock, first)
    other = told(one, turn.OTHER_ADDRESS)
    two, source = binding(sock, first, change(CHANGE_IP | CHANGE_PORT))
    if two is not None:
        assert source == other == told(two, turn.RESPONSE_ORIGIN)
        return "endpoint-independent"
    three, source = binding(sock, first, change(CHANGE_PORT))
    if three is not None:
        assert source == (first[0], other[1]) == told(three, turn.RESPONSE_ORIGIN)
        return "address-dependent"
    return "address and port-dependent"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_every_answer_leaves_from_where_it_was_asked_for(one, start, family, mode):
    """Section 6.1, table 1, at all four."""
    relay = start(one, mode, change=with_discovery(one))
    sock = Direct(one, family)
    ips = one.LISTEN[family], one.LISTEN2[family]
    for at in range(4):
        server = ips[at >> 1], PORTS[at & 1]
        for flags, to in ((None, 0), (0, 0), (CHANGE_PORT, 1), (CHANGE_IP, 2), (CHANGE_IP | CHANGE_PORT, 3)):
            answer, source = binding(sock, server, () if flags is None else change(flags))
            origin = ips[(at ^ to) >> 1], PORTS[(at ^ to) & 1]
            assert source == origin == told(answer, turn.RESPONSE_ORIGIN)
            assert told(answer, turn.OTHER_ADDRESS) == (ips[1 - (at >> 1)], PORTS[1 - (at & 1)])
            mapped = told(answer, turn.MAPPED_ADDRESS)
            assert mapped == answer.address(turn.XOR_MAPPED_ADDRESS) == sock.getsockname()[:2]
    assert relay.stats()["turn"]["changed"] >= 12
    assert "turnpike_changed_bindings_total" in fetch(one, "/metrics")[2]
    for attrs, unknown in (
        ([(PADDING, bytes(64))], PADDING),
        ([(RESPONSE_PORT, struct.pack("!HH", 9, 0))], RESPONSE_PORT),
    ):
        answer, source = binding(sock, server, attrs)
        assert (answer.error, source) == (420, server)
        assert answer.get(turn.UNKNOWN_ATTRIBUTES) == struct.pack("!H", unknown)
    sock.close()


def test_off_it_is_420(one, start):
    start(one)
    sock = Direct(one, 4)
    answer, source = binding(sock, (one.LISTEN[4], 3478), change(CHANGE_IP))
    assert (answer.error, source) == (420, (one.LISTEN[4], 3478))
    answer, _ = binding(sock, (one.LISTEN[4], 3478))
    assert answer.get(turn.OTHER_ADDRESS) is None and answer.get(turn.RESPONSE_ORIGIN) is None
    sock.close()


def test_allocations_at_all_four(one, start, open_client):
    """They are listeners like any other."""
    relay = start(one, change=with_discovery(one))
    for number, (where, port) in enumerate((w, p) for w in (one.LISTEN, one.LISTEN2) for p in PORTS):
        peer = one.udp("peer", one.PEER[4])
        call = Call(relay, open_client(one, 4, server=where[4], port=port), peer, 4, 0x4000 + number)
        call.both(b"relayed")
        peer.close()


BEHAVIOURS = ["endpoint-independent", "address-dependent", "address and port-dependent"]


class Nat:
    """A client behind a NAT, in one: a mapping is a socket, and a filter is what it does not hear (RFC 4787)."""

    INSIDE = "192.168.0.2", 5000

    def __init__(self, net, family, mapping, filtering):
        self.open = lambda: net.udp("client", net.CLIENT[family])
        self.depends = [BEHAVIOURS.index(b) for b in (mapping, filtering)]
        self.sockets = {}  # by what of the destination the mapping depends on
        self.sent = {}  # socket: what of a source it hears

    def sendto(self, data, to):
        key = to[: self.depends[0]]
        if key not in self.sockets:
            self.sockets[key] = self.open()
        self.sent.setdefault(self.sockets[key], set()).add(to[: self.depends[1]])
        self.sockets[key].sendto(data, to)

    def receive(self, timeout):
        """What the filter lets in within this time, or nothing."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            for sock in select.select(list(self.sent), [], [], left)[0]:
                data, source = sock.recvfrom(2000)
                if source[: self.depends[1]] in self.sent[sock]:
                    return data, source[:2]
        return None

    def getsockname(self):
        return self.INSIDE

    def close(self):
        for sock in self.sockets.values():
            sock.close()


class Direct(Nat):
    """No NAT: the socket itself."""

    def __init__(self, net, family):
        super().__init__(net, family, BEHAVIOURS[0], BEHAVIOURS[0])
        self.sockets[()] = self.open()

    def getsockname(self):
        return self.sockets[()].getsockname()[:2]


@pytest.mark.parametrize("family", [4, 6])
def test_a_client_without_nat_learns_so(one, start, family):
    start(one, change=with_discovery(one))
    client = Direct(one, family)
    first = one.LISTEN[family], 3478
    assert mapping_behaviour(client, first) == "no NAT"
    assert filtering_behaviour(client, first) == "endpoint-independent"
    client.close()


@pytest.mark.parametrize("filtering", BEHAVIOURS)
@pytest.mark.parametrize("mapping", BEHAVIOURS)
def test_a_client_learns_the_behaviour_of_its_nat(one, start, mapping, filtering):
    """The sequences of sections 4.3 and 4.4, by a port each (4.1: no test must open the way for the next)."""
    start(one, change=with_discovery(one))
    for learn, want in ((mapping_behaviour, mapping), (filtering_behaviour, filtering)):
        client = Nat(one, 4, mapping, filtering)
        assert learn(client, (one.LISTEN[4], 3478)) == want
        client.close()
