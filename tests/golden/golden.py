#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run the golden matrix through the C pipeline and compare with the reference; speaks TAP.

    golden.py [--driver mem|dpdk|pcap|afxdp] RUN_PIPELINE [GROUP]

GROUP: only cases whose name contains it.  With a driver frames come from its port and leave by it.
"""

import argparse
import collections
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import matrix
import reference

DEADLINE = 2_000_000  # of a channel that is bound; the runner's clock stands at 1,000,000
LATE = 1_000_000
SHOWN = 5  # failures of a case that are printed
# RFC 6864 section 4: no identification twice within the life of a datagram.  A counter that comes
# round after 65536 keeps what can be kept; this many in a row must differ.
FRESH = 4096
SKIP = 77  # the runner's exit status when it may not do what a driver needs
MEMORY = "memory"
# By driver: the longest frame, and the part of all frames that it has to carry, since what it
# leaves to the kernel goes through memory.
LONGEST = {"mem": 1792, "dpdk": 9114, "pcap": 9114, "afxdp": 1714}
LEAST = {"mem": 0.95, "dpdk": 0.85, "pcap": 0.85, "afxdp": 0.8}


def text(addr):
    return f"{reference.packed(addr.ip).hex()}:{addr.port}"


def flow_line(form, ends, sent, hop, is_hairpin, is_alive):
    """ends: source, destination, named peer and channel received; sent: the same without peer."""
    src, dst, peer, channel = ends
    out_src, out_dst, out_channel = sent
    l2, port, mtu = (hop.l2.hex(), hop.port, hop.mtu) if hop else ("-", 0, 0)
    return (
        f"flow {form} {text(src)} {text(dst)} {text(peer) if peer else '-'} {channel or 0} "
        f"{text(out_src)} {text(out_dst)} {out_channel or 0} {int(is_hairpin)} "
        f"{DEADLINE if is_alive else LATE} {l2} {port} {mtu}"
    )


def flow_lines(world):
    """Both directions of every allocation."""
    relayed = {a.relayed.ip for a in world.allocations}
    for a in world.allocations:
        is_hairpin = a.peer.ip in relayed
        to_peer = None if is_hairpin else a.to_peer
        up, down, peer, named = "channel", "channel", a.peer, None
        if a.channel is None:
            # A permission: whatever the port.
            up, down = "send", "data"
            peer = named = a.peer._replace(port=0)
        yield flow_line(
            *(up, (a.client, a.server, named, a.channel), (a.relayed, peer, None)),
            *(to_peer, is_hairpin, a.is_alive),
        )
        yield flow_line(
            *(down, (peer, a.relayed, None, None), (a.server, a.client, a.channel)),
            *(a.to_client, False, a.is_alive),
        )


class Answer:
    """One line of the runner: a verdict, the frame when it is `forward`, and who carried it."""

    def __init__(self, line):
        self.verdict, port, frame, self.carrier = line.split(" ")
        self.port = int(port)
        self.frame = bytes.fromhex(frame) if self.verdict == "forward" else b""

    @property
    def kind(self):
        return self.verdict if self.verdict in ("forward", "punt") else "drop"


def run_pipeline(runner, driver, path, burst, count):
    command = [runner, path, str(burst)] + ([driver] if driver else [])
    done = subprocess.run(command, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    if done.returncode == SKIP:
        print("1..0 # SKIP needs root and network namespaces")
        sys.exit(0)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != count:
        print(f"Bail out! {runner}: exit {done.returncode}, {len(lines)} of {count} answers")
        sys.exit(1)
    return [Answer(line) for line in lines]


def is_df(frame):
    return bool(reference.strip_link(frame)[1][6] & 0x40)


class Flows:
    """What can only be seen over many packets."""

    def __init__(self):
        self.labels = {}
        self.recent = collections.deque(maxlen=FRESH)
        self.transactions = set()

    def fault(self, outcome, frame):
        loose = reference.loosen(frame)[1]
        if loose.label is not None:
            first = self.labels.setdefault((outcome.src, outcome.dst), loose.label)
            if loose.label != first:
                return f"flow label {loose.label:#x} after {first:#x} (section 13.1)"
        elif not is_df(frame):
            if loose.identification in self.recent:
                return f"identification {loose.identification:#x} again (RFC 6864 section 4)"
            self.recent.append(loose.identification)
        if outcome.message.peer is not None:
            tid = reference.transaction_id(frame)
            if tid in self.transactions:
                return f"transaction id {tid.hex()} again (RFC 8489 section 5)"
            self.transactions.add(tid)
        return None


def fault(outcome, answer, flows):
    """What is wrong with an answer, or None."""
    if answer.kind == "forward":
        if outcome.kind != reference.SEND:
            return f"forwarded, not {outcome.kind} ({outcome.why})"
        if answer.port != outcome.hop.port:
            return f"leaves by port {answer.port}, not {outcome.hop.port}"
        if not reference.matches(answer.frame, outcome):
            wanted = map(reference.describe, outcome.frames(answer.frame))
            got = reference.describe(answer.frame)
            return f"wrong frame\n#  got {got}\n# want " + "\n#   or ".join(wanted)
        return flows.fault(outcome, answer.frame)
    if outcome.kind == reference.SEND:
        if outcome.may_drop and answer.kind == "drop":
            return None
        if outcome.may_defer and answer.kind == "punt":
            return None
        return f"{answer.verdict}, not forwarded"
    # Only the kernel path sends errors.
    if outcome.kind in (reference.ICMP, reference.KERNEL) and not outcome.may_drop:
        return None if answer.kind == "punt" else f"{answer.verdict}, not punt ({outcome.why})"
    return None


def strip_fresh(frame):
    """Without identification; of a Data indication also without what its transaction id decides."""
    frame = reference.loosen(frame)[0]
    data = reference.udp_payload(frame)
    if data[:2] != b"\x00\x17":
        return frame
    # Without the UDP checksum, too.
    return frame[: -len(data) - 2] + reference.without_transaction(data)


def same(a, b):
    """Alone and in a burst: the same, but for what is fresh in each packet."""
    if a.kind != "forward" or b.kind != "forward" or a.frame == b.frame:
        return (a.kind, a.port, a.frame) == (b.kind, b.port, b.frame)
    return a.port == b.port and strip_fresh(a.frame) == strip_fresh(b.frame)


def is_for(driver, frame):
    """May a worker see it?  VLAN 4095 is reserved (IEEE 802.1Q): no interface has it."""
    if driver is None or len(frame) > LONGEST[driver]:
        return False
    is_reserved = frame[12:14] == b"\x81\x00" and frame[14] & 0x0F == 0x0F and frame[15] == 0xFF
    return driver == "mem" or not is_reserved


def left_to_kernel(driver, vector, outcome, answer):
    """A frame for a worker has to come to it by the driver."""
    if answer.carrier == driver or outcome.kind != reference.SEND:
        return None
    if outcome.may_drop or outcome.may_defer or not is_for(driver, vector.frame):
        return None
    return f"{driver} left it to the kernel"


def check_carried(driver, vectors, answers):
    """Most frames must have come from the driver, and all that left and that it can carry."""
    carried = sum(answer.carrier != MEMORY for answer in answers)
    forwarded = [
        (is_for(driver, vector.frame), answer.carrier == driver)
        for vector, answer in zip(vectors, answers)
        if answer.kind == "forward"
    ]
    can = sum(may for may, _ in forwarded)
    missed = sum(may and not did for may, did in forwarded)
    what = (
        f"{carried} of {len(answers)} frames carried by {driver}; of {len(forwarded)} forwarded "
        f"{can} are for it, and it missed {missed}"
    )
    print(f"# {what}")
    return [what] if carried < LEAST[driver] * len(answers) or can == 0 or missed else []


def check(world, vectors, driver, alone, bursts):
    """{group: [how many, [what failed]]}"""
    flows = Flows()
    groups = {}
    for vector, one, many in zip(vectors, alone, bursts):
        found = groups.setdefault(vector.group, [0, []])
        found[0] += 1
        outcome = world.relay.receive(vector.frame)
        what = fault(outcome, one, flows) or left_to_kernel(driver, vector, outcome, one)
        if what is None and one.carrier != many.carrier:
            what = f"by {one.carrier} alone, by {many.carrier} in a burst"
        if what is None and not same(one, many):
            what = f"{one.verdict} alone, {many.verdict} in a burst, or another frame"
        if what is not None:
            found[1].append(f"{vector.note}: {what}\n#   in {reference.describe(vector.frame)}")
    return groups


def report(groups):
    print(f"1..{len(groups)}")
    for n, (group, (count, failures)) in enumerate(groups.items(), 1):
        print(f"{'not ok' if failures else 'ok'} {n} - {group} ({count} frames)")
        for failure in failures[:SHOWN]:
            print(f"# {failure}")
        if len(failures) > SHOWN:
            print(f"# and {len(failures) - SHOWN} more")


def main(runner, only, driver):
    world = matrix.World()
    vectors = [v for v in matrix.vectors(world) if only in v.group]
    with tempfile.NamedTemporaryFile("w", prefix="golden-", suffix=".txt") as f:
        for line in flow_lines(world):
            print(line, file=f)
        for vector in vectors:
            print(f"frame {vector.frame.hex()}", file=f)
        f.flush()
        answers = [run_pipeline(runner, driver, f.name, burst, len(vectors)) for burst in (1, 64)]
    groups = check(world, vectors, driver, *answers)
    if driver and not only:
        groups[f"carried by {driver}"] = [len(vectors), check_carried(driver, vectors, answers[0])]
    report(groups)
    print(f"# {len(vectors)} frames, pid {os.getpid()}")
    return 1 if any(failures for _, failures in groups.values()) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", choices=LEAST)
    parser.add_argument("runner")
    parser.add_argument("group", nargs="?", default="")
    args = parser.parse_args()
    sys.exit(main(args.runner, args.group, args.driver))
