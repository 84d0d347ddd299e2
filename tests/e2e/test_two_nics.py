# SPDX-License-Identifier: Apache-2.0
"""Clients on one interface, peers on another, both behind gateways."""

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS
from sniff import Sniffer, check_checksums


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_relays_between_interfaces(two, start, call, pair, mode):
    relay = start(two, mode)
    talk = call(relay, pair)
    before = relay.paths()
    with Sniffer(two, "peer", "peer0") as at_peer, Sniffer(two, "client", "client0") as at_client:
        for size in range(20):
            talk.both(bytes(range(size)))
        ups = at_peer.udp(dport=talk.peer_address[1])
        downs = at_client.udp(dport=talk.client.mapped[1])
    assert len(ups) == len(downs) == 20
    for packet in ups + downs:
        check_checksums(packet)
    if mode != "off":
        up, down = f"up_{pair[0]}to{pair[1]}", f"down_{pair[1]}to{pair[0]}"
        assert relays.growth(before, relay.paths()) == {up: 20, down: 20}
    stats = relay.settled()
    assert {i["name"] for i in stats["interfaces"]} == set(two.INTERFACES)
    relays.check_sums(stats)


def test_gateway_change_is_followed(two, start, call):
    """The route to the peer moves to another gateway in the middle of a call."""
    relay = start(two)
    talk = call(relay, (4, 4))
    talk.both(b"by the first gateway")
    two.address("peer", "peer0", "10.92.2.33/24")
    two.ip("relay", "route", "replace", "10.94.2.0/24", "via", "10.92.2.33")

    def by_second():
        # Routes are compared by what the kernel learned to reach them.
        neighbours = two.ip("relay", "neigh", "show", "dev", "back0").stdout
        talk.client.send_channel(talk.number, b"x")
        talk.peer.settimeout(0.2)
        try:
            talk.peer.recv(100)
        except TimeoutError:
            return False
        return "10.92.2.33 lladdr" in neighbours

    relays.wait_for("the new gateway", by_second)
    while True:
        try:
            talk.peer.recv(100)
        except TimeoutError:
            break
    talk.wait_fast()
    talk.peer.settimeout(2)
    talk.both(b"by the second gateway")


def test_two_clients_on_different_interfaces(two, start, open_client):
    """Relay to relay: in by one interface, out by the other."""
    relay = start(two)
    ends = [open_client(two, 4), open_client(two, 6, role="peer")]
    addresses = [end.allocate(turn.IPV6) for end in ends]
    for end, other in zip(ends, reversed(addresses)):
        assert end.bind(0x4005, *other).error == 0
    for a, b in (ends, ends[::-1]) * 5:
        a.send_channel(0x4005, b"hello")
        assert b.receive().data == b"hello"
    relays.check_sums(relay.settled())
