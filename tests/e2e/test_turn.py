# SPDX-License-Identifier: Apache-2.0
"""The protocol as a client meets it, over real sockets."""

import os

import pytest
import relay as relays
import turn
from call import MODES, Call, is_refused

ALLOCATE_UDP = [(turn.REQUESTED_TRANSPORT, bytes([turn.UDP, 0, 0, 0]))]


@pytest.mark.parametrize("family", [4, 6])
def test_binding_tells_the_source_address(one, start, open_client, family):
    """RFC 8489 section 12; with and without FINGERPRINT."""
    start(one)
    client = open_client(one, family)
    assert client.binding() == client.sock.getsockname()[:2]
    answer = client.transact(turn.build(turn.BINDING, turn.REQUEST, fingerprint=True))
    answer.check_fingerprint()
    assert answer.address(turn.XOR_MAPPED_ADDRESS) == client.sock.getsockname()[:2]


def test_allocation_is_described(one, start, open_client):
    """RFC 8656 section 7.2: relayed and mapped address, default lifetime, port range."""
    relay = start(one)
    client = open_client(one, 6)
    answer = client.allocate_request(fingerprint=True)
    assert answer.error == 0 and answer.lifetime == 600
    assert answer.address(turn.XOR_MAPPED_ADDRESS) == client.sock.getsockname()[:2]
    # Without REQUESTED-ADDRESS-FAMILY the relayed address is IPv4, whatever the client uses.
    ip, port = answer.address(turn.XOR_RELAYED_ADDRESS)
    assert ip == one.RELAY[4] and relays.PORT_MIN <= port <= relays.PORT_MAX
    (allocation,) = relay.allocations()
    assert allocation["username"] == "alice"
    assert allocation["relayed"][0]["external"] == f"{ip}:{port}"
    assert relay.stats()["turn"]["allocations"] == 1


def test_lifetime_is_bounded(one, start, open_client):
    """RFC 8656 sections 7.2 and 8.2: at least the default, at most an hour."""
    start(one)
    client = open_client(one, 4)
    assert client.allocate_request(lifetime=10).lifetime == 600
    assert client.refresh(1800).lifetime == 1800
    assert client.refresh(100000).lifetime == 3600


def test_missing_credentials_are_asked_for(one, start, open_client):
    """RFC 8489 section 9.2.4: 401 with REALM and NONCE, small."""
    start(one)
    client = open_client(one, 4)
    request = turn.build(turn.ALLOCATE, turn.REQUEST, ALLOCATE_UDP)
    answer = client.transact(request)
    assert answer.error == 401
    assert answer.get(turn.REALM) == b"turnpike.test"
    assert 0 < len(answer.get(turn.NONCE)) < 128
    # RFC 8656 section 21: an answer to a stranger must not be a weapon.
    assert len(answer.data) <= 200


@pytest.mark.parametrize(
    "username, password",
    [
        ("alice", "wrong"),
        ("nobody", "wonder"),
        turn.time_limited("a secret of somebody else"),
        turn.time_limited(relays.SECRETS[0], lifetime_sec=-10),
    ],
    ids=["wrong password", "unknown user", "wrong secret", "expired"],
)
def test_wrong_credentials_are_refused(one, start, open_client, username, password):
    """RFC 8489 section 9.2.4: 401."""
    relay = start(one)
    client = open_client(one, 4, username=username, password=password)
    assert client.allocate_request().error == 401
    assert relay.allocations() == []


@pytest.mark.parametrize("secret", relays.SECRETS)
def test_time_limited_credentials_allocate(one, start, open_client, secret):
    relay = start(one)
    username, password = turn.time_limited(secret)
    client = open_client(one, 4, username=username, password=password)
    client.allocate()
    assert relay.allocations()[0]["username"] == username


def test_nonce_is_bound_to_the_client_address(one, start, open_client):
    """RFC 8489 section 9.2.4: no nonce serves two addresses: 438 with a new one."""
    start(one)
    first, second = open_client(one, 4), open_client(one, 4)
    first.allocate()
    second.realm, second.nonce, second.key = first.realm, first.nonce, first.key
    request = second.signed(turn.ALLOCATE, ALLOCATE_UDP)
    answer = second.transact(request)
    assert answer.error == 438
    assert answer.get(turn.NONCE) not in (None, first.nonce)
    second.learn(answer)
    second.allocate()


def test_made_up_nonce_is_stale(one, start, open_client):
    start(one)
    client = open_client(one, 4)
    client.allocate()
    good = client.nonce
    client.nonce = good[:-1] + (b"A" if good[-1:] != b"A" else b"B")
    request = turn.build(turn.REFRESH, turn.REQUEST, client.auth_attrs(), key=client.key)
    assert client.transact(request).error == 438
    client.nonce = good
    assert client.refresh().error == 0


def test_second_allocate_mismatches(one, start, open_client):
    """RFC 8656 section 7.2 step 2: 437 on a five-tuple in use."""
    start(one)
    client = open_client(one, 4)
    client.allocate()
    assert client.allocate_request().error == 437
    assert client.refresh(0).error == 0
    client.allocate()


def test_retransmitted_allocate_gets_the_same_answer(one, start, open_client):
    """RFC 8489 section 6.3.1."""
    relay = start(one)
    client = open_client(one, 4)
    client.learn(client.transact(turn.build(turn.ALLOCATE, turn.REQUEST, ALLOCATE_UDP)))
    request = turn.build(
        turn.ALLOCATE, turn.REQUEST, ALLOCATE_UDP + client.auth_attrs(), key=client.key
    )
    first, second = client.transact(request), client.transact(request)
    assert first.error == second.error == 0
    assert first.address(turn.XOR_RELAYED_ADDRESS) == second.address(turn.XOR_RELAYED_ADDRESS)
    assert relay.stats()["turn"]["allocations"] == 1


@pytest.mark.parametrize("what", ["refresh", "permit", "bind"])
def test_requests_without_allocation_mismatch(one, start, open_client, what):
    """RFC 8656 section 5: 437."""
    start(one)
    client = open_client(one, 4)
    call = {
        "refresh": lambda: client.refresh(),
        "permit": lambda: client.permit(one.PEER[4]),
        "bind": lambda: client.bind(0x4000, one.PEER[4], 9),
    }[what]
    assert call().error == 437


def test_data_without_allocation_is_dropped_unheard(one, start, open_client):
    """RFC 8656 section 5: silence, and a counter."""
    relay = start(one)
    client = open_client(one, 4)
    client.send((one.PEER[4], 9), b"x")
    client.send_channel(0x4000, b"x")
    relays.wait_for("two drops", lambda: relay.slow().get("drop_no_allocation", 0) >= 2)
    assert client.receive(0.2) is None


def test_other_users_may_not_touch_an_allocation(one, start, open_client):
    """RFC 8656 section 5: 441."""
    start(one)
    client = open_client(one, 4)
    client.allocate()
    client.username, client.password = "bob", "builder"
    client.key = None
    assert client.refresh(0).error == 441
    assert client.permit(one.PEER[4]).error == 441


@pytest.mark.parametrize(
    "peer",
    [
        "127.0.0.1",
        "0.0.0.0",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.168.1.1",
        "100.64.0.1",
    ],
)
def test_forbidden_ipv4_peers(one, start, open_client, peer):
    """RFC 8656 sections 10.2, 12.2 and 21.2.2: 403 for permission and channel alike."""
    start(one)
    client = open_client(one, 4)
    client.allocate(turn.IPV4)
    assert client.permit(peer).error == 403
    assert client.bind(0x4000, peer, 53).error == 403
    # All or nothing over several addresses (section 10.2).
    assert client.permit(one.PEER[4], peer).error == 403
    assert client.permit(one.PEER[4]).error == 0


@pytest.mark.parametrize(
    "peer",
    [
        "::1",
        "::",
        "fe80::1",
        "ff02::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:192.168.1.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:1:2::3",
    ],
)
def test_forbidden_ipv6_peers(one, start, open_client, peer):
    """The same, for every way to write an IPv4 address in an IPv6 one (section 21.4)."""
    start(one)
    client = open_client(one, 6)
    client.allocate(turn.IPV6)
    assert client.permit(peer).error == 403
    assert client.bind(0x4000, peer, 53).error == 403


def test_relay_itself_is_no_peer_but_for_relayed_ports(one, start, open_client):
    """RFC 8656 section 21.2.2: nobody reaches the relay's own services through it."""
    start(one)
    client, other = open_client(one, 4), open_client(one, 4)
    client.allocate()
    assert client.bind(0x4000, one.LISTEN[4], 3478).error == 403
    assert client.bind(0x4000, one.LISTEN[4], 22).error == 403
    assert client.bind(0x4000, *other.allocate()).error == 0


def test_send_to_forbidden_peer_goes_nowhere(one, start, open_client):
    relay = start(one)
    client = open_client(one, 4)
    client.allocate()
    victim = one.udp("relay", "127.0.0.1")
    client.send(victim.getsockname(), b"x")
    relays.wait_for(
        "a drop",
        lambda: sum(relay.slow().get(k, 0) for k in ("drop_forbidden", "drop_no_permission")),
    )
    victim.settimeout(0.2)
    with pytest.raises(TimeoutError):
        victim.recv(100)


def test_peer_of_the_wrong_family(one, start, open_client):
    """RFC 8656 sections 8.2, 10.2, 12.2: 443."""
    start(one)
    client = open_client(one, 4)
    client.allocate(turn.IPV4)
    assert client.permit(one.PEER[6]).error == 443
    assert client.bind(0x4000, one.PEER[6], 9).error == 443
    assert client.refresh(family=turn.IPV6).error == 443
    assert client.refresh(family=turn.IPV4).error == 0


def only_ipv4_relay(conf):
    conf["relay"]["addresses"] = conf["relay"]["addresses"][:1]


def only_ipv6_relay(conf):
    conf["relay"]["addresses"] = conf["relay"]["addresses"][1:]


def test_family_the_relay_does_not_have(one, start, open_client):
    """RFC 8656 section 7.2 steps 7 and 9: 440, and ADDRESS-ERROR-CODE for the additional one."""
    start(one, change=only_ipv4_relay)
    client = open_client(one, 6)
    assert client.allocate_request(turn.IPV6).error == 440
    assert client.allocate_request(99).error == 440
    answer = client.allocate_request(additional=turn.IPV6)
    assert answer.error == 0
    assert [ip for ip, _ in answer.addresses(turn.XOR_RELAYED_ADDRESS)] == [one.RELAY[4]]
    partial = answer.get(turn.ADDRESS_ERROR_CODE)
    assert partial[0] == turn.IPV6 and (partial[2] & 7, partial[3]) == (4, 40)


def test_absent_family_means_ipv4_even_without_ipv4(one, start, open_client):
    """RFC 8656 section 7.2 step 7: 440."""
    start(one, change=only_ipv6_relay)
    client = open_client(one, 6)
    assert client.allocate_request().error == 440
    client.allocate(turn.IPV6)


@pytest.mark.parametrize(
    "attrs, error",
    [
        ([], 400),
        ([(turn.REQUESTED_TRANSPORT, bytes([6, 0, 0, 0]))], 442),
        ([(turn.REQUESTED_TRANSPORT, b"\x11")], 400),
        (ALLOCATE_UDP + [(0x7F00, b"")], 420),
        (
            ALLOCATE_UDP
            + [
                (turn.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0"),
                (turn.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"),
            ],
            400,
        ),
        (ALLOCATE_UDP + [(turn.ADDITIONAL_ADDRESS_FAMILY, b"\1\0\0\0")], 400),
        (
            ALLOCATE_UDP
            + [(turn.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"), (turn.EVEN_PORT, b"\x80")],
            400,
        ),
        (ALLOCATE_UDP + [(turn.RESERVATION_TOKEN, bytes(8))], 508),
        (ALLOCATE_UDP + [(turn.RESERVATION_TOKEN, bytes(8)), (turn.EVEN_PORT, b"\0")], 400),
        (ALLOCATE_UDP + [(0xC0FF, b"ignored")], 0),
    ],
    ids=[
        "no transport",
        "TCP",
        "malformed transport",
        "unknown required attribute",
        "RAF and AAF",
        "AAF IPv4",
        "AAF and EVEN-PORT",
        "unknown token",
        "token and EVEN-PORT",
        "unknown optional attribute",
    ],
)
def test_allocate_checks(one, start, open_client, attrs, error):
    """RFC 8656 section 7.2, RFC 8489 section 6.3.1."""
    start(one)
    answer = open_client(one, 4).request(turn.ALLOCATE, attrs)
    assert answer.error == error
    if error == 420:
        assert answer.get(turn.UNKNOWN_ATTRIBUTES) == b"\x7f\x00"


def test_even_port_and_its_reservation(one, start, open_client):
    """RFC 8656 section 7.2 steps 5 and 8."""
    start(one)
    client = open_client(one, 4)
    answer = client.allocate_request(even_port=True)
    token = answer.get(turn.RESERVATION_TOKEN)
    ip, port = answer.address(turn.XOR_RELAYED_ADDRESS)
    assert port % 2 == 0 and len(token) == 8
    second = open_client(one, 4)
    answer = second.request(turn.ALLOCATE, ALLOCATE_UDP + [(turn.RESERVATION_TOKEN, token)])
    assert answer.address(turn.XOR_RELAYED_ADDRESS) == (ip, port + 1)


def test_channel_rules(one, start, open_client):
    """RFC 8656 section 12.2: one number, one peer, and the other way round; the number's range."""
    start(one, change=lambda conf: conf.update(legacy_channels=False))
    client = open_client(one, 4)
    client.allocate()
    ip = one.PEER[4]
    assert client.bind(0x4000, ip, 1000).error == 0
    assert client.bind(0x4000, ip, 1000).error == 0
    assert client.bind(0x4000, ip, 1001).error == 400
    assert client.bind(0x4001, ip, 1000).error == 400
    assert client.bind(0x3FFF, ip, 1002).error == 400
    assert client.bind(0x5000, ip, 1002).error == 400
    assert client.bind(0x4FFF, ip, 1002).error == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [4, 6])
def test_refresh_0_ends_everything_at_once(one, start, open_client, mode, family):
    """RFC 8656 section 8.2: flows, channels and ports go; the port is the host's again."""
    relay = start(one, mode)
    peer = one.udp("peer", one.PEER[family])
    talk = Call(relay, open_client(one, family), peer, family)
    if mode != "off":
        talk.wait_fast()
        assert relay.stats()["flows"] >= 2
    talk.both(b"still here")
    assert not is_refused(one, talk.relayed)
    assert talk.client.receive().data == b"anyone there?"
    before = relay.stats()["total"]["verdicts"]
    assert talk.client.refresh(0).error == 0
    # The success was the last word: nothing may be relayed after it.
    talk.client.send_channel(talk.number, b"too late")
    peer.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.recv(100)
    assert is_refused(one, talk.relayed)
    stats = relay.stats()
    assert stats["flows"] == 0
    assert not any(stats["turn"].values()), stats["turn"]
    assert relay.allocations() == []
    assert "forward" not in relays.growth(before, stats["total"]["verdicts"])
    # The five-tuple may be used again.
    Call(relay, talk.client, one.udp("peer", one.PEER[family]), family).both(b"again")


def test_refresh_0_of_one_family(one, start, open_client):
    """RFC 8656 section 8.2: of a dual allocation only the family named is deleted."""
    relay = start(one)
    client = open_client(one, 4)
    client.allocate(additional=turn.IPV6)
    gone = next(a for a in client.relayed if ":" in a[0])
    assert client.refresh(0, family=turn.IPV6).error == 0
    assert is_refused(one, gone)
    assert relay.stats()["turn"]["ports"] == 1
    assert client.refresh().error == 0


def test_answers_come_from_the_address_asked(one, start, open_client):
    """RFC 8489 section 6.3.1.2: two listener addresses on one interface, and two ports."""

    def more_listeners(conf):
        conf["listen"] += [{"address": a} for a in one.LISTEN2.values()]
        conf["listen"] += [{"address": a, "port": 3479} for a in one.LISTEN.values()]

    relay = start(one, change=more_listeners)
    for family in (4, 6):
        for server, port in (
            (one.LISTEN[family], 3478),
            (one.LISTEN2[family], 3478),
            (one.LISTEN[family], 3479),
        ):
            # The client asserts the source of everything it receives, data included.
            client = open_client(one, family, server=server, port=port)
            client.binding()
            peer = one.udp("peer", one.PEER[family])
            talk = Call(relay, client, peer, family).wait_fast()
            for i in range(5):
                talk.both(os.urandom(20 + i))
            assert client.permit(one.PEER[family]).error == 0
            peer2 = one.udp("peer", one.PEER[family])
            peer2.sendto(b"as an indication", talk.relayed)
            assert client.receive().kind == "data"


def test_one_socket_two_servers(one, start, open_client):
    """RFC 8656 section 3.2: the server's address is part of the five-tuple."""

    def two_listeners(conf):
        conf["listen"].append({"address": one.LISTEN2[4]})

    relay = start(one, change=two_listeners)
    first = open_client(one, 4)
    second = turn.Client(first.sock, (one.LISTEN2[4], 3478))
    assert first.allocate() != second.allocate()
    assert relay.stats()["turn"]["allocations"] == 2


def test_many_allocations_cost_no_descriptor(one, start, open_client):
    """ARCHITECTURE.md section 1: an allocation is a table insert and a bit."""
    relay = start(one)
    open_client(one, 4).allocate()
    count = lambda: len(os.listdir(f"/proc/{relay.process.pid}/fd"))
    before = count()
    for _ in range(100):
        open_client(one, 4).allocate()
    assert relay.stats()["turn"]["allocations"] == 101
    # The relay closes its end of the control connection after turnpikectl has.
    relays.wait_for("no more descriptors", lambda: count() <= before)
