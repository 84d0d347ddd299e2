# SPDX-License-Identifier: Apache-2.0
"""Two foreign clients call each other: a process for each end, and their signalling through us.

An end is told {offers, bytes, server: {host, username, password}} and then whatever the other end
said; each message is a line of JSON.  It says {done: {sent, received}}, the SHA-256 of each, when it
has sent and received all bytes.
"""

import json
import os
import queue
import subprocess
import threading

STATIC = ("alice", "wonder")
WAIT_SEC = 30


class End:
    """One process; what it says comes into the inbox as (end, message), at last (end, None)."""

    def __init__(self, net, role, command, inbox, env):
        self.command = command
        self.process = net.popen(
            role,
            *command,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, args=(inbox,), daemon=True)
        self.reader.start()

    def _read(self, inbox):
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))

    def tell(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def hang_up(self):
        """It closes its connection and exits."""
        self.process.stdin.close()

    def close(self):
        self.process.kill()
        self.process.wait(5)
        self.reader.join(5)


class Calls:
    """make() is a call after which both ends are still connected; close() ends them all."""

    def __init__(self):
        self.ends = []

    def make(self, net, commands, families, total_bytes, login=STATIC, env=None):
        """The first command offers, at the client's place; the other answers, at the peer's."""
        inbox = queue.Queue()
        ends = []
        for role, command, family in zip(("client", "peer"), commands, families):
            ends.append(End(net, role, command, inbox, env or {}))
            self.ends.append(ends[-1])
            server = {"host": net.LISTEN[family], "username": login[0], "password": login[1]}
            ends[-1].tell({"offers": role == "client", "bytes": total_bytes, "server": server})
        done = {}
        while len(done) < 2:
            end, message = inbox.get(timeout=WAIT_SEC)
            assert message is not None, f"{end.command}: exit {end.process.wait(5)}"
            if "done" in message:
                done[end] = message["done"]
            else:
                ends[end is ends[0]].tell(message)
        offering, answering = (done[end] for end in ends)
        assert offering["sent"] == answering["received"]
        assert answering["sent"] == offering["received"]
        return ends

    def close(self):
        for end in self.ends:
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def check_hairpin(relay, families, mode, packets, few):
    """As many packets each way, and few others, by the path that should carry them.

    Both ends are clients of the relay, hence every packet is received and relayed twice.
    """
    stats = relay.settled()
    by_workers = {path: n for path, n in stats["total"]["paths"].items() if n > 0}
    by_kernel = stats["kernel_path"]["verdicts"]["relayed"]
    if mode == "off":
        assert by_kernel >= 2 * packets
        assert by_workers == {}
        return stats
    assert stats["interfaces"][0]["mode"] == mode
    ways = [f"hairpin_{a}to{b}" for a, b in (families, families[::-1])]
    for way in ways:
        # Within one family, both ways are the same path.
        assert by_workers[way] >= packets * ways.count(way), by_workers
    assert by_kernel <= few
    assert all(path.startswith("hairpin_") for path in by_workers), by_workers
    return stats
