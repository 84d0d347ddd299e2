# SPDX-License-Identifier: Apache-2.0
"""Clients sent elsewhere (RFC 8489 section 10, RFC 8155), draining, and the default family."""

import pytest
import turn
from call import Call
from test_metrics import fetch, with_metrics

ELSEWHERE = {4: ("198.51.100.20", 3478), 6: ("2001:db8:1::20", 3479)}


def redirected(when="draining"):
    def change(conf):
        with_metrics(conf)
        servers = [{"address": ip, "port": port} for ip, port in ELSEWHERE.values()]
        conf["redirect"] = {"when": when, "servers": servers}

    return change


def alternates(answer):
    return [turn.plain_address(value) for value in answer.all(turn.ALTERNATE_SERVER)]


@pytest.mark.parametrize("family", [4, 6])
def test_always(one, start, open_client, family):
    relay = start(one, change=redirected("always"))
    client = open_client(one, family)
    answer = client.allocate_request()
    assert answer.error == 300
    answer.check_integrity(client.key)
    assert alternates(answer) == [ELSEWHERE[family], ELSEWHERE[10 - family]]
    assert relay.stats()["turn"]["redirected"] == 1


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_draining_lets_live_and_sends_the_new_away(one, start, open_client, mode):
    relay = start(one, mode, change=redirected())
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4)
    assert fetch(one, "/health")[::2] == (200, "ok\n")
    assert relay.ctl("drain").stdout == "draining, 1 allocations left\n"
    assert relay.stats()["draining"] is True
    assert fetch(one, "/health")[::2] == (503, "draining\n")
    assert "turnpike_draining 1\n" in fetch(one, "/metrics")[2]

    late = open_client(one, 6)
    answer = late.allocate_request()
    assert answer.error == 300
    assert alternates(answer)[0] == ELSEWHERE[6]
    call.both(b"still here")
    assert call.client.refresh().error == 0
    assert call.client.refresh(0).error == 0
    assert call.client.allocate_request().error == 300
    assert relay.stats()["turn"]["allocations"] == 0

    assert relay.ctl("undrain").stdout == "not draining, 0 allocations left\n"
    assert relay.stats()["draining"] is False
    assert fetch(one, "/health")[0] == 200
    late.allocate()


def test_draining_with_nowhere_to_send_clients_refuses(one, start, open_client):
    relay = start(one)
    relay.ctl("drain")
    assert open_client(one, 4).allocate_request().error == 508
    relay.wait_said("new ones are refused")


def test_full(one, start, open_client):
    def change(conf):
        redirected("full")(conf)
        conf["limits"] = {"allocations": 1}

    start(one, change=change)
    open_client(one, 4).allocate()
    assert alternates(open_client(one, 4).allocate_request())[0] == ELSEWHERE[4]


def test_anycast_names_the_unicast_listener(one, start, open_client):
    """RFC 8155 section 6."""

    def change(conf):
        conf["listen"] = [{"address": ip, "anycast": True} for ip in one.LISTEN2.values()]
        conf["listen"] += [{"address": ip, "port": 3479} for ip in one.LISTEN.values()]

    start(one, change=change)
    client = open_client(one, 6, one.LISTEN2[6])
    assert client.binding() == client.sock.getsockname()[:2]
    answer = client.allocate_request()
    assert answer.error == 300
    assert alternates(answer) == [(one.LISTEN[6], 3479), (one.LISTEN[4], 3479)]
    # There it finds its server, with the same credentials (RFC 8489 section 10).
    open_client(one, 6, *alternates(answer)[0]).allocate()


@pytest.mark.parametrize("default", ["ipv4", "listener"])
@pytest.mark.parametrize("family", [4, 6])
def test_default_family(one, start, open_client, family, default):
    start(one, change=lambda conf: conf.update(default_family=default))
    client = open_client(one, family)
    ip, _ = client.allocate()
    assert ip == one.RELAY[family if default == "listener" else 4]
