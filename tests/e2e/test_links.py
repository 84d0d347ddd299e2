# SPDX-License-Identifier: Apache-2.0
"""Routes, neighbours, links and addresses change in the middle of a call that workers carry."""

import struct
import subprocess
import threading
import time

import pytest
import relay as relays
from call import Call
from scapy.layers.inet import UDP
from sniff import Sniffer

PACE_SEC = 0.004
LINK_POLL_SEC = 1  # how often the relay asks a DPDK device for its link
FAMILIES = pytest.mark.parametrize("family", [4, 6])


class Stream:
    """Numbered datagrams at a steady pace from client to peer, and which of them arrive."""

    def __init__(self, talk):
        self.talk = talk
        self.sent = 0
        self.arrived = {}  # number -> when
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._send, self._receive)]

    def _send(self):
        begin = time.monotonic()
        while not self.is_over.is_set():
            self.talk.client.send_channel(self.talk.number, struct.pack(">I", self.sent))
            self.sent += 1
            time.sleep(max(0, begin + self.sent * PACE_SEC - time.monotonic()))

    def _receive(self):
        self.talk.peer.settimeout(0.5)
        while True:
            try:
                number = struct.unpack(">I", self.talk.peer.recv(100))[0]
            except TimeoutError:
                if self.is_over.is_set():
                    return
                continue
            self.arrived.setdefault(number, time.monotonic())

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        self.talk.peer.settimeout(2)

    @property
    def gap_sec(self):
        """The longest run of datagrams that were lost, as time."""
        longest = run = 0
        for number in range(self.sent):
            run = 0 if number in self.arrived else run + 1
            longest = max(longest, run)
        return longest * PACE_SEC

    @property
    def lost(self):
        return self.sent - len(self.arrived)


def call(relay, net, open_client, family):
    talk = Call(relay, open_client(net, family), net.udp("peer", net.PEER[family]), family)
    return talk.wait_fast()


def flags(family):
    return ("-6",) if family == 6 else ()


def set_way(net, family, way, *extra):
    dst, *gateways = net.WAYS[family]
    net.ip("relay", *flags(family), "route", "replace", dst, "via", gateways[way], *extra)


def set_link(net, mode, state):
    """Of the relay's back0, at its other end; a DPDK port's link is that of its own end of the wire."""
    net.ip("peer", "link", "set", "peer0", state)
    if mode == "dpdk":
        net.ip("relay", "link", "set", "back0t", state)


def count(net, nic, ports):
    """How many datagrams to each of the ports come in by a NIC of the peer in half a second."""
    with Sniffer(net, "peer", nic) as sniffer:
        time.sleep(0.5)
        arrived = [ip[UDP].dport for ip in sniffer.udp()]
    return [arrived.count(port) for port in ports]


@pytest.mark.parametrize("mode", ["copy", "skb", "dpdk"])
def test_route_flips_under_traffic(three, start, open_client, mode):
    """To another interface and back, many times; the old way stays alive."""
    relay = start(three, mode)
    talks = {family: call(relay, three, open_client, family) for family in (4, 6)}
    ports = [talk.peer_address[1] for talk in talks.values()]
    paths = ("up_4to4", "up_6to6")
    with Stream(talks[4]) as four, Stream(talks[6]) as six:
        for way in (1, 0, 1, 0, 1):
            for family in talks:
                set_way(three, family, way)
            time.sleep(0.8)
        for talk in talks.values():
            talk.wait_fast()
        before = relay.paths()
        assert min(count(three, "peer1", ports)) > 50
        assert count(three, "peer0", ports) == [0, 0]
        now = relay.paths()
        assert min(now[path] - before[path] for path in paths) > 100, "not by workers"
    for stream in (four, six):
        print(f"lost {stream.lost} of {stream.sent}, longest gap {stream.gap_sec:.3f} s")
        assert stream.gap_sec < 1
        assert stream.lost * PACE_SEC < 1
    relays.check_sums(relay.settled())


@FAMILIES
def test_old_way_dies_as_the_route_flips(three, start, open_client, family):
    """No overlap: the interface goes down and the route moves; then it all comes back."""
    relay = start(three)
    talk = call(relay, three, open_client, family)
    with Stream(talk) as stream:
        three.ip("relay", "link", "set", "back0", "down")  # which takes the route along
        set_way(three, family, 1)
        time.sleep(1)
        talk.wait_fast()
        before = relay.paths()[f"up_{family}to{family}"]
        time.sleep(0.5)
        assert relay.paths()[f"up_{family}to{family}"] - before > 50, "not by workers"
    print(f"lost {stream.lost} of {stream.sent}, longest gap {stream.gap_sec:.3f} s")
    assert stream.lost * PACE_SEC < 1


@pytest.mark.parametrize("mode, most_sec", [("copy", 1), ("dpdk", 1 + LINK_POLL_SEC)], ids=["copy", "dpdk"])
def test_carrier_is_lost_and_another_route_takes_over(three, start, open_client, mode, most_sec):
    """Nobody touches the routes: the kernel skips those of a link without carrier."""
    relay = start(three, mode)
    three.sysctl("relay", "ipv4/conf/back0/ignore_routes_with_linkdown", 1)
    three.ip("relay", "route", "add", three.WAYS[4][0], "via", three.WAYS[4][2], "metric", "500")
    talk = call(relay, three, open_client, 4)
    with Stream(talk) as stream:
        set_link(three, mode, "down")
        time.sleep(most_sec)
        talk.wait_fast()
        before = relay.paths()["up_4to4"]
        time.sleep(0.5)
        assert relay.paths()["up_4to4"] - before > 50, "not by workers"
    print(f"lost {stream.lost} of {stream.sent}, longest gap {stream.gap_sec:.3f} s")
    assert stream.lost * PACE_SEC < most_sec


@FAMILIES
@pytest.mark.parametrize("mode", ["copy", "dpdk"])
def test_link_goes_down_and_up(two, start, open_client, family, mode):
    """The only way: what is lost is lost, but no longer than the link is."""
    relay = start(two, mode)
    talk = call(relay, two, open_client, family)
    with Stream(talk) as stream:
        set_link(two, mode, "down")
        relays.wait_for("the kernel path", lambda: not is_fast(relay), 2)
        set_link(two, mode, "up")
        # The other end's kernel has forgotten these with the link.
        if family == 6:
            two.address("peer", "peer0", "fd92:2::3/64")
            two.ip("peer", "route", "replace", "fd92::/16", "via", "fd92:2::1")
        else:
            two.ip("peer", "route", "replace", "10.92.0.0/16", "via", "10.92.2.1")
        since = time.monotonic()
        relays.wait_for("traffic", lambda: max(stream.arrived.values()) > since, 3)
        talk.wait_fast()
    talk.both(b"as before")
    relays.check_sums(relay.settled())


@FAMILIES
def test_neighbour_gets_another_mac(two, start, open_client, family):
    for proto in ("ipv4/conf/peer0/arp_notify", "ipv6/conf/peer0/ndisc_notify"):
        two.sysctl("peer", proto, 1)
    relay = start(two)
    talk = call(relay, two, open_client, family)
    with Stream(talk) as stream:
        two.ip("peer", "link", "set", "peer0", "address", "02:00:00:00:00:99")
        if family == 6:  # the kernel announces a new MAC for IPv4 alone
            two.exec("peer", "ping", "-6", "-c", "1", "-I", "fd92:2::3", "fd92:2::1", check=False)
            two.ip("relay", "neigh", "replace", "fd92:2::3", "lladdr", "02:00:00:00:00:99",
                   "dev", "back0", "nud", "reachable")
        time.sleep(1)
        before = relay.paths()[f"up_{family}to{family}"]
        time.sleep(0.5)
        assert relay.paths()[f"up_{family}to{family}"] - before > 50, "not by workers"
    print(f"lost {stream.lost} of {stream.sent}, longest gap {stream.gap_sec:.3f} s")
    assert stream.lost * PACE_SEC < 1
    assert stream.sent - 1 in stream.arrived


def make_neighbours_short_lived(net, family):
    """Stale after 2 to 6 s; then the kernel collects, every 15 s, what it did not use for 8.

    The relay has a neighbour confirmed at most every 5 s, and looks once a second.
    """
    proto = f"ipv{family}/neigh/back0"
    for key, value in (("base_reachable_time_ms", 4000), ("gc_stale_time", 8), ("delay_first_probe_time", 1)):
        net.sysctl("relay", f"{proto}/{key}", value)
    # But only when there are many; these are never collected.
    many = {4: "10.92.2.{}", 6: "fd92:2::1:{}"}[family]
    batch = "".join(
        f"neigh add {many.format(i)} lladdr 02:00:00:00:01:{i:02x} dev back0 nud permanent\n"
        for i in range(50, 220)
    )
    net.exec("relay", "ip", "-batch", "-", input=batch)


def test_neighbours_that_only_workers_use_do_not_go_stale(two, start, open_client):
    gateways = {4: "10.92.2.3", 6: "fd92:2::3"}
    for family in gateways:
        make_neighbours_short_lived(two, family)
    relay = start(two)
    talks = [call(relay, two, open_client, family) for family in gateways]
    slow = relay.slow()
    monitor = two.popen("relay", "ip", "monitor", "neigh", stdout=subprocess.PIPE, text=True)
    with Stream(talks[0]) as four, Stream(talks[1]) as six:
        time.sleep(26)
    monitor.terminate()
    changes = monitor.communicate(timeout=5)[0].splitlines()
    for gateway in gateways.values():
        of_gateway = [line for line in changes if gateway + " " in line]
        assert any("REACHABLE" in line for line in of_gateway), "never confirmed"
        assert [line for line in of_gateway if "Deleted" in line or "FAILED" in line] == []
    assert four.lost == six.lost == 0
    assert relays.growth(slow, relay.slow()) == {}, "the kernel path had to help"


def is_fast(relay):
    return all(c["fast"] for a in relay.allocations() for c in a["channels"])


@FAMILIES
def test_relayed_address_goes_and_comes_back(three, start, open_client, family):
    """What is not this host's any more is not taken from it: XDP passes it to the kernel."""
    relay = start(three)
    talk = call(relay, three, open_client, family)
    talk.both(b"before")
    address = three.RELAY[family] + {4: "/32", 6: "/128"}[family]
    three.ip("relay", "address", "del", address, "dev", "lo")
    relays.wait_for("the fast path to let go", lambda: not is_fast(relay), 1)
    before = relay.settled()["total"]["rx_pkts"]
    for _ in range(5):
        talk.peer.sendto(b"nobody is here", talk.relayed)
    time.sleep(0.2)
    assert relay.stats()["total"]["rx_pkts"] == before, "workers took packets for a foreign address"
    relay.wait_said("is not on this host")

    three.address("relay", "lo", address)
    since = time.monotonic()
    talk.wait_fast()
    relays.wait_for("XDP", lambda: "on this host again" in relay.log)
    assert time.monotonic() - since < 1
    before = relay.paths()
    while talk.client.receive(0.1):
        pass
    talk.both(b"after")
    assert relays.growth(before, relay.paths()) == {f"up_{family}to{family}": 1, f"down_{family}to{family}": 1}
    relays.check_sums(relay.settled())


@FAMILIES
def test_listener_address_goes_and_comes_back(two, start, open_client, family):
    relay = start(two)
    talk = call(relay, two, open_client, family)
    talk.both(b"before")
    # On another interface it is as good an address: only the last of them counts.
    address = two.LISTEN[family] + {4: "/32", 6: "/128"}[family]
    prefix = two.LISTEN[family] + {4: "/24", 6: "/64"}[family]
    two.address("relay", "lo", address)
    if family == 4:  # or its prefix goes, and with it the route to the client
        two.address("relay", "front0", "10.92.1.200/24")
        two.ip("relay", "route", "replace", "10.94.1.0/24", "via", "10.92.1.2")
    else:
        two.address("relay", "front0", "fd92:1::200/64")
    two.ip("relay", "address", "del", prefix, "dev", "front0")
    if family == 4:
        two.ip("relay", "address", "replace", "10.92.1.200/24", "dev", "front0")
        two.ip("relay", "route", "replace", "10.94.1.0/24", "via", "10.92.1.2")
    time.sleep(0.5)
    assert "is not on this host" not in relay.log
    two.ip("relay", "address", "del", address, "dev", "lo")
    relays.wait_for("the fast path to let go", lambda: not is_fast(relay), 1)
    before = relay.settled()["total"]["rx_pkts"]
    for _ in range(5):
        talk.client.send_channel(talk.number, b"nobody is here")
    time.sleep(0.2)
    assert relay.stats()["total"]["rx_pkts"] == before, "workers took packets for a foreign address"
    two.address("relay", "lo", address)
    talk.wait_fast()
    talk.both(b"after")
