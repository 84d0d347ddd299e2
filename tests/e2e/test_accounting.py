# SPDX-License-Identifier: Apache-2.0
"""Accounts: exact whichever path carried it; records of start and end; limits of an allocation."""

import json
import re
import time

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS, Call, clear_df
from test_metrics import fetch, with_metrics

JSON = ("--log-format=json",)
SIZES = [0, 1, 3, 100, 1001, 1200]
FRAGMENTED = [1600, 3000]  # the kernel path's, on a link of 1500


def records(relay, event):
    """The records of one event, as they were logged; every line is JSON."""
    found = [json.loads(line) for line in list(relay.lines) if line.startswith("{")]
    return [r for r in found if r["message"] == event]


def ended(relay, n=1):
    return relays.wait_for(
        f"{n} records of an end", lambda: (r := records(relay, "allocation_end"))[n - 1:] and r)


def counters(record):
    return {way: (record[f"{way}_packets"], record[f"{way}_bytes"]) for way in ("up", "down")}


def counted(relay, client):
    """The counters of a living allocation, as turnpikectl has them."""
    ip, port = client.mapped
    address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    (found,) = [a for a in relay.allocations() if a["client"] == address]
    return {way: (found[way]["packets"], found[way]["bytes"]) for way in ("up", "down")}


def fields(line):
    """A record in text: name=value, each value JSON."""
    found, rest = {}, line.removeprefix("turnpike: allocation_end ")
    while rest:
        key, _, rest = rest.partition("=")
        found[key], end = json.JSONDecoder().raw_decode(rest)
        rest = rest[end:].removeprefix(" ")
    return found


class Tally:
    """What a test sent, and saw arrive."""

    def __init__(self):
        self.sizes = {"up": [], "down": []}

    def add(self, way, size):
        self.sizes[way].append(size)

    def __eq__(self, other):
        return {way: (len(sizes), sum(sizes)) for way, sizes in self.sizes.items()} == other


def talk_all_ways(call, net, family):
    """Channel data, fragments, and indications to and from another port of the peer."""
    tally = Tally()
    for size in SIZES * 5 + FRAGMENTED:
        call.up(bytes(size))
        tally.add("up", size)
        call.down(bytes(size))
        tally.add("down", size)
    with net.udp("peer", net.PEER[family]) as other:
        other.settimeout(5)
        for size in SIZES * 3 + FRAGMENTED:
            call.client.send(other.getsockname()[:2], bytes(size))
            assert len(other.recv(65536)) == size
            tally.add("up", size)
            other.sendto(bytes(size), call.relayed)
            assert len(call.client.receive().data) == size
            tally.add("down", size)
    return tally


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_every_packet_is_counted_once(one, start, open_client, pair, mode):
    relay = start(one, mode, args=JSON)
    peer = one.udp("peer", one.PEER[pair[1]])
    call = Call(relay, open_client(one, pair[0]), peer, pair[1])
    clear_df(call.client.sock, peer)
    if mode != "off":
        call.wait_fast()
    begin = time.monotonic()
    tally = talk_all_ways(call, one, pair[1])
    assert counted(relay, call.client) == tally
    stats = relay.settled()
    forwarded = stats["total"]["verdicts"]["forward"] + stats["kernel_path"]["verdicts"]["relayed"]
    assert forwarded == sum(map(len, tally.sizes.values()))
    if mode != "off":
        assert stats["total"]["verdicts"]["forward"] >= 2 * 5 * len(SIZES)

    assert call.client.refresh(lifetime=0).error == 0
    (end,) = ended(relay)
    assert counters(end) == tally
    assert end["reason"] == "deleted"
    assert end["user"] == "alice"
    assert end["peers"] == [one.PEER[pair[1]]]
    assert 0 <= end["duration_ms"] <= 1000 * (time.monotonic() - begin) + 5000
    (first,) = records(relay, "allocation_start")
    for key in ("id", "client", "server", "user", "relayed", "started"):
        assert end[key] == first[key], key
    assert end["started"] <= end["ended"] <= end["time"]
    assert (":".join(end["relayed"][0].split(":")[-1:])) == str(call.relayed[1])


@pytest.mark.parametrize("mode", MODES)
def test_relay_to_relay_is_up_here_and_down_there(one, start, open_client, mode):
    relay = start(one, mode, args=JSON)
    ends = [open_client(one, 4), open_client(one, 6, role="peer")]
    addresses = [end.allocate(turn.IPV4) for end in ends]
    for end, other in zip(ends, reversed(addresses)):
        assert end.bind(0x4002, *other).error == 0
    sizes = [10, 200, 0, 999] * 10
    for size in sizes:
        ends[0].send_channel(0x4002, bytes(size))
        assert ends[1].receive().data == bytes(size)
    ends[1].send_channel(0x4002, b"back")
    assert ends[0].receive().data == b"back"
    one_way, other_way = (len(sizes), sum(sizes)), (1, 4)
    assert counted(relay, ends[0]) == {"up": one_way, "down": other_way}
    assert counted(relay, ends[1]) == {"up": other_way, "down": one_way}
    # The end of the process is the end of both.
    relay.stop()
    got = records(relay, "allocation_end")
    assert sorted(r["up_packets"] for r in got) == [1, len(sizes)]
    assert sorted(r["down_bytes"] for r in got) == [4, sum(sizes)]
    assert {r["reason"] for r in got} == {"shutdown"}


def test_counters_stay_with_an_allocation_and_begin_at_zero(one, start, open_client):
    """Numbers of accounts are used again: what was counted before is gone, what comes stays."""
    relay = start(one, args=JSON)
    for n in range(1, 6):
        with one.udp("peer", one.PEER[4]) as peer:
            peer.settimeout(5)
            client = open_client(one, 4)
            call = Call(relay, client, peer, 4).wait_fast()
            for _ in range(n):
                call.both(b"hello")
            assert client.refresh(lifetime=0).error == 0
        assert counters(ended(relay, n)[-1]) == {"up": (n, 5 * n), "down": (n, 5 * n)}


@pytest.mark.parametrize("args", [(), JSON], ids=["text", "json"])
def test_no_name_of_a_user_breaks_a_record(one, start, open_client, args):
    name = 'a" user_hex=1 %s%n\n\x1b[2J{"é\u2028'
    username, password = turn.time_limited(relays.SECRETS[0], name=name)
    relay = start(one, args=args)
    client = open_client(one, 4, username=username, password=password)
    client.allocate()
    assert client.refresh(lifetime=0).error == 0

    def lines():
        return [line for line in list(relay.lines) if "allocation_end" in line]

    (line,) = relays.wait_for("the record", lines)
    assert line.isascii() and line.isprintable()
    assert (json.loads(line) if args else fields(line))["user"] == username


def test_records_can_be_turned_off(one, start, open_client):
    relay = start(one, change=lambda c: c.update(log={"allocations": False}), args=JSON)
    client = open_client(one, 4)
    client.allocate()
    assert client.refresh(lifetime=0).error == 0
    relay.stop()
    assert not [line for line in relay.lines if "allocation_" in line]


# Nobody reads.

# A name whose every byte takes six in JSON, so that a few thousand records are more than can wait.
LONG_NAME = "\x01" * 440
LINGERING = 1800  # allocations


def logged(relay):
    return relay.stats()["log"]


@pytest.mark.parametrize("mode", MODES)
def test_a_log_that_nobody_reads_stops_nothing(one, start, open_client, mode):
    username, password = turn.time_limited(relays.SECRETS[0], name=LONG_NAME)
    relay = start(one, mode, change=with_metrics, args=JSON)
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4)
    if mode != "off":
        call.wait_fast()
    client = open_client(one, 4, username=username, password=password)
    relay.is_read.clear()
    for n in range(LINGERING):
        client.allocate()
        assert client.refresh(lifetime=0).error == 0
        if n % 100 == 0:
            assert call.client.refresh().error == 0
            call.both(b"still here")
    log = logged(relay)
    assert log["lost"] > 0
    assert 0 < log["backlog_bytes"] <= 8 << 20
    assert f"turnpike_log_lines_lost_total {log['lost']}\n" in fetch(one, "/metrics")[2]

    # He reads again, and sees where how many are missing.
    relay.is_read.set()
    (gap,) = relays.wait_for(
        "the report", lambda: [line for line in list(relay.lines) if "lines lost here" in line])
    assert json.loads(gap)["level"] == "warning"
    assert re.search(r'"(\d+) log lines lost here', gap)[1] == str(log["lost"])
    seen = records(relay, "allocation_start") + records(relay, "allocation_end")
    assert len(seen) + log["lost"] == 2 * LINGERING + 1
    assert relay.lines[-1] == gap

    # And from now on all.
    client.allocate()
    assert client.refresh(lifetime=0).error == 0
    ended(relay, len(records(relay, "allocation_end")) + 1)
    assert relay.lines[-2].startswith("{") and "allocation_start" in relay.lines[-2]
    assert logged(relay)["lost"] == log["lost"]


def test_a_log_whose_reader_is_gone_stops_nothing(one, start, open_client):
    relay = start(one, args=JSON)
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    relays.wait_for("the record", lambda: records(relay, "allocation_start"))
    relay.hang_up()
    before = logged(relay)
    client = open_client(one, 4)
    for _ in range(20):
        client.allocate()
        assert client.refresh(lifetime=0).error == 0
        call.both(b"still here")
    log = relays.wait_for("all to be lost", lambda: (now := logged(relay))["lost"] == 40 and now)
    assert before["lost"] == log["backlog_bytes"] == 0
    assert log["lines"] == before["lines"] + 40


# Limits.  The clock is the machine's: only what can never be too much is exact.

PPS, BURST = 40, 16
LEASES = 4  # one packet for each thread, and one for each that rounds


def limited(start, net, mode):
    return start(net, mode, change=lambda c: c.update(limits={"allocation_pps": PPS}))


def flood(call, seconds, sizes):
    """@return packets sent, and received, and how long it took"""
    sent = received = 0
    begin = time.monotonic()
    call.peer.setblocking(False)

    def drain():
        n = 0
        while True:
            try:
                call.peer.recv(65536)
            except BlockingIOError:
                return n
            n += 1

    while time.monotonic() < begin + seconds:
        for size in sizes:
            call.client.send_channel(call.number, bytes(size))
            sent += 1
        received += drain()
        time.sleep(0.002)
    took = time.monotonic() - begin
    time.sleep(0.3)
    return sent, received + drain(), took


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [[100], [1600], [100, 1600]], ids=["small", "fragments", "both"])
def test_a_limit_holds_over_both_paths(one, start, open_client, mode, sizes):
    """What the workers carry and what they punt or never see has one budget."""
    relay = limited(start, one, mode)
    peer = one.udp("peer", one.PEER[4])
    call = Call(relay, open_client(one, 4), peer, 4)
    clear_df(call.client.sock, peer)
    if mode != "off":
        call.wait_fast()
    sent, received, took = flood(call, 2, sizes)
    most = BURST + PPS * took + LEASES
    assert most / 2 <= received <= most < sent / 2
    stats = relay.settled()
    fast, slow = stats["total"]["verdicts"], stats["kernel_path"]["verdicts"]
    assert fast["drop_rate"] + slow["drop_rate"] == sent - received
    if mode != "off" and 100 in sizes:
        assert fast["drop_rate"] > 0
    if mode == "off" or 1600 in sizes:
        assert slow["drop_rate"] > 0
    assert counted(relay, call.client)["up"][0] == received
    # The other direction has a budget of its own.
    call.peer.settimeout(5)
    for _ in range(BURST):
        call.down(b"still here")
