# SPDX-License-Identifier: Apache-2.0
"""Floods of 500,000 requests of strangers: clients with an allocation do not notice.

Nothing of what they send or ask is lost, answers to strangers stay within the configured rate, and
memory is flat.  The relay is stopped for a moment meanwhile, until the listener's receive buffer
has overflowed, so that this holds however fast the machine is.
"""

import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
import relay as relays
import sniff
import turn
from call import Call, set_df

HERE = pathlib.Path(__file__).parent
COUNT, SECONDS = 500_000, 2.5
PORT = 5000  # of all who flood
TOTAL, PER_SOURCE = 2000, 20  # answers a second
# lib/turn/flood.h: at once, a tenth of a second's worth to all together, ten seconds' to a source.
TOTAL_BURST, SOURCE_BURST = TOTAL // 10 + 1, 10 * PER_SOURCE
# Spoofed sources, as many as there are requests; and guessers, who are where they say they are.
SPOOFED = {4: ("10.96.0.0", "10.96.0.0/13"), 6: ("fd95::", "fd95::/32")}
GUESSERS = {4: ("10.104.0.{}", "10.104.0.0/24"), 6: ("fd96:0:0:{}::1", "fd96::/32")}
N_GUESSERS = 16

# Measured: none.  A bit kept of each request would be more.
MEMORY_GROWTH = COUNT // 8 // 4096 * 4096


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("flood") / "flood"
    subprocess.run(["cc", "-O2", "-o", path, HERE / "flood.c"], check=True)
    return path


def add_sources(net, family):
    """Addresses of the client's namespace that no interface has."""
    for _, prefix in (SPOOFED[family], GUESSERS[family]):
        net.ip("client", f"-{family}", "route", "add", "local", prefix, "dev", "lo")
        net.ip("relay", f"-{family}", "route", "add", prefix, "via", net.CLIENT[family])


def with_limits(conf):
    conf["limits"] = {"unauthenticated_total": TOTAL, "unauthenticated_per_source": PER_SOURCE}


def spoofed(net, family):
    """Allocate without credentials, each from another source."""
    request = turn.build(
        turn.ALLOCATE, turn.REQUEST, [(turn.REQUESTED_TRANSPORT, bytes([turn.UDP, 0, 0, 0]))]
    )
    return f"{SPOOFED[family][0]} {COUNT} {request.hex()}\n"


def wrong_password(net, family):
    """Refreshes of guessers, each with a nonce that it was given."""
    lines = ""
    for i in range(N_GUESSERS):
        ip = GUESSERS[family][0].format(i + 1)
        sock = net.socket("client", {4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_DGRAM)
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
        sock.bind((ip, PORT))
        guesser = turn.Client(sock, (net.LISTEN[family], 3478), password="guess")
        answer = guesser.request(turn.REFRESH)
        assert answer.error == 401
        lines += f"{ip} 1 {guesser.signed(turn.REFRESH, ()).hex()}\n"
        sock.close()
    return lines


def memory(relay):
    """Bytes of RSS, counted page by page."""
    with open(f"/proc/{relay.process.pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Rss:"))


def kernel_drops(relay, family):
    """Of the listener's socket, by the kernel: the relay may be stopped."""
    packed = socket.inet_pton({4: socket.AF_INET, 6: socket.AF_INET6}[family], relay.net.LISTEN[family])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    local = "".join(f"{word:08X}" for word in words) + f":{3478:04X}"
    with open(f"/proc/{relay.process.pid}/net/udp{'6' if family == 6 else ''}") as f:
        return sum(int(line.split()[-1]) for line in f if line.split()[1] == local)


def while_stopped(relay, call, wait=lambda: None):
    """Nobody reads; what a client sends and asks then is kept."""
    sent = set()
    os.kill(relay.process.pid, signal.SIGSTOP)
    try:
        wait()
        asking = threading.Thread(target=refresh, args=(call,))
        asking.start()
        for i in range(0, 50, 2):
            sent |= {b"stopped %d" % i, b"stopped %d" % (i + 1)}
            call.client.send_channel(call.number, b"stopped %d" % i)
            call.client.send(call.peer_address, b"stopped %d" % (i + 1))
        time.sleep(0.02)
    finally:
        os.kill(relay.process.pid, signal.SIGCONT)
    asking.join()
    assert {call.peer.recv(100) for _ in sent} == sent


def refresh(call):
    assert call.client.refresh(600).error == 0
    call.refreshes += 1


def talk(relay, call, flood, family):
    """Until the flood ends: a call in both directions, and Refresh after Refresh."""
    begin, drops, is_stop_due = time.monotonic(), kernel_drops(relay, family), True

    def overflow():
        relays.wait_for("an overflow", lambda: kernel_drops(relay, family) > drops + 100)

    rounds = 0
    while flood.poll() is None:
        call.both(b"round %d" % rounds)
        rounds += 1
        if rounds % 10 == 0:
            refresh(call)
        if is_stop_due and time.monotonic() > begin + SECONDS / 4:
            while_stopped(relay, call, overflow)
            is_stop_due = False
    assert not is_stop_due and rounds > 100


def sockets(stats):
    """Statistics of each: {(kind, address): datagrams received, dropped}."""
    return {
        (s["socket"], s["address"]): (s["rx_pkts"], s["dropped"])
        for s in stats["kernel_path"]["sockets"]
    }


def check_sockets(net, family, before, after):
    """The flood filled the listener's socket and no other, and nothing is unaccounted for."""
    was, now = sockets(before), sockets(after)
    listener = ("listener", f"{net.LISTEN[4]}:3478" if family == 4 else f"[{net.LISTEN[6]}]:3478")
    received, dropped = (n - w for n, w in zip(now[listener], was[listener]))
    assert dropped > 100
    assert COUNT * 9 // 10 <= received + dropped <= COUNT, "lost on the way, or by another socket"
    clients = ("clients", f"IPv{family}")
    assert now[clients][0] > was[clients][0]
    assert all(now[s][1] == was[s][1] for s in now if s != listener), (was, now)
    assert after["kernel_path"]["clients"] == {"known": 1, "refused": 0}


@pytest.mark.parametrize("requests", [spoofed, wrong_password])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["copy", "off"])
def test_clients_do_not_notice_a_flood(
    one, start, open_client, program, mode, family, requests
):
    add_sources(one, family)
    relay = start(one, mode, with_limits)
    call = Call(relay, open_client(one, family), one.udp("peer", one.PEER[family]), family)
    call.refreshes = 0
    if mode == "copy":
        call.wait_fast()
    call.client.permit(call.peer_address[0])
    lines = requests(one, family)
    command = (program, one.LISTEN[family], "3478", str(PORT))

    # What is used for the first time is used now; and guessers have none of their burst left.
    fresh = time.monotonic()
    call.both(b"before")
    while_stopped(relay, call)
    one.exec("client", *command, "5000", "0.05", input=lines)
    before, bytes_before = relay.settled(), memory(relay)

    call.refreshes = 0
    flood = one.popen(
        "client", *(*command, str(COUNT), str(SECONDS)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    flood.stdin.write(lines)
    flood.stdin.close()
    talk(relay, call, flood, family)
    said = json.loads(flood.stdout.read())
    print(said, f"{call.refreshes} refreshes")
    assert memory(relay) - bytes_before <= MEMORY_GROWTH
    after = relay.settled()

    assert call.client.retransmissions == 0, "of requests of a client with an allocation"
    assert set(said["answers"]) == {"401"} and said["sent"] == COUNT
    seconds = said["last"] - said["begin"]
    if requests is spoofed:
        rate, most = TOTAL, TOTAL_BURST + TOTAL * seconds
    else:
        rate = N_GUESSERS * PER_SOURCE
        most = N_GUESSERS + rate * (said["last"] - fresh)
    assert 0.7 * rate * seconds < said["answers"]["401"] <= most
    refused = relays.growth(before["auth"], after["auth"])
    assert refused["challenged" if requests is spoofed else "wrong_password"] >= said["answers"]["401"]
    assert refused["accepted_legacy"] == call.refreshes
    assert after["turn"] == before["turn"]
    check_sockets(one, family, before, after)
    relays.check_sums(after)


@pytest.mark.own_mode  # on a DPDK port a relay that stands still stops the wire
def test_the_clients_socket_is_for_clients(one, start, open_client):
    """Programs of this host could send to where it is bound: to no listener, so not answered."""
    relay = start(one, "off")
    client = open_client(one, 4)
    client.allocate()
    before = relay.settled()
    with open(f"/proc/{relay.process.pid}/net/udp") as f:
        local = [line.split()[1].split(":") for line in f][1:]
    ports = [int(port, 16) for ip, port in local if int(ip, 16) == 0x0100007F]
    assert len(ports) == 2  # and the socket of relayed ports
    request = turn.build(turn.BINDING, turn.REQUEST)
    with one.udp("relay", "127.0.0.1") as sock:
        for port in ports:
            sock.sendto(request, ("127.0.0.1", port))
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(100)
    after = relay.settled()
    assert relays.growth(before["kernel_path"]["verdicts"], after["kernel_path"]["verdicts"]) == {
        "drop_not_turn": 1, "drop_no_allocation": 1,
    }
    assert client.refresh(0).error == 0
    assert relay.stats()["kernel_path"]["clients"] == {"known": 0, "refused": 0}


@pytest.mark.own_mode  # on a DPDK port a relay that stands still stops the wire
def test_what_goes_by_the_header_socket_is_not_lost(one, start, open_client):
    """The kernel counts it as dropped by the socket that it did not take: we do not."""
    relay = start(one, "off")
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4)
    stranger = open_client(one, 4)
    set_df(call.client.sock, call.peer, stranger.sock)
    for size in (1300, 1400):
        call.both(bytes(size))
    request = turn.build(turn.BINDING, turn.REQUEST, [(turn.SOFTWARE, bytes(1240))])
    assert stranger.transact(request).error == 0
    stats = relay.settled()
    now = sockets(stats)
    assert now["header", "IPv4"][0] == 5
    assert not any(dropped for _, dropped in now.values()), now
    assert sum(received for received, _ in now.values()) == stats["kernel_path"]["rx_pkts"]


@pytest.mark.own_mode  # on a DPDK port a relay that stands still stops the wire
def test_clients_come_first(one, start, open_client):
    """Of what waits, a turn takes four times as much from clients as from strangers."""

    def unlimited(conf):
        conf["limits"] = {"unauthenticated_total": 0, "unauthenticated_per_source": 0}

    relay = start(one, "off", unlimited)
    client, stranger = open_client(one, 4), open_client(one, 4)
    client.allocate()
    request, binding = client.signed(turn.REFRESH, ()), turn.build(turn.BINDING, turn.REQUEST)
    with sniff.Sniffer(one, "client", "client0") as sniffer:
        os.kill(relay.process.pid, signal.SIGSTOP)
        for _ in range(1024):
            stranger.send_raw(binding)
            client.send_raw(request)
        os.kill(relay.process.pid, signal.SIGCONT)
        assert relay.settled()["kernel_path"]["verdicts"]["answered"] == 2 + 2048
        to = [ip[sniff.UDP].dport for ip in sniffer.udp(src=one.LISTEN[4])]
    # 1024 are eight turns of 128; in the first a listener may have as much.
    ports = [sock.getsockname()[1] for sock in (client.sock, stranger.sock)]
    last = len(to) - to[::-1].index(ports[0])
    assert to.count(ports[0]) == to.count(ports[1]) == 1024
    assert 8 * 16 <= to[:last].count(ports[1]) <= 128 + 8 * 32
