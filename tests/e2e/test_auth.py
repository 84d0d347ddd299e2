# SPDX-License-Identifier: Apache-2.0
"""RFC 8489 authentication over real sockets: algorithms, USERHASH, keys and credentials that
turnpikectl makes.  Every rule by itself is in tests/unit/test_bid_down.c and test_credentials.c."""

import hashlib
import json
import subprocess

import pytest
import relay as relays
import turn
from call import Call
from test_reload import reload, rewrite

BOTH = (turn.SHA256, turn.MD5)


def ctl(*args, stdin=None):
    """turnpikectl without a relay."""
    return subprocess.run(
        [relays.CTL, *args], input=stdin, capture_output=True, text=True, timeout=20
    )


def without_secrets(conf):
    del conf["auth"]["secrets"]


def auth_of(relay):
    return {name: n for name, n in relay.stats()["auth"].items() if n}


@pytest.mark.parametrize(
    "algorithms, result",
    [
        ((), "accepted_legacy"),
        ((turn.MD5,), "accepted_md5"),
        (BOTH, "accepted_sha256"),
    ],
    ids=["RFC 5389", "MD5", "SHA-256"],
)
@pytest.mark.parametrize("family", [4, 6])
def test_a_call_with_each_kind_of_client(one, start, open_client, family, algorithms, result):
    """RFC 8489 section 9.2.4; the client checks what answers are signed with."""
    relay = start(one)
    client = open_client(one, family, algorithms=algorithms)
    call = Call(relay, client, one.udp("peer", one.PEER[family]), family)
    call.both(b"hello")
    assert not client.is_anonymous
    assert client.refresh(600).error == 0
    counts = auth_of(relay)
    assert counts.pop("challenged") == 1
    assert list(counts) == [result]


def test_without_secrets_the_name_is_hidden(one, make_relay, open_client):
    """RFC 8489 section 9.2.5: the bit "Username anonymity", and then USERHASH."""
    relay = make_relay(one, change=without_secrets).start()
    client = open_client(one, 4, algorithms=BOTH)
    client.allocate()
    assert client.is_anonymous and client.algorithm == turn.SHA256
    assert turn.USERHASH in dict(client.auth_attrs())
    assert relay.allocations()[0]["username"] == "alice"
    assert client.permit(one.PEER[4]).error == 0
    stranger = open_client(one, 4, algorithms=BOTH, username="mallory")
    assert stranger.allocate_request().error == 401
    old = open_client(one, 4)
    old.allocate()
    assert auth_of(relay)["unknown_user"] == 1


def test_time_limited_names_with_sha256(one, make_relay, open_client):
    def change(conf):
        conf["auth"]["secret_hmac"] = "sha256"

    make_relay(one, change=change).start()
    for secret in relays.SECRETS:
        name, password = turn.time_limited(secret, hashed=hashlib.sha256)
        client = open_client(one, 4, algorithms=BOTH, username=name, password=password)
        client.allocate()
    name, password = turn.time_limited(relays.SECRETS[0])
    client = open_client(one, 4, algorithms=BOTH, username=name, password=password)
    assert client.allocate_request().error == 401


def test_a_bid_down_is_noticed(one, start, open_client):
    """RFC 8489 section 9.2.4: 400 where the list was stripped or changed, unsigned."""
    relay = start(one)
    for changed in (None, turn.algorithm_value(turn.MD5)):
        client = open_client(one, 4, algorithms=(turn.MD5,))
        client.learn(client.transact(turn.build(turn.REFRESH, turn.REQUEST)))
        attrs = [(k, v) for k, v in client.auth_attrs() if k != turn.PASSWORD_ALGORITHMS]
        if changed is not None:
            attrs.append((turn.PASSWORD_ALGORITHMS, changed))
        request = turn.build(turn.REFRESH, turn.REQUEST, attrs, key=client.key, sha256=True)
        answer = client.transact(request)
        assert answer.error == 400
        assert answer.get(turn.NONCE) is None
        assert answer.get(turn.MESSAGE_INTEGRITY_SHA256) is None
    assert auth_of(relay)["bad_algorithms"] == 2


def test_sha256_alone_refuses_old_clients(one, make_relay, open_client):
    def change(conf):
        conf["auth"]["algorithms"] = ["sha256"]

    relay = make_relay(one, change=change).start()
    assert open_client(one, 4).allocate_request().error == 401
    open_client(one, 4, algorithms=BOTH).allocate()
    assert auth_of(relay)["too_weak"] == 1


def test_a_reload_that_offers_less_is_no_bid_down(one, make_relay, open_client):
    """Nonces that went out with the list before are stale: 438 with the new one, and not 400."""
    relay = make_relay(one).start()
    client, old = open_client(one, 4, algorithms=BOTH), open_client(one, 4)
    client.allocate()
    old.allocate()

    def change(conf):
        conf["auth"]["algorithms"] = ["sha256"]

    rewrite(relay, change)
    assert reload(relay)[1]["ok"]
    assert client.refresh(600).error == 0
    assert client.algorithm_list == turn.algorithm_value(turn.SHA256)
    assert old.refresh(600).error == 401
    counts = auth_of(relay)
    assert counts["stale_nonce"] == 1 and counts["too_weak"] == 1 and "bad_algorithms" not in counts


def test_an_expired_name_may_be_refused_its_allocation(one, make_relay, open_client):
    def change(conf):
        conf["auth"]["strict_expiry"] = True

    make_relay(one, change=change).start()
    name, password = turn.time_limited(relays.SECRETS[0], lifetime_sec=3)
    client = open_client(one, 4, username=name, password=password)
    client.allocate()
    relays.wait_for("the name to expire", lambda: client.refresh(600).error == 401)


def test_keys_of_turnpikectl_open_the_relay(one, make_relay, open_client, tmp_path):
    """user-key: the password from standard input, out comes an entry of auth.users."""
    names = {"\u00fcser": "p\u00e4ss w\u00f6rd", 'q"uote': "x"}
    made = []
    for name, password in names.items():
        done = ctl("--json", "--realm", "turnpike.test", "user-key", "-u", name, stdin=password)
        assert done.returncode == 0, done.stderr
        made.append(json.loads(done.stdout))

    def change(conf):
        conf["auth"]["users"] = made

    make_relay(one, change=change).start()
    for name, password in names.items():
        for algorithms in ((), BOTH):
            open_client(one, 4, username=name, password=password, algorithms=algorithms).allocate()


def test_the_entry_can_be_pasted(one, make_relay, open_client):
    done = ctl("--realm", "turnpike.test", "user-key", "-u", "carol", stdin="secret\nnot this\n")
    relay = make_relay(one)
    text = relay.path.read_text().splitlines()
    text = [line for line in text if not line.startswith("auth:")]
    entry = "\n".join("    " + line for line in done.stdout.splitlines())
    relay.path.write_text("\n".join(text) + f"\nauth:\n  users:\n{entry}\n")
    relay.start()
    open_client(one, 4, username="carol", password="secret", algorithms=BOTH).allocate()


def test_credentials_of_turnpikectl_open_the_relay(one, start, open_client):
    """credentials: an RTCIceServer, from the relay's own configuration."""
    relay = start(one)
    done = ctl("-c", str(relay.path), "credentials", "--user", "bob", "--ttl", "1h")
    assert done.returncode == 0, done.stderr
    server = json.loads(done.stdout)
    assert sorted(server) == ["credential", "urls", "username"]
    assert server["urls"] == [
        f"turn:{one.LISTEN[4]}:3478?transport=udp",
        f"turn:[{one.LISTEN[6]}]:3478?transport=udp",
    ]
    assert server["username"].endswith(":bob")
    client = open_client(one, 4, username=server["username"], password=server["credential"])
    client.allocate()
    assert relay.allocations()[0]["username"] == server["username"]


@pytest.mark.parametrize(
    "args, status, says",
    [
        (["user-key", "--realm", "r"], 2, "needs --user"),
        (["user-key", "--realm", "r", "-u", ""], 2, "must not be empty"),
        (["user-key", "--realm", "r", "-u", "a\tb"], 2, "control characters"),
        (["user-key", "--realm", "r", "-u", "a"], 1, "none was given"),
        (["user-key", "--config", "/nowhere", "-u", "a"], 1, "/nowhere"),
        (["credentials", "--config", "/nowhere"], 1, "/nowhere"),
        (["credentials", "--ttl", "0"], 2, "--ttl"),
        (["credentials", "--ttl", "1w"], 2, "--ttl"),
        (["credentials", "--ttl", "-1"], 2, "--ttl"),
        (["credentials", "--ttl", "99999999999999999999"], 2, "--ttl"),
        (["credentials", "--ttl", "300000000000000000d"], 2, "--ttl"),
        (["credentials", "--host", "a/b"], 2, "--host"),
        (["credentials", "-u", "x" * 600], 2, "too long"),
    ],
)
def test_bad_arguments_are_explained(args, status, says):
    done = ctl(*args, stdin="")
    assert done.returncode == status and says in done.stderr
    assert done.stdout == ""


def test_a_configuration_without_secrets_makes_no_credentials(one, make_relay):
    relay = make_relay(one, change=without_secrets)
    done = ctl("-c", str(relay.path), "credentials")
    assert done.returncode == 1 and "auth.secrets" in done.stderr
