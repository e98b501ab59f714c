#!/usr/bin/env python3
"""Throughput of `get` from one cache on loopback, for each protection: whole command, SIP set-up, verification and
opening included.

    SEALCAST=build/release/apps/sealcast/sealcast bench/transfer.py [MIB] [ROUNDS]

Files lie where TMPDIR says (a tmpfs keeps the disk out of it). Only ratios within one run mean anything. Prints one
JSON document."""
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "integration"))
from harness import Lab, make_file, sha256  # noqa: E402

PROTECTIONS = ["none", "session", "sealed", "sealed+session"]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="sealcast-bench.") as work:
        lab = Lab(work)
        node = lab.up()
        lab.subscribers("alice")
        source = make_file(os.path.join(work, "file"), mib << 20)
        published, uris = {}, {}
        for protection in PROTECTIONS:
            start = time.monotonic()
            uris[protection] = lab.publish(source, "--protect", protection, "--public")
            published[protection] = mib / (time.monotonic() - start)
        rates = {p: [] for p in PROTECTIONS}
        cache_cpu = {p: 0.0 for p in PROTECTIONS}
        out = os.path.join(work, "copy")
        for _ in range(rounds):
            for protection in PROTECTIONS:
                subprocess.run(
                    ["rm", "-rf", os.path.join(lab.dir, "subscribers", "alice", "contents"), out], check=True
                )
                before, start = cpu_seconds(node.process.pid), time.monotonic()
                lab.get_good(uris[protection], "alice", out)
                rates[protection].append(mib / (time.monotonic() - start))
                cache_cpu[protection] += cpu_seconds(node.process.pid) - before
        assert sha256(out) == sha256(source)
        lab.stop()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in open("/proc/cpuinfo", encoding="utf-8")
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    gib = mib * rounds / 1024
    print(
        json.dumps(
            {
                "commit": commit,
                "machine": model,
                "cores": os.cpu_count(),
                "mib": mib,
                "rounds": rounds,
                "get_mib_per_second": {
                    p: {"median": round(statistics.median(r), 1), "min": round(min(r), 1), "max": round(max(r), 1)}
                    for p, r in rates.items()
                },
                "node_cpu_seconds_per_gib": {p: round(c / gib, 2) for p, c in cache_cpu.items()},
                "publish_mib_per_second": {p: round(r, 1) for p, r in published.items()},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
