# SPDX-License-Identifier: Apache-2.0
"""The relay as a guest on its host: everything else keeps working, and death leaves no trace."""

import ctypes
import os
import socket
import struct
import threading

import lab
import pytest
import relay as relays
from call import PAIR_IDS, PAIRS, Call, is_refused

XDP_MODES = ["copy", "skb"]
FAST_MODES = [*XDP_MODES, "dpdk"]


@pytest.fixture
def busy(one, start, open_client):
    """busy(mode): a relay with a fast path, and a fast call in each family."""

    def make(mode):
        relay = start(one, mode)
        assert one.has_xdp("relay", one.NIC) == (mode != "dpdk")
        calls = [
            Call(relay, open_client(one, f), one.udp("peer", one.PEER[f]), f).wait_fast()
            for f in (4, 6)
        ]
        return relay, calls

    return make


@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_ping(one, busy, family, mode):
    busy(mode)
    for size in ("56", "4000"):
        one.exec("client", "ping", "-c", "3", "-i", "0.02", "-s", size, "-W", "2", one.LISTEN[family])


@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_neighbours_are_still_found(one, busy, family, mode):
    """ARP and neighbour discovery, asked by either side, multicast included."""
    _, calls = busy(mode)
    for role, nic, target in (
        ("client", "client0", one.LISTEN[family]),
        ("relay", one.NIC, one.CLIENT[family]),
    ):
        # The relay asks again at once, so that it may never look empty to ip(8).
        args = ("-n", one.ns(role), f"-{family}", "neigh", "flush", "dev", nic)
        lab.run("ip", *args, check=False)
        one.exec(role, "ping", "-c", "1", "-W", "3", target)
    for call in calls:
        call.both(b"after the flush")


@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_tcp(one, busy, family, mode):
    """A megabyte each way, as ssh or scp would."""
    busy(mode)
    kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
    server = one.socket("relay", kind, socket.SOCK_STREAM)
    server.bind((one.LISTEN[family], 2222))
    server.listen()
    server.settimeout(10)

    def echo():
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    data = os.urandom(1 << 20)
    with one.socket("client", kind, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect((one.LISTEN[family], 2222))
        writer = threading.Thread(target=client.sendall, args=(data,), daemon=True)
        writer.start()
        got = bytearray()
        while len(got) < len(data):
            part = client.recv(65536)
            assert part, "connection closed early"
            got += part
    assert bytes(got) == data
    thread.join(10)


@pytest.mark.parametrize("mode", FAST_MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_dns_like_reply_to_a_high_port(one, busy, family, mode):
    """The host's own client sockets may have ports in the relayed range."""
    _, calls = busy(mode)
    taken = {call.relayed[1] for call in calls}
    server = one.udp("peer", one.PEER[family], 53)
    for port in (relays.PORT_MIN, 55555, relays.PORT_MAX - 1):
        if port in taken:
            continue
        resolver = one.udp("relay", one.LISTEN[family], port)
        # A reply whose first byte could be a channel number's.
        for reply in (b"\x40\x01\0\4abcd", b"answer"):
            resolver.sendto(b"question", (one.PEER[family], 53))
            question, source = server.recvfrom(100)
            assert (question, source[1]) == (b"question", port)
            server.sendto(reply, source)
            assert resolver.recv(100) == reply
        resolver.close()


@pytest.mark.parametrize("family", [4, 6])
def test_unallocated_ports_are_refused(one, busy, family):
    """ICMP port unreachable, as on any host."""
    _, calls = busy(relays.MODE)
    taken = {call.relayed[1] for call in calls}
    port = next(p for p in range(50000, 50010) if p not in taken)
    assert is_refused(one, (one.RELAY[family], port))


class Traffic:
    """Sends on every call, as fast as it may, until stopped."""

    def __init__(self, calls):
        self.calls = calls
        self.go = True
        self.sent = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        message = b"x" * 500
        while self.go:
            for call in self.calls:
                try:
                    call.client.send_channel(call.number, message)
                    call.peer.sendto(message, call.relayed)
                except OSError:
                    pass  # port unreachable while the relay is down
            self.sent += 1

    def stop(self):
        self.go = False
        self.thread.join(5)


@pytest.mark.parametrize("mode", FAST_MODES)
def test_sigkill_under_traffic_leaves_nothing(one, busy, open_client, mode):
    relay, calls = busy(mode)
    traffic = Traffic(calls)
    try:
        before = sum(relay.paths().values())
        relays.wait_for("traffic", lambda: sum(relay.paths().values()) > before + 200)
        relay.kill()
        # The program goes with the last reference, which the kernel drops in the background.
        relays.wait_for(
            "the XDP program to go", lambda: not one.has_xdp("relay", one.NIC), timeout=2
        )
        # sk_lookup is gone as well: what was a relayed port is nobody's now.  A DPDK device is
        # deaf without its process.
        if mode != "dpdk":
            relays.wait_for("port unreachable", lambda: is_refused(one, calls[0].relayed))
        relay.start()
        assert relay.start_sec < 3, f"restart took {relay.start_sec:.1f} s"
    finally:
        traffic.stop()
    for family in (4, 6):
        fresh = Call(relay, open_client(one, family), one.udp("peer", one.PEER[family]), family)
        fresh.wait_fast().both(b"a new call")


def test_restart_after_sigterm(one, busy, open_client):
    relay, _ = busy(relays.MODE)
    relay.stop()
    relay.start()
    fresh = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4)
    fresh.wait_fast().both(b"a new call")


def test_sigint_stops_it_too(one, make_relay):
    relay = make_relay(one).start()
    relay.process.send_signal(2)
    assert relay.exit_code(15) == 0
    assert not one.has_xdp("relay", one.NIC)


# bpf(2), just enough of it to be somebody else's XDP program.
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP = 6, 37
NR_BPF = 321


def bpf(command, attr):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attr, 128)
    fd = libc.syscall(NR_BPF, command, buffer, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return fd


def attach_foreign_program(net, interface):
    """r0 = XDP_PASS; exit.  @return descriptors that keep it attached"""
    code = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    code_at = ctypes.create_string_buffer(code, len(code))
    license_at = ctypes.create_string_buffer(b"GPL")
    prog = bpf(
        BPF_PROG_LOAD,
        struct.pack(
            "<IIQQ",
            BPF_PROG_TYPE_XDP,
            2,
            ctypes.addressof(code_at),
            ctypes.addressof(license_at),
        ),
    )
    with lab.inside(net.ns("relay")):
        ifindex = socket.if_nametoindex(interface)
        link = bpf(BPF_LINK_CREATE, struct.pack("<IIII", prog, ifindex, BPF_XDP, 0))
    return prog, link


@pytest.mark.parametrize("mode", ["auto", *XDP_MODES])
def test_foreign_xdp_program_is_never_replaced(one, make_relay, mode):
    """One sentence that names the interface and what to do; the other program stays."""
    descriptors = attach_foreign_program(one, one.NIC)
    try:
        relay = make_relay(one, mode).spawn()
        assert relay.exit_code() != 0
        said = [line for line in relay.lines if "XDP" in line and one.NIC in line]
        assert said, relay.log
        assert one.has_xdp("relay", one.NIC)
    finally:
        for fd in descriptors:
            os.close(fd)
    relays.wait_for("the other program to go", lambda: not one.has_xdp("relay", one.NIC))
    make_relay(one, mode).start()


@pytest.mark.own_mode
def test_counters_sum_up_under_load(one, busy):
    """One verdict for each packet: in each worker, and in the kernel path."""
    relay, calls = busy("copy")
    traffic = Traffic(calls)
    before = sum(relay.paths().values())
    relays.wait_for("traffic", lambda: sum(relay.paths().values()) > before + 5000, 20)
    traffic.stop()
    stats = relay.settled()
    relays.check_sums(stats)
    total = stats["total"]
    for key in ("rx_pkts", "rx_bytes", "tx_bytes"):
        assert total[key] == sum(w[key] for w in stats["workers"])
    assert total["verdicts"] == {
        name: sum(w["verdicts"].get(name, 0) for w in stats["workers"])
        for name in total["verdicts"]
    }
    port = stats["workers"][0]["ports"][0]
    assert (port["interface"], port["queue"], port["driver"]) == (one.NIC, 0, "afxdp")
    assert port["mode"] == "copy"


def test_text_output_of_turnpikectl(one, busy):
    relay, calls = busy(relays.MODE)
    calls[0].both(b"x")
    stats = relay.ctl("stats").stdout
    assert "up_4to4" in stats and one.NIC in stats
    allocations = relay.ctl("allocations").stdout
    for call in calls:
        assert call.client.mapped[0] in allocations and str(call.relayed[1]) in allocations


def test_turnpikectl_without_a_relay(one, make_relay):
    relay = make_relay(one)
    done = lab.run(relays.CTL, "--socket", relay.socket, "stats", check=False)
    assert done.returncode != 0
    assert relay.socket in done.stderr


@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_lost_neighbour_comes_back(one, start, open_client, pair):
    """A peer that changes its link address mid-call is found again."""
    relay = start(one)
    talk = Call(relay, open_client(one, pair[0]), one.udp("peer", one.PEER[pair[1]]), pair[1])
    talk.wait_fast().both(b"before")
    one.ip("peer", "link", "set", "peer0", "address", "02:00:00:00:be:ef")
    lab.run("ip", "-n", one.ns("relay"), "neigh", "flush", "dev", one.NIC, check=False)

    def works():
        talk.client.send_channel(talk.number, b"after")
        talk.peer.settimeout(0.2)
        try:
            return talk.peer.recv(100) == b"after"
        except TimeoutError:
            return False

    relays.wait_for("the peer to be found again", works)
    talk.wait_fast()
