# SPDX-License-Identifier: Apache-2.0
"""What an HTTP scraper sees: the same counters as the control socket."""

import re
import time

from call import Call

FETCH = """
import sys, urllib.request, urllib.error
request = urllib.request.Request(sys.argv[1], method=sys.argv[2])
try:
    answer = urllib.request.urlopen(request, timeout=5)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.headers.get("Content-Type"))
print(answer.read().decode(), end="")
"""


def with_metrics(conf):
    conf["metrics"] = {"listen": "127.0.0.1"}


def fetch(net, path, method="GET"):
    url = f"http://127.0.0.1:9641{path}"
    text = net.exec("relay", "/usr/bin/python3", "-c", FETCH, url, method).stdout
    status, kind, body = text.split("\n", 2)
    return int(status), kind, body


def test_metrics_say_what_the_control_socket_says(one, make_relay, open_client):
    relay = make_relay(one, change=with_metrics).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    for i in range(20):
        call.both(bytes([i]) * 50)
    stats = relay.settled()
    status, kind, body = fetch(one, "/metrics")
    assert status == 200 and kind.startswith("text/plain")
    samples = dict(re.findall(r"^(turnpike_[^ ]+) ([0-9]+)$", body, re.MULTILINE))
    for name, count in stats["workers"][0]["verdicts"].items():
        assert int(samples[f'turnpike_frames_total{{worker="0",verdict="{name}"}}']) == count
    for name, count in stats["kernel_path"]["verdicts"].items():
        assert int(samples[f'turnpike_kernel_path_datagrams_total{{verdict="{name}"}}']) == count
    for name, count in stats["auth"].items():
        assert int(samples[f'turnpike_auth_requests_total{{result="{name}"}}']) == count
    assert stats["auth"]["challenged"] >= 1 and stats["auth"]["accepted_legacy"] >= 2
    assert int(samples["turnpike_allocations"]) == stats["turn"]["allocations"] == 1
    assert samples['turnpike_interface_mode{interface="%s",mode="%s"}' % (one.NIC, relay.mode)] == "1"


def test_a_worker_is_busy_with_frames_and_nothing_else(one, make_relay, open_client):
    def busy():
        worker, = relay.settled()["workers"]
        return worker["busy_ns"]

    relay = make_relay(one, change=with_metrics).start()
    call = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    call.both(b"x")
    idle, begin = busy(), time.monotonic_ns()
    time.sleep(0.3)
    assert busy() == idle > 0
    for i in range(20):
        call.both(bytes([i]) * 50)
    assert idle < busy() < idle + time.monotonic_ns() - begin
    _, _, body = fetch(one, "/metrics")
    sample = re.search(r'^turnpike_busy_seconds_total{worker="0"} ([0-9.]+)$', body, re.MULTILINE)
    assert abs(float(sample[1]) - busy() / 1e9) < 1e-6


def test_every_sample_has_help_and_type(one, make_relay):
    make_relay(one, change=with_metrics).start()
    _, _, body = fetch(one, "/metrics")
    names = set(re.findall(r"^(turnpike_[a-z_]+)[{ ]", body, re.MULTILINE))
    assert names
    assert names == set(re.findall(r"^# HELP (\S+) \S", body, re.MULTILINE))
    assert names == set(re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", body, re.MULTILINE))


def test_health_and_what_is_not_there(one, make_relay):
    make_relay(one, change=with_metrics).start()
    assert fetch(one, "/health")[::2] == (200, "ok\n")
    assert fetch(one, "/")[0] == 404
    assert fetch(one, "/metrics", "DELETE")[0] == 405
