# SPDX-License-Identifier: Apache-2.0
"""coturn's client, which knows nothing of us, through the relay."""

import re

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS
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


def uclient(relay, coturn, server_family, *options, login=("-u", "alice", "-w", "wonder")):
    """Run turnutils_uclient; nothing may be lost."""
    net = relay.net
    done = net.exec(
        "client",
        f"{coturn}/turnutils_uclient",
        *login,
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


def family_options(peer_family):
    return ["-x"] if peer_family == 6 else []


def carried_by_workers(stats, *paths, few=FEW):
    """Each path carried nearly all of the messages, and the kernel path nearly none."""
    for path in paths:
        assert stats["total"]["paths"][path] >= TOTAL - few, path
    assert stats["kernel_path"]["verdicts"].get("relayed", 0) <= few * len(paths)


def carried_by_kernel(stats, times=2):
    assert stats["kernel_path"]["verdicts"]["relayed"] >= times * TOTAL
    assert not any(stats["total"]["paths"].values())


@pytest.fixture
def at_relay(one):
    """Both directions, in the order of things; what an XDP program takes is not seen on the NIC itself."""
    with Sniffer(one, "sw", "relay", outgoing=True) as sniffer:
        yield sniffer


def sent_too_early(at_relay):
    """Indications that were sent before the relay had relayed its client's first.

    How many is for the machine to say: they wait together while the control thread, or the softirq that
    receives for it, gets no CPU.
    """
    early, relayed, started = 0, {}, set()
    for ip in at_relay.udp():
        udp, data = ip[UDP], bytes(ip[UDP].payload)
        if (ip.src, udp.sport) in relayed:  # to a peer
            started.add(relayed[ip.src, udp.sport])
        if data[:1] > b"\x03" or data[4:8] != turn.COOKIE_BYTES:
            continue
        message = turn.Message(data)
        kind = message.method, message.cls
        if kind == (turn.SEND, turn.INDICATION):
            early += udp.sport not in started
        elif kind == (turn.ALLOCATE, turn.SUCCESS):
            relayed[message.address(turn.XOR_RELAYED_ADDRESS)] = udp.dport
        elif kind == (turn.DATA, turn.INDICATION):  # to another client of the relay
            started.add(relayed.get(message.address(turn.XOR_PEER_ADDRESS)))
    return early


def know_neighbours(net):
    """So that flows have nothing to wait for when they are made."""
    for role in ("client", "peer"):
        for ip in {"client": net.CLIENT, "peer": net.PEER}[role].values():
            net.exec("relay", "ping", "-c", "1", ip)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_echo_without_loss(one, start, echo_peer, coturn, pair, mode):
    client, peer = pair
    relay = start(one, mode)
    echo_peer(one)
    uclient(relay, coturn, client, "-c", "-e", one.PEER[peer], *family_options(peer))
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats)
    else:
        assert stats["interfaces"][0]["mode"] == mode
        carried_by_workers(stats, f"up_{client}to{peer}", f"down_{peer}to{client}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=["4via4", "6via6", "4via6", "6via4"])
def test_client_to_client(one, start, coturn, pair, mode):
    """Both ends are clients; what they call peer is a relayed address of this relay."""
    client, relayed = pair
    relay = start(one, mode)
    uclient(relay, coturn, client, "-c", "-y", *family_options(relayed))
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        # One message is received and relayed by both allocations.
        carried_by_kernel(stats, times=1)
    else:
        carried_by_workers(stats, f"hairpin_{client}to{client}")


@pytest.mark.parametrize("mode", ["copy", "off"])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_send_indications(one, start, echo_peer, coturn, at_relay, pair, mode):
    """RFC 8656 section 11: nothing but Send and Data, of which the kernel path sees the first."""
    client, peer = pair
    relay = start(one, mode)
    know_neighbours(one)
    echo_peer(one)
    uclient(relay, coturn, client, "-c", *INDICATIONS, "-e", one.PEER[peer], *family_options(peer))
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats)
    else:
        paths = f"send_{client}to{peer}", f"data_{peer}to{client}"
        carried_by_workers(stats, *paths, few=FEW + sent_too_early(at_relay))


@pytest.mark.parametrize("pair", PAIRS, ids=["4via4", "6via6", "4via6", "6via4"])
def test_client_to_client_by_indications(one, start, coturn, at_relay, pair):
    client, relayed = pair
    relay = start(one, "copy")
    know_neighbours(one)
    uclient(relay, coturn, client, "-c", "-y", *INDICATIONS, *family_options(relayed))
    stats = relay.settled()
    relays.check_sums(stats)
    few = FEW + sent_too_early(at_relay)
    carried_by_workers(stats, f"hairpin_indication_{client}to{client}", few=few)


def test_even_port_pairs(one, start, echo_peer, coturn):
    """RFC 8656 section 7.2: without -c the client reserves port pairs for RTCP."""
    relay = start(one)
    echo_peer(one)
    uclient(relay, coturn, 4, "-e", one.PEER[4])


@pytest.mark.parametrize("mode", ["copy", "off"])
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
        carried_by_workers(stats, "up_4to4", "down_4to4")


@pytest.mark.parametrize("mode", ["copy", "off"])
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
        assert stats["total"]["paths"]["data_4to4"] >= TOTAL - FEW - early
    else:
        carried_by_workers(stats, "send_4to4", "data_4to4", few=FEW + early)


def all_are_dual(relay):
    """Each allocation began with a relayed address of either family."""
    starts = re.findall(r"allocation_start .* relayed=\[(.*?)\] started", relay.log)
    assert len(starts) >= CLIENTS
    for relayed in starts:
        assert re.fullmatch(r'"[\d.]+:\d+","\[[\da-f:]+\]:\d+"', relayed), relayed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["channels", "indications"])
@pytest.mark.parametrize("peer", [4, 6])
def test_dual_allocation(one, start, echo_peer, coturn, at_relay, peer, how, mode):
    """-Z: both families in one allocation (RFC 8656 section 7.2), asked for by a draft's number."""
    client = 10 - peer if how == "indications" else 4
    relay = start(one, mode)
    know_neighbours(one)
    echo_peer(one)
    options = INDICATIONS if how == "indications" else ()
    uclient(relay, coturn, client, "-c", "-Z", *options, "-e", one.PEER[peer])
    all_are_dual(relay)
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats)
    elif how == "channels":
        carried_by_workers(stats, f"up_{client}to{peer}", f"down_{peer}to{client}")
    else:
        paths = f"send_{client}to{peer}", f"data_{peer}to{client}"
        carried_by_workers(stats, *paths, few=FEW + sent_too_early(at_relay))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["channels", "indications"])
@pytest.mark.parametrize("relayed", [4, 6])
def test_client_to_client_of_dual_allocations(one, start, coturn, at_relay, relayed, how, mode):
    client = 10 - relayed if how == "indications" else 4
    relay = start(one, mode)
    know_neighbours(one)
    options = INDICATIONS if how == "indications" else ()
    uclient(relay, coturn, client, "-c", "-Z", "-y", *options, *family_options(relayed))
    all_are_dual(relay)
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats, times=1)
    elif how == "channels":
        carried_by_workers(stats, f"hairpin_{client}to{client}")
    else:
        few = FEW + sent_too_early(at_relay)
        carried_by_workers(stats, f"hairpin_indication_{client}to{client}", few=few)


def test_mobility_is_forbidden_unless_allowed(one, start, coturn):
    """RFC 8016 section 3.1.2: -M asks for a ticket, and is told that there are none here (405);
    with them it is in test_mobility.py."""
    relay = start(one, "copy")
    done = one.exec("client", f"{coturn}/turnutils_uclient", "-u", "alice", "-w", "wonder", "-c",
                    "-M", "-m", "1", "-n", "1", "-e", one.PEER[4], one.LISTEN[4], check=False,
                    timeout=90)
    assert done.returncode != 0
    assert "405 (Mobility Forbidden)" in done.stdout + done.stderr
    stats = relay.settled()
    assert stats["turn"]["allocations"] == 0
    assert stats["errors"]["405"] > 0


@pytest.mark.parametrize("secret", relays.SECRETS)
def test_time_limited_credentials(one, start, echo_peer, coturn, secret):
    relay = start(one)
    echo_peer(one)
    username, password = turn.time_limited(secret)
    uclient(
        *(relay, coturn, 6, "-c", "-x", "-e", one.PEER[6]),
        login=("-u", username, "-w", password),
    )
