# SPDX-License-Identifier: Apache-2.0
"""coturn's client, which knows nothing of us, through the relay."""

import re

import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS

# All of them fit a socket's default receive buffer (212,992 bytes, 1,280 for a frame from AF_XDP),
# so that an end that gets no CPU for a while loses nothing by itself.
CLIENTS, MESSAGES = 2, 70
TOTAL = CLIENTS * MESSAGES
# Messages that may take the other path, while next hops are still being found.
FEW = TOTAL // 20
# Flows of a permission begin with its first indication, hence in the middle of traffic: at a message
# a millisecond, each that the control thread or a next hop comes late is one more.
MORE = TOTAL // 2


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
def test_send_indications(one, start, echo_peer, coturn, pair, mode):
    """RFC 8656 section 11: nothing but Send and Data, of which the kernel path sees the first."""
    client, peer = pair
    relay = start(one, mode)
    echo_peer(one)
    uclient(relay, coturn, client, "-c", "-s", "-e", one.PEER[peer], *family_options(peer))
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        carried_by_kernel(stats)
    else:
        paths = f"send_{client}to{peer}", f"data_{peer}to{client}"
        carried_by_workers(stats, *paths, few=MORE)


@pytest.mark.parametrize("pair", PAIRS, ids=["4via4", "6via6", "4via6", "6via4"])
def test_client_to_client_by_indications(one, start, coturn, pair):
    client, relayed = pair
    relay = start(one)
    uclient(relay, coturn, client, "-c", "-y", "-s", *family_options(relayed))
    stats = relay.settled()
    relays.check_sums(stats)
    carried_by_workers(stats, f"hairpin_indication_{client}to{client}", few=MORE)


def test_even_port_pairs(one, start, echo_peer, coturn):
    """RFC 8656 section 7.2: without -c the client reserves port pairs for RTCP."""
    relay = start(one)
    echo_peer(one)
    uclient(relay, coturn, 4, "-e", one.PEER[4])


def test_channel_padding(one, start, echo_peer, coturn):
    """RFC 8656 section 12.5: ChannelData over UDP may be padded; the peer sees none of it."""
    relay = start(one)
    echo_peer(one)
    uclient(relay, coturn, 4, "-c", "-D", "-l", "101", "-e", one.PEER[4])
    carried_by_workers(relay.settled(), "up_4to4", "down_4to4")


@pytest.mark.parametrize("secret", relays.SECRETS)
def test_time_limited_credentials(one, start, echo_peer, coturn, secret):
    relay = start(one)
    echo_peer(one)
    username, password = turn.time_limited(secret)
    uclient(
        *(relay, coturn, 6, "-c", "-x", "-e", one.PEER[6]),
        login=("-u", username, "-w", password),
    )
