# SPDX-License-Identifier: Apache-2.0
"""A reload: what can change does at once, what can not is named, and a broken file changes nothing."""

import json
import signal

import pytest
import relay as relays
from call import Call
from test_metrics import fetch, with_metrics


def rewrite(relay, change):
    change(relay.conf)
    relay.path.write_text(relays.to_yaml(relay.conf))


def reload(relay, check=True):
    done = relay.net.exec("relay", relays.CTL, "--socket", relay.socket, "--json", "reload",
                          check=check)
    return done.returncode, json.loads(done.stdout)


def deny_all(conf):
    conf["peers"] = {"deny": ["recommended"]}


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
def test_a_peer_that_is_denied_now_is_cut_off_at_once(one, make_relay, open_client, mode):
    relay = make_relay(one, mode=mode, change=with_metrics).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4)
    if mode != "off":
        call.wait_fast()
    call.both(b"before")

    rewrite(relay, deny_all)
    assert reload(relay) == (0, {"ok": True, "restart": []})
    assert relay.stats()["turn"]["channels"] == relay.stats()["turn"]["permissions"] == 0
    call.peer.settimeout(0.5)
    call.client.send_channel(call.number, b"after")
    with pytest.raises(TimeoutError):
        call.peer.recvfrom(100)
    call.peer.sendto(b"after", call.relayed)
    assert call.client.receive(0.5) is None
    assert call.client.bind(call.number, *call.peer_address).error == 403
    assert call.client.refresh(600).error == 0
    assert relay.stats()["reload"] == {"reloads": 1, "reloads_failed": 0,
                                       "permissions_forbidden": 1, "channels_forbidden": 1}
    body = fetch(one, "/metrics")[2]
    assert "turnpike_reloads_total 1\n" in body
    assert "turnpike_channels_forbidden_total 1\n" in body


def test_sighup_lets_new_users_in_and_leaves_calls_alone(one, make_relay, open_client):
    relay = make_relay(one).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    call.both(b"before")

    def change(conf):
        conf["auth"]["users"] = [{"name": "carol", "password": "lewis"}]

    rewrite(relay, change)
    relay.process.send_signal(signal.SIGHUP)
    relays.wait_for("the reload", lambda: relay.stats()["reload"]["reloads"] == 1)
    carol = open_client(one, 4, username="carol", password="lewis")
    carol.allocate()
    call.both(b"after")


@pytest.mark.parametrize("change", ["removed", "password"])
def test_a_user_who_is_gone_loses_the_allocation(one, make_relay, open_client, change):
    """RFC 8489 section 9.2.4: 401; what is allocated is used on until its time is over."""
    relay = make_relay(one).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    name = {"removed": "carol", "password": "alice"}[change]
    rewrite(relay, lambda conf: conf["auth"].update(users=[{"name": name, "password": "lewis"}]))
    assert reload(relay) == (0, {"ok": True, "restart": []})
    assert call.client.refresh(600).error == 401
    assert call.client.bind(call.number, *call.peer_address).error == 401
    assert call.client.permit(call.peer_address[0]).error == 401
    call.both(b"until its time is over")
    # the client of whom it was, with what counts now
    call.client.username, call.client.password, call.client.key = name, "lewis", None
    assert call.client.refresh(0).error == {"removed": 441, "password": 0}[change]


def test_redirect_default_family_and_mobility_are_live(one, make_relay, open_client):
    relay = make_relay(one).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()

    def change(conf):
        conf["default_family"] = "listener"
        conf["mobility"] = True
        conf["redirect"] = {"servers": [{"address": "203.0.113.20"}, {"address": "2001:db8::20"}],
                            "when": "draining"}

    rewrite(relay, change)
    assert reload(relay) == (0, {"ok": True, "restart": []})
    client = open_client(one, 6)
    client.allocate()
    assert ":" in client.relayed[0][0]
    rewrite(relay, lambda conf: conf["redirect"].update(when="always"))
    assert reload(relay) == (0, {"ok": True, "restart": []})
    assert open_client(one, 4).allocate_request().error == 300
    call.both(b"still here")


def test_a_broken_file_changes_nothing(one, make_relay, open_client):
    relay = make_relay(one).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()

    def change(conf):
        deny_all(conf)
        conf["relay"]["ports"]["max"] = 70000

    rewrite(relay, change)
    code, answer = reload(relay, check=False)
    assert code == 1 and not answer["ok"]
    assert any("relay.ports.max: 70000" in error for error in answer["errors"]), answer
    relay.wait_said("relay.ports.max: 70000")
    relay.wait_said("nothing was changed")
    call.both(b"still here")
    assert relay.stats()["reload"]["reloads_failed"] == 1


def test_what_takes_a_restart_is_named_and_stays(one, make_relay, open_client):
    relay = make_relay(one).start()

    def change(conf):
        conf["relay"]["ports"]["min"] = 50000
        conf["dscp"] = "clear"

    rewrite(relay, change)
    code, answer = reload(relay)
    assert (code, answer["ok"]) == (0, True)
    assert answer["restart"] == [
        {"option": "relay.ports.min", "running": "49152", "file": "50000"},
        {"option": "dscp", "running": "copy", "file": "clear"},
    ]
    relay.wait_said("relay.ports.min: 50000 in the file, stays 49152")
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    call.both(b"works")


def test_the_limit_of_allocations_is_raised_up_to_that_of_the_start(one, make_relay, open_client):
    """For more there are neither accounts nor places in the filter of clients."""
    def limit(n):
        return lambda conf: conf.update(limits={"allocations": n})

    relay = make_relay(one, change=limit(2)).start()
    clients = [open_client(one, 4) for _ in range(3)]
    rewrite(relay, limit(1))
    assert reload(relay) == (0, {"ok": True, "restart": []})
    clients[0].allocate()
    assert clients[1].allocate_request().error == 508
    rewrite(relay, limit(2))
    assert reload(relay) == (0, {"ok": True, "restart": []})
    clients[1].allocate()
    rewrite(relay, limit(10))
    assert reload(relay) == (0, {"ok": True, "restart": [
        {"option": "limits.allocations", "running": "2", "file": "10"}]})
    relay.wait_said("limits.allocations: 10 in the file, stays 2: this takes a restart")
    assert clients[2].allocate_request().error == 508
    assert relay.stats()["turn"]["allocations"] == 2
