# SPDX-License-Identifier: Apache-2.0
"""The control plane: requests a second of one control thread, what an allocation costs in memory and
descriptors, and what a storm of requests does to what is relayed.

The server's control thread is pinned to one CPU and the clients to the other.  On a veth the sender's
CPU does the receiver's softirq: the clients' receive is paid by the server, the server's by them.
"""
import os
import tempfile

from bench.client import servers
from bench.harness.bench import BenchError
from bench.wire import duts
from bench.wire.measure import Load, Sink, out_of_the_way
from bench.wire.rig import sweep

HELP = "allocations, refreshes and channel binds a second; memory and descriptors; relaying in a storm"

CLIENTS = 10000  # what coturn can hold as well, which has a descriptor for each
MANY = 50000
CHANNELS = 4
WINDOW = 512
CHANNELS_IN_STORM = 64
STEADY = 0.5  # of the saturated rate
STORM_PAIRS = 5000  # a second
LONG_SEC = 0.5  # shorter, ticks of 10 ms tell little of how busy a CPU was

TURNPIKE_MODES = ("copy", "off")

# Phase of turn-storm: name of the row, and what tells it from others of that name.
ROWS = {
    "fill": ("control.allocate_bind", {"clients are": "new"}),
    "churn": ("control.allocate_bind", {"clients are": "coming and going"}),
    "bind": ("control.bind", {"channels are": "new"}),
    "rebind": ("control.bind", {"channels are": "bound"}),
    "refresh": ("control.refresh", {}),
    "delete": ("control.delete", {}),
}


def limits(clients, channels):
    return {"allocations": clients, "channels": clients * channels}


# Rates

def row_of(phase, server, clients):
    name, more = ROWS[phase]
    return name, {"server": server, "clients": clients, **more}


def server_percent(server, threads):
    """turnpike: the control thread, which is the first, and the one that writes its log, on the same
    CPU.  coturn: all, they share one CPU."""
    if isinstance(server, duts.Turnpike):
        return sum(percent for tid, (name, percent) in threads.items()
                   if tid == server.process.pid or name == "log")
    return sum(percent for _, percent in threads.values())


def storm(b, server, clients, phases, channels, seconds):
    """One run of turn-storm; a sample for each of its phases.  @return where the clients' core was
    full and the server's was not"""
    bounce = b.bounce()
    limited = set()
    with out_of_the_way():
        meter = servers.Meter(server.process.pid)
        process = servers.client(
            server, "turn-storm", 4, "--clients", clients, "--channels", channels,
            "--window", WINDOW, "--seconds", seconds, "--phases", ",".join(phases))
        for phase in ("fill", *phases, "delete"):
            line = process.line(seconds + 120)
            threads, load = meter.percent()
            own = server_percent(server, threads)
            record(b, server, clients, phase, line, own, load)
            if line["extra"]["seconds"] > LONG_SEC and load >= servers.HAS_SLACK_PERCENT > own:
                limited.add(phase)
        servers.finish(server, process)
    b.progress(f"{server.name}, {clients} clients, bounce {bounce:.0f} ns: done")
    return limited


def record(b, server, clients, phase, line, own, load):
    if line["name"] != phase:
        raise BenchError(f"turn-storm: {line['name']} instead of {phase}")
    if line["extra"]["errors"]:
        raise BenchError(f"{server.name}: {phase}: refused: {line['extra']['errors']}")
    name, params = row_of(phase, server.name, clients)
    extra = {key: line["extra"][key] for key in ("seconds", "requests_per_sec", "retransmissions")
             if line["extra"][key]}
    b.sample(name, params, line["unit"], line["value"], "higher", {
        **extra, "server_cpu_percent": round(own),
        "per_server_cpu_sec": round(100 * line["value"] / own) if own else None,
        "client_cpu_percent": line["extra"]["client_cpu_percent"],
        "client_core_busy_percent": round(load)})


def rates(b, directory):
    phases = ("bind", "refresh", "rebind", "churn")
    seconds = 1 if b.quick else 3
    limited = set()

    for _ in range(b.reps):
        for mode in TURNPIKE_MODES:
            for clients, channels in ((CLIENTS, CHANNELS), (MANY, 1)):
                some = phases if clients == CLIENTS else ("churn",)
                with servers.standing(servers.Turnpike, b, directory, mode,
                                      limits(clients, channels)) as server:
                    limited |= storm(b, server, clients, some, channels, seconds)
        with coturn(b, directory) as server:
            # Not churn: after a deletion it answers 437 for seconds.
            storm(b, server, CLIENTS, phases[:3], CHANNELS, seconds)
    if limited:
        b.note(f"the clients' core, not the server's, was full in: {', '.join(sorted(limited))}; "
               "the server could do more than is shown there")
    for phase in ROWS:
        for mode in TURNPIKE_MODES:
            if phase != "churn":
                b.reference(*row_of(phase, f"turnpike-{mode}", CLIENTS),
                            *row_of(phase, "coturn", CLIENTS))


def coturn(b, directory):
    return servers.standing(servers.Coturn, b, directory, 0)


# Memory

def weigh(server, allocations, floor):
    """Bytes and descriptors of each allocation.  floor: the server's own bytes with nothing in it,
    nor prepared for anything."""
    pid = server.process.pid
    before, files = servers.memory(pid), servers.descriptors(pid)
    held = servers.Held(server, allocations)
    after, more_files = servers.memory(pid), servers.descriptors(pid)
    held.release()
    floor = before["own"] if floor is None else floor
    return (after["own"] - floor) / allocations, (more_files - files) / allocations, {
        "growth_bytes": round((after["own"] - before["own"]) / allocations),
        "rss_mb": round(after["rss"] / 1e6, 1), "rss_before_mb": round(before["rss"] / 1e6, 1)}


def weighed(b, server, allocations, floor):
    params = {"server": server.name, "allocations": allocations}
    own, files, extra = weigh(server, allocations, floor)
    b.sample("control.memory", params, "B/allocation", own, "lower", extra)
    b.sample("control.descriptors", params, "fd/allocation", files, "lower")
    b.progress(f"{server.name}, {allocations} allocations: {own:.0f} B each")


def weights(b, directory):
    for _ in range(b.reps):
        for mode in TURNPIKE_MODES:
            with servers.standing(servers.Turnpike, b, directory, mode, limits(1, 1)) as server:
                floor = servers.memory(server.process.pid)["own"]
            for allocations in (CLIENTS, MANY):
                with servers.standing(servers.Turnpike, b, directory, mode,
                                      limits(allocations, 1)) as server:
                    weighed(b, server, allocations, floor)
        with coturn(b, directory) as server:
            weighed(b, server, CLIENTS, None)
    for mode in TURNPIKE_MODES:
        for name in ("control.memory", "control.descriptors"):
            b.reference(name, {"server": f"turnpike-{mode}", "allocations": CLIENTS},
                        name, {"server": "coturn", "allocations": CLIENTS})
    b.note("memory: private bytes per allocation with one channel, tables sized for just as many "
           "included (over the same server with limits of 1); coturn's without the kernel's memory for "
           "its sockets")


# Relaying in a storm

def relay_in_storm(b, directory):
    """What one worker relays of a steady load, half of what it can, with and without a storm.

    Load, storm and control thread share a CPU; the worker has the other, as in a relay's layout."""
    seconds = 1 if b.quick else 3
    device = duts.Turnpike(b, directory, CHANNELS_IN_STORM, "copy")
    try:
        servers.add_clients(device.rig)
        load = Load(device, Sink(device), "up_4to4", 160)
        with out_of_the_way():
            pps = STEADY * load.saturate(1).pps
        for _ in range(b.reps):
            b.bounce()
            with out_of_the_way():
                record_relayed(b, "none", load.offer(pps, seconds))
                process = servers.client(device, "turn-storm", 4, "--clients", 1000, "--window", 64,
                                         "--seconds", 3600, "--phases", "churn",
                                         "--rate", 2 * STORM_PAIRS)
                process.line(60)  # filled
                window = load.offer(pps, seconds)
                process.popen.terminate()
                churn = process.line(60)
                record_relayed(b, "churn", window, pairs_per_sec=churn["value"])
                process.line(60)  # deleted
                servers.finish(device, process)
        device.check()
    finally:
        device.close()
    b.note(f"relaying in a storm: the load was set to {STEADY:.0%} of what the worker relays when "
           f"saturated, the storm to {STORM_PAIRS} pairs/s; the load's generator, the storm's clients and "
           "the control thread share one CPU, so that the storm takes from what is offered: look at the "
           "loss and at the latency")


def record_relayed(b, name, window, **extra):
    params = {"storm": name}
    b.sample("control.relay_in_storm", params, "packets/s", window.pps, "higher",
             {"offered": round(window.offered),
              "worker_core_ns_per_packet": round(window.ns_per_packet()["total"]), **extra})
    b.sample("control.loss_in_storm", params, "% of what was offered", 100 * window.lost, "lower")
    for percentile in ("p50", "p99"):
        b.sample("control.latency_in_storm", {**params, "percentile": percentile}, "us",
                 window.seen["latency_ns"][percentile] / 1000, "lower")


# All

def run(b):
    if not servers.has_two_cpus(b):
        return
    sweep()
    for phase, what in (("churn", "allocate + bind, one control thread"),
                        ("fill", "the same, clients it never saw before")):
        name, params = row_of(phase, "turnpike-copy", CLIENTS)
        b.target(f"control: {what}", name, params, 20000, 100000, better="higher")
    b.target("memory per allocation with one channel", "control.memory",
             {"server": "turnpike-copy", "allocations": MANY}, 1536, 800)
    with tempfile.TemporaryDirectory(prefix=f"tpb{os.getpid()}-") as directory:
        rates(b, directory)
        weights(b, directory)
        relay_in_storm(b, directory)
