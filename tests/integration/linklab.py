"""The link lab for tests and benchmarks: two networks and a link between them, until the end of a `with`.

    with LinkLab("--both", "rate=50M,delay=25ms,queue=64k") as link:
        subprocess.run([*link.near, "ping", "-c", "3", link.far_address])
        link.change("both mtu=1200")

The program is named by $SEALCAST_LINKLAB; without it, it is looked for beside $SEALCAST."""
import json
import os
import subprocess
import unittest

from harness import SEALCAST, Lab


def program():
    named = os.environ.get("SEALCAST_LINKLAB")
    build = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(SEALCAST))))
    return named or os.path.join(build, "tests", "support", "linklab", "linklab")


class LinkLab:
    """`near` and `far` are what to put before a command so that it runs inside that network. Where no network may be
    made, a test that asks for one is skipped, and the reason is what linklab says."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [program(), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        first = self.process.stdout.readline()
        if not first:
            _, said = self.process.communicate()
            if self.process.returncode == 2:
                raise AssertionError(said)
            raise unittest.SkipTest("no link lab here: " + said.strip())
        self.about = json.loads(first)
        self.near_address = self.about["near"]["address"]
        self.far_address = self.about["far"]["address"]
        self.near, self.far = self._inside("near"), self._inside("far")

    def _inside(self, which):
        user = [] if os.geteuid() == 0 else [f"--user=/proc/{self.process.pid}/ns/user", "--preserve-credentials"]
        return ["nsenter", *user, "--net=" + self.about[which]["namespace"], "--"]

    def _say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def change(self, line):
        """Like "both loss=0.05"; it is made before statistics() answers."""
        self._say(line)

    def statistics(self):
        self._say("stats")
        return json.loads(self.process.stdout.readline())

    def close(self):
        """The counters at the end; what ran inside has to have ended."""
        if self.process.poll() is not None:
            return None
        out, said = self.process.communicate("quit\n")
        if self.process.returncode != 0 or said:
            raise AssertionError(f"linklab ends with {self.process.returncode}: {said}")
        return json.loads(out.splitlines()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LinkedLab(Lab):
    """A laboratory whose core, tracker and cache are in the far network, and whose subscribers in the near one."""

    def __init__(self, work, link, name="lab"):
        super().__init__(work, name)
        self.link = link

    def up(self, *options):
        words = ("up", "--dir", self.dir, "--log", "info", "--address", self.link.far_address, *options)
        node = self.start("up", *words, wrapper=self.link.far).wait_ready()
        path = os.path.join(self.dir, "ue.toml")
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text.replace(f'media = "{self.link.far_address}:', f'media = "{self.link.near_address}:'))
        return node

    def get(self, uri, who, out, *options, **more):
        return super().get(uri, who, out, *options, wrapper=self.link.near, **more)

    def start_get(self, uri, who, out, *options):
        words = ("--json", "--progress", "json", "--log", "info", *options)
        words = ("get", uri, "--dir", self.dir, "--as", who, "-o", out, *words)
        return self.start("get-" + who, *words, wrapper=self.link.near)
