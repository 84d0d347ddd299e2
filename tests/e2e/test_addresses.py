# SPDX-License-Identifier: Apache-2.0
"""Relay addresses that come and go, many of them, and what else this host has of addresses."""

import re

import pytest
import relay as relays
from call import Call
from test_metrics import fetch, with_metrics

LATE = "10.91.0.77"


def also_relay(*addresses):
    def change(conf):
        with_metrics(conf)
        conf["relay"]["addresses"] = [{"address": a} for a in addresses]

    return change


def here(relay):
    return {r["address"]: r["here"] for r in relay.stats()["relays"]}


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_an_address_comes_into_use_when_it_appears(one, make_relay, open_client, mode):
    relay = make_relay(one, mode=mode, change=also_relay(LATE)).start()
    assert f"relay address {LATE} is not on this host" in relay.log
    assert here(relay) == {LATE: False}
    assert f'turnpike_relay_address_here{{address="{LATE}"}} 0' in fetch(one, "/metrics")[2]
    assert "NOT ON THIS HOST" in relay.ctl("stats").stdout
    client = open_client(one, 4)
    assert client.allocate_request().error == 508

    one.exec("relay", "ip", "address", "add", f"{LATE}/32", "dev", one.NIC)
    relays.wait_for("the address", lambda: here(relay)[LATE])
    call = Call(relay, client, one.udp("peer", one.PEER[4]), 4)
    assert call.relayed[0] == LATE
    one.exec("peer", "ip", "route", "replace", f"{LATE}/32", "via", one.LISTEN[4])
    if mode != "off":
        call.wait_fast()
    call.both(b"here now")
    assert f'turnpike_relay_address_here{{address="{LATE}"}} 1' in fetch(one, "/metrics")[2]


def test_sixty_four_addresses_share_the_load(one, make_relay, open_client):
    many = [f"10.91.1.{i}" for i in range(1, 65)]
    for address in many:
        one.exec("relay", "ip", "address", "add", f"{address}/32", "dev", one.NIC)
    relay = make_relay(one, change=also_relay(*many)).start()
    one.exec("peer", "ip", "route", "replace", "10.91.1.0/24", "via", one.LISTEN[4])
    used = set()
    for _ in range(8):
        call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
        call.both(b"one of many")
        used.add(call.relayed[0])
    assert len(used) >= 4
    assert sum(r["ports_used"] for r in relay.stats()["relays"]) == 8


def test_any_address_of_this_host_is_no_peer(one, make_relay, open_client):
    """Also one that is in no configuration, and allowed by the lists; and from when it appears."""
    relay = make_relay(one).start()
    client = open_client(one, 4)
    client.allocate()
    assert client.bind(0x4001, "10.91.0.99", 22).error == 0
    one.exec("relay", "ip", "address", "add", "10.91.0.99/32", "dev", "lo")
    relays.wait_for("the channel to end", lambda: relay.stats()["turn"]["channels"] == 0)
    assert client.bind(0x4001, "10.91.0.99", 22).error == 403


def test_ephemeral_ports_are_named_with_the_remedy(one, make_relay):
    name = "net.ipv4.ip_local_reserved_ports"
    one.exec("relay", "sysctl", "-qw", f"{name}=8080")
    relay = make_relay(one).start()
    remedy = re.search(rf"sysctl -w ({name}=\S+)", relay.log)
    assert remedy, relay.log
    relay.stop()
    one.exec("relay", "sysctl", "-qw", remedy[1])
    relay.start()
    assert name not in relay.log
    assert one.exec("relay", "sysctl", "-n", name).stdout.strip() == "8080,49152-65535"
