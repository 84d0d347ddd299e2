# SPDX-License-Identifier: Apache-2.0
"""A client with an allocation and a channel, and the peer at its other end."""

import socket

import relay as relays
import turn

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER = 10, 23
PMTUDISC_DONT, PMTUDISC_DO = 0, 2

PAIRS = [(4, 4), (6, 6), (4, 6), (6, 4)]  # family of the client, family of the peer
PAIR_IDS = [f"{c}to{p}" for c, p in PAIRS]
MODES = ["copy", "skb", "off", "dpdk"]

CHANNEL = 0x4001


class Call:
    def __init__(self, relay, client, peer_socket, peer_family, number=CHANNEL, bind=True):
        self.relay = relay
        self.client = client
        self.peer = peer_socket
        self.peer_address = peer_socket.getsockname()[:2]
        self.number = number
        self.relayed = client.allocate({4: turn.IPV4, 6: turn.IPV6}[peer_family])
        if bind:
            answer = client.bind(number, *self.peer_address)
            assert answer.error == 0, f"ChannelBind: {answer.error}"

    def wait_fast(self):
        """Wait until workers carry the channel."""

        def is_fast():
            return any(
                channel["fast"]
                for allocation in self.relay.allocations()
                for channel in allocation["channels"]
                if tuple(self.client.mapped) == split(allocation["client"])
                and int(channel["number"], 16) == self.number
            )

        relays.wait_for("the channel to become fast", is_fast)
        return self

    def up(self, data, pad=False):
        """Client to peer, over the channel."""
        self.client.send_channel(self.number, data, pad)
        got, source = self.peer.recvfrom(65536)
        assert got == data, f"{len(data)} bytes sent, {len(got)} other bytes received"
        assert source[:2] == self.relayed

    def down(self, data):
        """Peer to client, over the channel."""
        self.peer.sendto(data, self.relayed)
        got = self.client.receive()
        assert got is not None, f"{len(data)} bytes from the peer were lost"
        assert (got.kind, got.number, got.data) == ("channel", self.number, data)

    def both(self, data):
        self.up(data)
        self.down(data)


def _discover(level, name, value, sockets):
    for sock in sockets:
        if sock.family == {socket.IPPROTO_IP: socket.AF_INET}.get(level, socket.AF_INET6):
            sock.setsockopt(level, name, value)


def clear_df(*sockets):
    """What these send may be fragmented: on the way, and, IPv6, by their own host."""
    _discover(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT, sockets)
    _discover(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT, sockets)


def set_df(*sockets):
    """What these send is never fragmented: too much is an error at once (EMSGSIZE)."""
    _discover(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO, sockets)
    _discover(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO, sockets)


def split(text):
    """"1.2.3.4:5" or "[::1]:5" to (ip, port)."""
    ip, port = text.rsplit(":", 1)
    return ip.strip("[]"), int(port)


def is_refused(net, address):
    """Does the port answer port unreachable?"""
    with net.udp("peer", net.PEER[6 if ":" in address[0] else 4]) as probe:
        probe.settimeout(0.3)
        probe.connect(address)
        try:
            probe.send(b"anyone there?")
            probe.recv(100)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    raise AssertionError("got an answer")
