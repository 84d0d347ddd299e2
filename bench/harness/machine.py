# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on: machine, kernel, build.  No names, no addresses."""
import datetime
import glob
import json
import os
import platform
import re
import subprocess

# Of the kernel's command line, what changes figures; the rest is nobody's business.
CMDLINE = re.compile(
    r"^(mitigations|isolcpus|nohz_full|nohz|rcu_nocbs|idle|intel_idle\.max_cstate|"
    r"processor\.max_cstate|intel_pstate|amd_pstate|hugepages|default_hugepagesz|hugepagesz|"
    r"transparent_hugepage|nosmt|iommu|intel_iommu|amd_iommu|preempt|threadirqs|spectre_v2|"
    r"spec_store_bypass_disable|retbleed|skew_tick|tsc|clocksource)(=|$)")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def read(path):
    """The text of a file, or None where there is none: half of these depend on the machine."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return None


def output(*argv, **options):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False,
                              **options)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def selected(text):
    """The word in brackets of a sysfs choice: "always [madvise] never"."""
    match = re.search(r"\[(\S+)\]", text or "")
    return match.group(1) if match else text


def cpu():
    info = read("/proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^\t\n]+)\t*: (.*)$", info, re.M))
    caches = {}
    for index in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        kind = {"Data": "d", "Instruction": "i"}.get(read(f"{index}/type"), "")
        caches[f"L{read(f'{index}/level')}{kind}"] = read(f"{index}/size")
    return {
        "model": fields.get("model name", platform.machine()),
        "family": "/".join(fields.get(f, "?") for f in ("cpu family", "model", "stepping")),
        "cores": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)),
        "smt": read("/sys/devices/system/cpu/smt/active") == "1",
        "numa_nodes": len(glob.glob("/sys/devices/system/node/node[0-9]*")) or 1,
        "cache": caches,
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "hypervisor": hypervisor(fields),
    }


def hypervisor(fields):
    if "hypervisor" not in fields.get("flags", fields.get("Features", "")).split():
        return None
    lscpu = json.loads(output("lscpu", "--json") or '{"lscpu":[]}')["lscpu"]
    names = [e["data"] for e in lscpu if e["field"].startswith("Hypervisor vendor")]
    return names[0] if names else "yes"


def memory():
    kb = dict(re.findall(r"^(\w+): +(\d+)", read("/proc/meminfo") or "", re.M))
    return {
        "total_mb": int(kb.get("MemTotal", 0)) // 1024,
        "thp": selected(read("/sys/kernel/mm/transparent_hugepage/enabled")),
        "huge_pages": int(kb.get("HugePages_Total", 0)),
        "huge_page_kb": int(kb.get("Hugepagesize", 0)),
    }


def kernel():
    words = (read("/proc/cmdline") or "").split()
    flaws = {}
    for path in sorted(glob.glob("/sys/devices/system/cpu/vulnerabilities/*")):
        state = read(path)
        if state and state != "Not affected":
            flaws[os.path.basename(path)] = state
    return {
        "release": platform.release(),
        "arch": platform.machine(),
        "cmdline": [word for word in words if CMDLINE.match(word)],
        "mitigations": flaws,
        "bpf_jit": read("/proc/sys/net/core/bpf_jit_enable"),
        "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }


def options(build):
    """Those of meson's options that change the code."""
    text = output("/usr/bin/meson", "introspect", "--buildoptions", build)
    values = {o["name"]: o["value"] for o in json.loads(text or "[]")}
    names = ("buildtype", "optimization", "debug", "strip", "b_ndebug", "b_lto", "b_sanitize",
             "c_args")
    return {name: values[name] for name in names if name in values}


def flags(build):
    """How a file of lib/flow was compiled: the figures are of this code."""
    try:
        with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
    except (OSError, ValueError):
        return None, None
    for entry in entries:
        if entry["file"].endswith("lib/flow/pipeline.c"):
            argv = [a for a in entry["command"].split() if a not in ("ccache", "-c")]
            return argv[0], [a for a in argv[1:] if re.match(r"-(O|g|f(?!diagnostics)|m|std|DNDEBUG)", a)]
    return None, None


def versions(compiler):
    found = {}
    for name in filter(None, (compiler, "clang")):
        text = output(name, "--version")
        found[name] = text.splitlines()[0] if text else None
    return found


def git(source):
    base = ("git", "--no-optional-locks", "-c", f"safe.directory={source}", "-C", source)
    commit = output(*base, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(output(*base, "status", "--porcelain"))}


def describe(source, build):
    info = json.loads(output("/usr/bin/meson", "introspect", "--projectinfo", build) or "{}")
    compiler, argv = flags(build)
    return {
        "date": now().isoformat(timespec="seconds"),
        "load_at_start": round(os.getloadavg()[0], 2),
        "cpu": cpu(),
        "memory": memory(),
        "kernel": kernel(),
        "build": {
            "version": info.get("version"),
            **git(source),
            "options": options(build),
            "compilers": versions(compiler),
            "flags": argv,
        },
    }


class Steal:
    """How much of the time of our CPUs the host gave to somebody else, since the start."""

    def __init__(self):
        self.begin = self._now()

    @staticmethod
    def _now():
        ticks = [int(n) for n in (read("/proc/stat") or "cpu 0").splitlines()[0].split()[1:9]]
        return sum(ticks), ticks[7] if len(ticks) > 7 else 0

    def percent(self):
        total, stolen = (b - a for a, b in zip(self.begin, self._now()))
        return round(100 * stolen / total, 2) if total else 0.0
