# SPDX-License-Identifier: Apache-2.0
"""802.1Q: addresses on sub-interfaces of the interfaces that the workers have."""

import socket
import struct

import pytest
import relay as relays
from call import MODES, PAIR_IDS, PAIRS
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from sniff import Sniffer, check_checksums

IP_MTU_DISCOVER = 10  # 0: without DF

VIDS = [(100, 0), (0, 200), (100, 200)]
VID_IDS = ["client-tagged", "peer-tagged", "both-tagged"]


def vids(packets):
    """The VLANs that frames came with, 0 for none."""
    return {p.underlayer.vlan if isinstance(p.underlayer, Dot1Q) else 0 for p in packets}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tags", VIDS, ids=VID_IDS)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_relays_between_vlans(tagged, start, call, pair, tags, mode):
    net = tagged(*tags, mode)
    relay = start(net, mode)
    talk = call(relay, pair)
    before = relay.paths()
    with Sniffer(net, "peer", "peer0") as at_peer, Sniffer(net, "client", "client0") as at_client:
        for size in (*range(20), 1000, 1400 if pair == (4, 4) else 1200):
            talk.both(bytes(i & 0xFF for i in range(size)))
        ups = at_peer.udp(dport=talk.peer_address[1])
        downs = at_client.udp(dport=talk.client.mapped[1])
    assert len(ups) == len(downs) == 22
    for packet in ups + downs:
        check_checksums(packet)
    assert (vids(downs), vids(ups)) == ({tags[0]}, {tags[1]})
    if mode != "off":
        up, down = f"up_{pair[0]}to{pair[1]}", f"down_{pair[1]}to{pair[0]}"
        assert relays.growth(before, relay.paths()) == {up: 22, down: 22}
    relays.check_sums(relay.settled())
    assert "rxvlan" not in relay.log


class Forge:
    """Frames of a call's client, with any tags."""

    def __init__(self, net, talk):
        self.net, self.talk = net, talk
        self.sock = net.socket("client", socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind(("client0", 0))
        self.macs = {"dst": net.mac("relay", "front0"), "src": net.mac("client", "client0")}

    def send(self, tags, data):
        client, family = self.talk.client, 6 if ":" in self.talk.client.mapped[0] else 4
        ip = (IPv6 if family == 6 else IP)(src=client.mapped[0], dst=self.net.LISTEN[family])
        frame = Ether(**self.macs)
        for tag in tags:
            frame /= Dot1Q(**tag)
        payload = struct.pack(">HH", self.talk.number, len(data)) + data
        self.sock.send(bytes(frame / ip / UDP(sport=client.mapped[1], dport=3478) / payload))

    def close(self):
        self.sock.close()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["copy", "skb", "dpdk"])
def test_only_vlans_of_the_host_reach_the_workers(tagged, start, call, family, mode):
    """The kernel drops frames of VLANs that it does not have; XDP comes before that."""
    net = tagged(100, 0, mode)
    relay = start(net, mode)
    talk = call(relay, (family, family))
    forge = Forge(net, talk)
    cases = [
        ("its VLAN", [{"vlan": 100}], True),
        ("with a priority", [{"vlan": 100, "prio": 5}], True),
        ("priority only", [{"vlan": 0, "prio": 7}], True),
        ("untagged", [], True),
        ("another VLAN", [{"vlan": 101}], False),
        ("another VLAN with the same bit", [{"vlan": 164}], False),
        ("the last VLAN", [{"vlan": 4094}], False),
        ("the reserved VLAN", [{"vlan": 4095}], False),
        ("two tags", [{"vlan": 100}, {"vlan": 100}], False),
    ]
    for what, tags, want in cases:
        before = relay.paths()
        talk.peer.settimeout(2 if want else 0.3)
        forge.send(tags, what.encode())
        try:
            got = talk.peer.recv(100)
        except TimeoutError:
            got = None
        assert got == (what.encode() if want else None), what
        up = f"up_{family}to{family}"
        assert relays.growth(before, relay.paths()) == ({up: 1} if want else {}), what
    forge.close()


def test_vlan_comes_and_goes(tagged, start, call):
    """A sub-interface made and deleted under a running relay."""
    net = tagged(100, 0)
    relay = start(net)
    talk = call(relay, (4, 4))
    talk.both(b"by the first VLAN")
    forge = Forge(net, talk)
    talk.peer.settimeout(0.3)

    name = net.vlans.add("relay", "front0", 300)
    relays.wait_for("VLAN 300", lambda: arrives(forge, talk, [{"vlan": 300}]), 2)
    net.vlans.delete("relay", name)
    relays.wait_for("its end", lambda: not arrives(forge, talk, [{"vlan": 300}]), 2)
    forge.close()

    net.ip("relay", "link", "set", "front0.100", "down")
    relays.wait_for("the kernel path", lambda: not is_fast(relay), 2)
    net.ip("relay", "link", "set", "front0.100", "up")
    # The kernel gave IPv6 addresses up with the link; IPv4's are still there.
    talk.wait_fast()
    talk.peer.settimeout(2)
    talk.both(b"up again")


def arrives(forge, talk, tags):
    forge.send(tags, b"x")
    try:
        return talk.peer.recv(100) == b"x"
    except TimeoutError:
        return False


def is_fast(relay):
    return all(c["fast"] for a in relay.allocations() for c in a["channels"])


def test_own_mac_and_mtu_of_a_vlan(tagged, start, call):
    """The sub-interface's MAC and MTU count, not those of the interface below it."""
    net = tagged(0, 200)
    net.ip("relay", "link", "set", "back0", "promisc", "on")
    net.ip("relay", "link", "set", "back0.200", "address", "02:00:00:00:02:00", "mtu", "1300")
    relay = start(net)
    talk = call(relay, (4, 4))
    with Sniffer(net, "peer", "peer0") as at_peer:
        talk.both(b"hello")
        ups = at_peer.udp(dport=talk.peer_address[1])
    assert [p.underlayer.underlayer.src for p in ups] == ["02:00:00:00:02:00"]
    before = relay.paths()
    talk.up(bytes(1300 - 28))
    assert relays.growth(before, relay.paths()) == {"up_4to4": 1}
    talk.client.sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
    talk.up(bytes(1300 - 28 + 1))  # fragmented by the kernel path
    assert relays.growth(before, relay.paths()) == {"up_4to4": 1}


@pytest.mark.own_mode
def test_tags_taken_off_in_hardware_are_warned_of(tagged, start):
    net = tagged(100, 0)
    net.exec("relay", "ethtool", "-K", "front0", "rxvlan", "on")
    relay = start(net)
    warnings = [line for line in relay.log.splitlines() if "rxvlan" in line]
    assert len(warnings) == 1 and "ethtool -K front0 rxvlan off" in warnings[0], relay.log
