#!/usr/bin/env python3
"""Memory of every process while a huge content is published and fetched: what a node holds must not grow with it.

    SEALCAST=build/release/apps/sealcast/sealcast bench/huge.py [GIB] [CHUNK] [PROTECTION] [MORE OPTIONS OF get ...]

The source is a sparse file of zeros, and clear objects stay sparse at provider, cache and subscriber; sealed ones need
three times the size on the disk of TMPDIR. The hashes take 64 octets a chunk: 10 GiB in chunks of 512 octets have the
tree of 160 GiB in chunks of 8192. Prints one
JSON document: MiB of the resident set at its highest, and of what of it is anonymous and mapped from files."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "integration"))
from harness import Lab  # noqa: E402

FIELDS = {"VmHWM": "highest", "RssAnon": "anonymous", "RssFile": "mapped", "VmPTE": "page_tables"}


class Watch:
    """The highest values of a process's memory, from its start to its end."""

    def __init__(self, pid):
        self.pid, self.highest, self.end = pid, {}, threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self):
        while not self.end.wait(0.1):
            try:
                with open(f"/proc/{self.pid}/status", encoding="ascii") as handle:
                    lines = dict(line.split(":", 1) for line in handle)
            except (FileNotFoundError, ProcessLookupError):
                return
            for field, name in FIELDS.items():
                if field in lines:
                    now = int(lines[field].split()[0]) / 1024
                    self.highest[name] = round(max(self.highest.get(name, 0), now), 1)

    def stop(self):
        self.end.set()
        self.thread.join()
        return self.highest


def timed(lab, name, *arguments):
    start = time.monotonic()
    process = lab.start(name, *arguments, "--dir", lab.dir, "--progress", "none")
    watch = Watch(process.process.pid)
    code = process.wait(86400)
    memory = watch.stop()
    if code != 0:
        raise SystemExit(f"{name} gives {code}: {process.errors()}")
    return process.output(), {"seconds": round(time.monotonic() - start, 1), "mib": memory}


def main():
    gib = float(sys.argv[1]) if len(sys.argv) > 1 else 1
    chunk = sys.argv[2] if len(sys.argv) > 2 else "1152"
    protection = sys.argv[3] if len(sys.argv) > 3 else "session"
    with tempfile.TemporaryDirectory(prefix="sealcast-bench.") as work:
        lab = Lab(work)
        try:
            _, _, cache = lab.split()
            lab.subscribers("alice")
            source, out = os.path.join(work, "file"), os.path.join(work, "copy")
            with open(source, "wb") as handle:
                handle.truncate(int(gib * (1 << 30)))
            result = {"gib": gib, "chunk": int(chunk), "protection": protection}
            words = ("--chunk-size", chunk, "--protect", protection, "--public", "--socket", lab.socket())
            watch = Watch(cache.process.pid)
            uri, result["publish"] = timed(lab, "publish", "publish", source, *words)
            result["cache_publishing"] = watch.stop()
            cache.interrupt()
            cache = lab.role("cache")  # what it held when it took the object is another matter
            watch = Watch(cache.process.pid)
            _, result["get"] = timed(lab, "get", "get", uri.strip(), "--as", "alice", "-o", out, *sys.argv[4:])
            result["cache_serving"] = watch.stop()
            subprocess.run(["cmp", source, out], check=True)
        finally:
            lab.stop()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
