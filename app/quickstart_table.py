# SPDX-License-Identifier: Apache-2.0
"""Shows each second what the workers of a turnpike forward; part of quickstart.sh."""

import argparse
import json
import subprocess
import sys
import time

FAMILIES = ((4, 4), (6, 6), (4, 6), (6, 4))
RULE = "  " + "-" * 62


def look(args):
    """Statistics, or None when the relay does not answer."""
    command = [args.ctl, "--socket", args.socket, "--json", "stats"]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def pair_packets(stats, client, peer):
    """Packets of workers between these families: (to the peer, to the client)."""
    paths = stats["total"]["paths"]
    up = paths.get(f"up_{client}to{peer}", 0)
    return up, paths.get(f"down_{peer}to{client}", 0)


def number(n):
    return f"{n:,}".replace(",", " ")


def table(now, before, seconds):
    modes = ", ".join(f"{i['name']} {i['mode']}" for i in now["interfaces"])
    lines = [
        "",
        f"  turnpike {now['version']}   {modes}   {len(now['workers'])} worker(s)   "
        f"{now['turn']['allocations']} allocations   {now['uptime_sec']} s",
        "",
        f"  {'client':<8}{'peer':<8}{'to peer/s':>14}{'to client/s':>14}{'packets':>18}",
        RULE,
    ]
    for client, peer in FAMILIES:
        new, old = pair_packets(now, client, peer), pair_packets(before, client, peer)
        up, down = (round((a - b) / seconds) for a, b in zip(new, old))
        lines.append(
            f"  {f'IPv{client}':<8}{f'IPv{peer}':<8}"
            f"{number(up):>14}{number(down):>14}{number(sum(new)):>18}"
        )
    megabits = (now["total"]["tx_bytes"] - before["total"]["tx_bytes"]) * 8 / seconds / 1e6
    slow = now["kernel_path"]["rx_pkts"] - before["kernel_path"]["rx_pkts"]
    lines += [
        RULE,
        f"  forwarded by workers: {megabits:.2f} Mbit/s"
        f"      taken by the kernel path: {number(round(slow / seconds))} packets/s",
        "",
    ]
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--seconds", type=float, default=0, help="0: until interrupted")
    parser.add_argument("--every-pair", action="store_true", help="fail unless all forwarded")
    args = parser.parse_args()

    begin = then = time.monotonic()
    before = now = look(args)
    shown = 0
    while now is not None:
        left = begin + args.seconds - time.monotonic() if args.seconds else 1
        if left <= 0:
            break
        time.sleep(min(1, left))
        now, at = look(args), time.monotonic()
        if now is None:
            break
        lines = table(now, before, at - then)
        if sys.stdout.isatty() and shown:
            print(f"\x1b[{shown}F", end="")
        end = "\x1b[K\n" if sys.stdout.isatty() else "\n"
        print(*lines, sep=end, end=end, flush=True)
        shown, before, then = len(lines), now, at
    if now is None:
        print("the relay does not answer", file=sys.stderr)
        return 1
    idle = [f"{c} to {p}" for c, p in FAMILIES if not all(pair_packets(now, c, p))]
    if args.every_pair and idle:
        print(f"workers forwarded nothing: IPv{', IPv'.join(idle)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
