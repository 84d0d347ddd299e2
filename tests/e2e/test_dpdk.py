# SPDX-License-Identifier: Apache-2.0
"""What only DPDK ports have: mixed layouts, links, counters of the device, and their own mistakes.

All else that a relay does is tested in mode `dpdk` beside the other modes, and with
TURNPIKE_MODE=dpdk in the tests that have no mode.
"""

import json

import pytest
import relay as relays
from call import PAIR_IDS, PAIRS, Call
from sniff import Sniffer, check_checksums


pytestmark = pytest.mark.own_mode


def only(net, name, mode):
    """A change that gives one interface another mode."""

    def change(conf):
        for i, interface in enumerate(conf["interfaces"]):
            if interface["name"] == name:
                conf["interfaces"][i] = relays.interface(net, name, mode)

    return change


def set_first(**kw):
    def change(conf):
        conf["interfaces"][0].update(kw)

    return change


@pytest.mark.parametrize("dpdk", ["front0", "back0"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_mixed_layout(two, start, open_client, pair, dpdk):
    """One leg on an AF_XDP port, the other on a DPDK port, of one worker: copied, and counted."""
    relay = start(two, "copy", only(two, dpdk, "dpdk"))
    talk = Call(relay, open_client(two, pair[0]), two.udp("peer", two.PEER[pair[1]]), pair[1])
    talk.wait_fast()
    before = relay.stats()["workers"][0]["copied"]
    with Sniffer(two, "peer", "peer0") as at_peer, Sniffer(two, "client", "client0") as at_client:
        for size in [*range(20), 1300]:
            talk.both(bytes(i & 255 for i in range(size)))
        packets = at_peer.udp(dport=talk.peer_address[1]) + at_client.udp(dport=talk.client.mapped[1])
    assert len(packets) == 42
    for packet in packets:
        check_checksums(packet)
    stats = relay.settled()
    worker = stats["workers"][0]
    assert worker["copied"] - before == 42
    assert {port["driver"] for port in worker["ports"]} == {"afxdp", "dpdk"}
    assert {i["name"]: i["mode"] for i in stats["interfaces"]} == {
        name: "dpdk" if name == dpdk else "copy" for name in two.INTERFACES
    }
    relays.check_sums(stats)
    relays.check_frames(stats)


def test_frames_of_one_driver_are_not_copied(two, start, open_client):
    relay = start(two, "dpdk")
    Call(relay, open_client(two, 4), two.udp("peer", two.PEER[4]), 4).wait_fast().both(b"x")
    assert relay.stats()["workers"][0]["copied"] == 0


def test_several_queues(multi, start, open_client):
    """A worker for each queue; what the kernel sends leaves by the first."""
    relay = start(multi, "dpdk")
    calls = [
        Call(relay, open_client(multi, 6), multi.udp("peer", multi.PEER[6]), 6).wait_fast()
        for _ in range(8)
    ]
    for call in calls:
        for _ in range(5):
            call.both(b"by any queue")
    stats = relay.settled()
    assert len(stats["workers"]) == 2
    assert all(worker["rx_pkts"] > 0 for worker in stats["workers"])
    assert sum(stats["total"]["paths"].values()) == 80
    relays.check_sums(stats)
    relays.check_frames(stats)


@pytest.mark.parametrize("driver", ["net_pcap", "net_af_packet"])
def test_any_kernel_interface(one, start, open_client, driver):
    """What the README offers for a try."""
    relay = start(one, "dpdk", set_first(device=f"{driver}0,iface=relay0w"))
    talk = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[6]), 6).wait_fast()
    for size in (0, 100, 1200):
        talk.both(bytes(size))
    stats = relay.settled()
    assert stats["interfaces"][0]["driver"] == driver
    assert stats["total"]["paths"]["up_4to6"] == stats["total"]["paths"]["down_6to4"] == 3
    relays.check_sums(stats)
    relays.check_frames(stats)


def test_counters_of_the_device(one, start, open_client):
    relay = start(one, "dpdk")
    Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast().both(b"x" * 100)
    one.exec("client", "ping", "-c", "3", "-i", "0.02", "-W", "2", one.LISTEN[4])
    stats = relay.settled()
    (interface,) = stats["interfaces"]
    assert (interface["driver"], interface["kernel"]) == ("net_tap", one.NIC)
    assert interface["mac"] == one.mac("relay", one.NIC) == one.mac("relay", one.NIC + "t")
    assert (interface["link"], interface["mtu"]) == ("up", 1500)
    device, port = interface["stats"], stats["workers"][0]["ports"][0]["stats"]
    assert device["ipackets"] == port["rx_pkts"] + port["to_kernel_pkts"] + port["to_kernel_dropped"]
    assert device["opackets"] == port["tx_pkts"] + port["from_kernel_pkts"]
    assert device["to_kernel"] + device["to_kernel_refused"] == port["to_kernel_pkts"] > 3
    assert device["from_kernel"] == port["from_kernel_pkts"] + port["from_kernel_dropped"] > 3
    text = relay.ctl("stats").stdout
    assert "net_tap" in text and "ipackets" in text and "mbufs free" in text


def carrier(net, name):
    flags = json.loads(net.ip("relay", "-j", "link", "show", "dev", name).stdout)[0]["flags"]
    return "LOWER_UP" in flags


def test_link_of_the_device_is_told_to_the_kernel(one, start):
    """Of a device that knows its link: net_tap, which makes one that can be set down."""
    one.ip("relay", "tuntap", "add", "dev", "tp0", "mode", "tap")
    one.ip("relay", "link", "set", "tp0", "up")

    def add(conf):
        device = {"name": "wan0", "driver": "dpdk", "device": "net_tap0,iface=wire0", "kernel": "tp0"}
        conf["interfaces"].append(device)
        conf["cores"][0]["queues"].append("wan0:0")

    relay = start(one, "copy", add)
    assert one.mac("relay", "tp0") == one.mac("relay", "wire0")
    one.ip("relay", "link", "set", "wire0", "up")
    relays.wait_for("a carrier", lambda: carrier(one, "tp0"))
    one.ip("relay", "link", "set", "wire0", "down")
    relays.wait_for("the carrier to go", lambda: not carrier(one, "tp0"))
    relay.wait_said("wan0: link is down")
    one.ip("relay", "link", "set", "wire0", "up")
    relays.wait_for("the carrier to come back", lambda: carrier(one, "tp0"))


MISTAKES = {
    "no kernel interface": (set_first(kernel="tp9"), ["no kernel interface tp9", "ip tuntap add dev tp9"]),
    "kernel interface of another kind": (set_first(kernel="relay0w"), ["relay0w is not a TAP"]),
    "no such virtual device": (set_first(device="net_nosuch0"), ["net_nosuch0"]),
    "no such PCI device": (set_first(device="0000:ff:1f.7"), ["no PCI device 0000:ff:1f.7"]),
    "bad EAL argument": (lambda conf: conf.update(eal=["--nosuch"]), ["DPDK did not start"]),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_said(one, make_relay, what):
    change, words = MISTAKES[what]
    relay = make_relay(one, "dpdk", change).spawn()
    assert relay.exit_code() == 1
    for word in words:
        assert word in relay.log, relay.log
    assert "relay0" in relay.log or what == "bad EAL argument"
    # Nothing is held: the next one starts.
    make_relay(one, "dpdk").start()


def test_queues_that_the_device_does_not_have(one, make_relay):
    """Of one that has one, as net_tap has many."""

    def add_queue(conf):
        set_first(device="net_pcap0,iface=relay0w")(conf)
        conf["cores"].append({"cpu": 0, "queues": ["relay0:1"], "idle": "adaptive"})

    relay = make_relay(one, "dpdk", add_queue).spawn()
    assert relay.exit_code() == 1
    assert "`cores` names 2 queues" in relay.log, relay.log

