# SPDX-License-Identifier: Apache-2.0
"""coturn's client, which knows nothing of us, through the relay."""

import concurrent.futures
import re
from collections import Counter

import pytest
import relay as relays
import turn
from call import MODES, PAIRS
from scapy.layers.inet import UDP
from sniff import Sniffer

# All of them fit a socket's default receive buffer (212,992 bytes, 1,280 for a frame from AF_XDP),
# so that an end that gets no CPU for a while loses nothing by itself.
CLIENTS, MESSAGES = 2, 70
TOTAL = CLIENTS * MESSAGES
# Messages that may take the other path, while next hops are still being found.
FEW = TOTAL // 20
# Flows of a permission begin with its first indication, hence in the middle of traffic.
INDICATIONS = ("-s", "-z", "10")
FAST_MODES = [mode for mode in MODES if mode != "off"]
# For each uclient at a time a peer of its own, whose socket's buffer would not hold more.
ECHO_PORTS = (3480, 3580, 3680, 3780)


def where_lost(net, relay):
    """For a failure's message: what the relay and the ends' sockets counted."""
    stats = relay.stats()
    used = {
        "total": {k: v for k, v in stats["total"]["verdicts"].items() if v},
        "ports": [{k: v for k, v in p["stats"].items() if v} for w in stats["workers"] for p in w["ports"]],
        "kernel_path": {k: v for k, v in stats["kernel_path"]["verdicts"].items() if v},
        "sending": {k: v for k, v in stats["kernel_path"].items() if k.startswith("sen")},
    }
    for role in ("client", "peer"):
        counters = net.exec(role, "cat", "/proc/net/snmp", "/proc/net/snmp6", "/proc/net/softnet_stat").stdout
        used[role] = re.findall(r"^Udp: .*|^Udp6(?:InErrors|RcvbufErrors|InCsumErrors)\s+\d+", counters, re.M)
    return used


def uclient(relay, coturn, server_family, *options):
    """Run turnutils_uclient, as alice unless the options say another; nothing may be lost."""
    net = relay.net
    done = net.exec(
        "client",
        f"{coturn}/turnutils_uclient",
        *("-u", "alice", "-w", "wonder"),
        *("-m", str(CLIENTS), "-n", str(MESSAGES), "-z", "1"),
        *options,
        net.LISTEN[server_family],
        check=False,
        timeout=90,
    )
    tail = done.stdout[-1500:] + done.stderr[-500:]
    assert done.returncode == 0, tail
    sent, received = map(
        int, re.findall(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", tail)[-1]
    )
    assert (sent, received) == (TOTAL, TOTAL), f"{tail}\n{where_lost(net, relay)}"
    assert re.search(r"Total lost packets 0 \(", tail), tail
    assert re.search(r"total send dropped 0 \(", tail), tail


def together(relay, coturn, runs):
    """Several at a time, each told as options of uclient(): it takes 5 s, most of it to wait in."""
    with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(lambda run: uclient(relay, coturn, *run), runs))


def to_peer(net, family, number=0):
    return ("-e", net.PEER[family], "-r", str(ECHO_PORTS[number]), *family_options(family))


def family_options(peer_family):
    return ["-x"] if peer_family == 6 else []


def both_ways(up, down, pairs):
    return [path for c, p in pairs for path in (f"{up}_{c}to{p}", f"{down}_{p}to{c}")]


def hairpins(kind, pairs):
    """Both ends are the same kind of client, whatever the family between them."""
    return [f"{kind}_{client}to{client}" for client, _ in pairs]


def carried_by_workers(stats, paths, early=()):
    """Each path carried nearly all of the messages, and the kernel path nearly none.

    paths: one for each TOTAL of messages; early: one for each message that may be late besides.
    """
    few = Counter(early)
    for path, times in Counter(paths).items():
        few[path] += times * FEW
        assert stats["total"]["paths"][path] >= times * TOTAL - few[path], path
    assert stats["kernel_path"]["verdicts"].get("relayed", 0) <= few.total()


def carried_by_kernel(stats, times=2):
    assert stats["kernel_path"]["verdicts"]["relayed"] >= times * TOTAL
    assert not any(stats["total"]["paths"].values())


@pytest.fixture
def at_relay(one):
    """Both directions, in the order of things; what an XDP program takes is not seen on the NIC itself."""
    with Sniffer(one, "sw", "relay", outgoing=True) as sniffer:
        yield sniffer


def sent_too_early(at_relay):
    """Indications that were sent before the relay had relayed its client's first, by their pairs.

    How many is for the machine to say: they wait together while the control thread, or the softirq that
    receives for it, gets no CPU.
    """
    early, relayed, started = [], {}, set()
    for ip in at_relay.udp():
        udp, data = ip[UDP], bytes(ip[UDP].payload)
        if (ip.src, udp.sport) in relayed:  # to a peer
            started.add(relayed[ip.src, udp.sport])
        if data[:1] > b"\x03" or data[4:8] != turn.COOKIE_BYTES:
            continue
        message = turn.Message(data)
        kind = message.method, message.cls
        if kind == (turn.SEND, turn.INDICATION):
            if (ip.src, udp.sport) not in started:
                peer, _ = message.address(turn.XOR_PEER_ADDRESS)
                early.append((ip.version, 6 if ":" in peer else 4))
        elif kind == (turn.ALLOCATE, turn.SUCCESS):
            relayed[message.address(turn.XOR_RELAYED_ADDRESS)] = ip.dst, udp.dport
        elif kind == (turn.DATA, turn.INDICATION):  # to another client of the relay
            started.add(relayed.get(message.address(turn.XOR_PEER_ADDRESS)))
    return early


def know_neighbours(net):
    """So that flows have nothing to wait for when they are made."""
    for role in ("client", "peer"):
        for ip in {"client": net.CLIENT, "peer": net.PEER}[role].values():
            net.exec("relay", "ping", "-c", "1", ip)


@pytest.mark.parametrize("mode", MODES)
def test_echo_without_loss(one, start, echo_peer, coturn, mode):
    relay = start(one, mode)
    echo_peer(one, ECHO_PORTS)
    together(relay, coturn, [(c, "-c", *to_peer(one, p, i)) for i, (c, p) in enumerate(PAIRS)])
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats, 2 * len(PAIRS))
    else:
        assert stats["interfaces"][0]["mode"] == mode
        carried_by_workers(stats, both_ways("up", "down", PAIRS))


@pytest.mark.parametrize("mode", MODES)
def test_client_to_client(one, start, coturn, mode):
    """Both ends are clients; what they call peer is a relayed address of this relay."""
    relay = start(one, mode)
    together(relay, coturn, [(c, "-c", "-y", *family_options(relayed)) for c, relayed in PAIRS])
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        # One message is received and relayed by both allocations.
        carried_by_kernel(stats, len(PAIRS))
    else:
        carried_by_workers(stats, hairpins("hairpin", PAIRS))


@pytest.mark.parametrize("mode", MODES)
def test_send_indications(one, start, echo_peer, coturn, at_relay, mode):
    """RFC 8656 section 11: nothing but Send and Data, of which the kernel path sees the first."""
    relay = start(one, mode)
    know_neighbours(one)
    echo_peer(one, ECHO_PORTS)
    runs = [(c, "-c", *INDICATIONS, *to_peer(one, p, i)) for i, (c, p) in enumerate(PAIRS)]
    together(relay, coturn, runs)
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats, 2 * len(PAIRS))
    else:
        early = both_ways("send", "data", sent_too_early(at_relay))
        carried_by_workers(stats, both_ways("send", "data", PAIRS), early)


@pytest.mark.parametrize("mode", FAST_MODES)
def test_client_to_client_by_indications(one, start, coturn, at_relay, mode):
    relay = start(one, mode)
    know_neighbours(one)
    runs = [(c, "-c", "-y", *INDICATIONS, *family_options(relayed)) for c, relayed in PAIRS]
    together(relay, coturn, runs)
    stats = relay.settled()
    relays.check_sums(stats)
    early = hairpins("hairpin_indication", sent_too_early(at_relay))
    carried_by_workers(stats, hairpins("hairpin_indication", PAIRS), early)


def test_even_port_pairs(one, start, echo_peer, coturn):
    """RFC 8656 section 7.2: without -c the client reserves port pairs for RTCP."""
    relay = start(one)
    echo_peer(one)
    uclient(relay, coturn, 4, "-e", one.PEER[4])


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_channel_padding(one, start, echo_peer, coturn, mode):
    """RFC 8656 section 12.5: ChannelData over UDP may be padded; the peer sees none of it."""
    relay = start(one, mode)
    echo_peer(one)
    with Sniffer(one, "peer", "peer0") as at_peer:
        uclient(relay, coturn, 4, "-c", "-D", "-l", "101", "-e", one.PEER[4])
        assert [len(ip[UDP].payload) for ip in at_peer.udp(dport=3480)] == TOTAL * [101]
    stats = relay.settled()
    if mode == "off":
        carried_by_kernel(stats)
    else:
        carried_by_workers(stats, ["up_4to4", "down_4to4"])


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "not"])
def test_dont_fragment(one, start, echo_peer, coturn, at_relay, asked, mode):
    """RFC 8656 section 14: DF as the indication asks; -X asks for IPv4 by name."""
    one.sysctl("client", "ipv4/ip_no_pmtu_disc", 1)  # what carries the indication has no DF itself
    relay = start(one, mode)
    know_neighbours(one)
    echo_peer(one)
    with Sniffer(one, "peer", "peer0") as at_peer:
        options = ["-g"] if asked else []
        uclient(relay, coturn, 4, "-c", "-X", *INDICATIONS, *options, "-e", one.PEER[4])
        assert [bool(ip.flags.DF) for ip in at_peer.udp(dport=3480)] == TOTAL * [asked]
    stats = relay.settled()
    relays.check_sums(stats)
    early = sent_too_early(at_relay)
    if mode == "off":
        carried_by_kernel(stats)
    elif asked:
        # The control plane's, which can tell the client that a datagram was too big.
        assert stats["total"]["paths"]["send_4to4"] == 0
        assert stats["total"]["paths"]["data_4to4"] >= TOTAL - FEW - len(early)
    else:
        carried_by_workers(stats, ["send_4to4", "data_4to4"], both_ways("send", "data", early))


def all_are_dual(relay, runs):
    """Each allocation began with a relayed address of either family."""
    starts = re.findall(r"allocation_start .* relayed=\[(.*?)\] started", relay.log)
    assert len(starts) >= CLIENTS * len(runs)
    for relayed in starts:
        assert re.fullmatch(r'"[\d.]+:\d+","\[[\da-f:]+\]:\d+"', relayed), relayed


# Of each: family of the client, and of what it sends to.
BY_CHANNELS, BY_INDICATIONS = [(4, 4), (4, 6)], [(6, 4), (4, 6)]


@pytest.mark.parametrize("mode", MODES)
def test_dual_allocation(one, start, echo_peer, coturn, at_relay, mode):
    """-Z: both families in one allocation (RFC 8656 section 7.2), asked for by a draft's number."""
    relay = start(one, mode)
    know_neighbours(one)
    echo_peer(one, ECHO_PORTS)
    cases = [(pair, ()) for pair in BY_CHANNELS] + [(pair, INDICATIONS) for pair in BY_INDICATIONS]
    runs = [
        (c, "-c", "-Z", *how, "-e", one.PEER[p], "-r", str(port))
        for port, ((c, p), how) in zip(ECHO_PORTS, cases)
    ]
    together(relay, coturn, runs)
    all_are_dual(relay, runs)
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats, 2 * len(runs))
    else:
        paths = both_ways("up", "down", BY_CHANNELS) + both_ways("send", "data", BY_INDICATIONS)
        carried_by_workers(stats, paths, both_ways("send", "data", sent_too_early(at_relay)))


@pytest.mark.parametrize("mode", MODES)
def test_client_to_client_of_dual_allocations(one, start, coturn, at_relay, mode):
    relay = start(one, mode)
    know_neighbours(one)
    cases = [(pair, ()) for pair in BY_CHANNELS] + [(pair, INDICATIONS) for pair in BY_INDICATIONS]
    runs = [(c, "-c", "-Z", "-y", *how, *family_options(relayed)) for (c, relayed), how in cases]
    together(relay, coturn, runs)
    all_are_dual(relay, runs)
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats, len(runs))
    else:
        paths = hairpins("hairpin", BY_CHANNELS) + hairpins("hairpin_indication", BY_INDICATIONS)
        early = hairpins("hairpin_indication", sent_too_early(at_relay))
        carried_by_workers(stats, paths, early)


def test_mobility_is_forbidden_unless_allowed(one, start, coturn):
    """RFC 8016 section 3.1.2: -M asks for a ticket, and is told that there are none here (405);
    with them it is in test_mobility.py."""
    relay = start(one)
    done = one.exec("client", f"{coturn}/turnutils_uclient", "-u", "alice", "-w", "wonder", "-c",
                    "-M", "-m", "1", "-n", "1", "-e", one.PEER[4], one.LISTEN[4], check=False,
                    timeout=90)
    assert done.returncode != 0
    assert "405 (Mobility Forbidden)" in done.stdout + done.stderr
    stats = relay.settled()
    assert stats["turn"]["allocations"] == 0
    assert stats["errors"]["405"] > 0


def test_time_limited_credentials(one, start, echo_peer, coturn):
    """Made with either secret."""
    relay = start(one)
    echo_peer(one, ECHO_PORTS)
    logins = (turn.time_limited(secret, name=secret) for secret in relays.SECRETS)
    runs = [
        (6, "-u", username, "-w", password, "-c", *to_peer(one, 6, i))
        for i, (username, password) in enumerate(logins)
    ]
    together(relay, coturn, runs)
    users = re.findall(r'allocation_start .* user="(.*?)"', relay.log)
    assert sorted(set(users)) == sorted({run[2] for run in runs})
