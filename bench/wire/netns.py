# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, for the benchmarks' rigs and the tests' labs: made, entered, and removed also
when the run that made them was killed.
"""
import contextlib
import ctypes
import os
import subprocess

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class CommandError(Exception):
    """A command failed; output is what it said."""

    def __init__(self, cmd, done):
        super().__init__(f"{' '.join(cmd)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        self.status = done.returncode
        self.output = done.stderr or done.stdout


def run(*cmd, check=True, timeout=60, **popen):
    """Run a command to its end."""
    done = subprocess.run(cmd, capture_output=True, text=True, timeout=timeout, **popen)
    if check and done.returncode != 0:
        raise CommandError(cmd, done)
    return done


def _enter(file):
    if _libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


@contextlib.contextmanager
def inside(name):
    """This thread is in the namespace meanwhile, and its new sockets belong there for good."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{name}", "rb") as there:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)


# What is made there from now on talks only when told to, and takes what comes by another way.
QUIET = {
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/router_solicitations": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv4/conf/all/rp_filter": 0,
}


def sysctl(name, settings):
    """Write keys below /proc/sys/net, which follows the writer's network namespace."""
    with inside(name):
        for key, value in settings.items():
            with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:
                file.write(str(value))


def delete(name):
    """With what runs in it."""
    for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    run("ip", "netns", "del", name, check=False)


def is_alive(pid):
    """A process that nobody reaped has no command line."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def is_left_over(name, pattern):
    """Is it ours, by a pattern whose first group is the owner's process id, and is he gone?"""
    match = pattern.match(name)
    return match is not None and not is_alive(match.group(1))


def sweep(pattern):
    """Delete what killed runs left behind; namespaces of living runs stay."""
    for line in run("ip", "netns", "list").stdout.splitlines():
        name = line.split()[0]
        if is_left_over(name, pattern):
            delete(name)
