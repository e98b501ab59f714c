"""Clocks that step, and processes that are stopped for a while: what is under way goes on."""
import os
import signal
import time

from harness import LabTest, faketime, main, make_file, sha256, wait_until

SIZE = 8 << 20
HOUR = 3600


class Clock(LabTest):
    def begun(self, *options):
        lab = self.lab()
        roles = lab.split()
        lab.subscribers("alice", "bob")
        self.source = make_file(self.path("film.mp4"), SIZE)
        uri = lab.publish(self.source, "--entitle", "alice", "--entitle", "bob", "--socket", lab.socket())
        get = lab.start_get(uri, "alice", self.path("alice"), "--max-download-limit", "1M", *options)
        get.wait_progress(1 << 20)
        return lab, uri, get, roles

    def stopped(self, process, seconds):
        """The length of the stop is what is tested, not a wait for something."""
        process.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.go_on()

    def test_stopped_get(self):
        """Stopped for longer than its patience: a deadline over a time in which nobody ran starts anew."""
        lab, uri, get, _ = self.begun("--stall-timeout", "8")
        self.stopped(get, 20)
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))
        self.assertIn("nobody ran for a while", get.errors())

    def test_stopped_roles(self):
        lab, uri, get, roles = self.begun()
        for role in roles:
            self.stopped(role, 8)
        self.assertEqual(get.wait(), 0, get.errors())
        lab.get_good(uri, "bob", self.path("bob"))
        self.assertEqual(sha256(self.path("bob")), sha256(self.source))

    def test_a_clock_that_is_wrong(self):
        """A key request that is too old or too early: it is the clock, and not that somebody is not entitled."""
        library = faketime()
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        uri = lab.publish(make_file(self.path("film.mp4"), 50_000), "--entitle", "alice")
        fake = {"LD_PRELOAD": library, "FAKETIME": "+200s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1"}
        done = lab.get(uri, "alice", self.path("alice"), env=fake)
        self.assertEqual(done.code, 11, done.err)
        self.assertIn("are the clocks right?", done.json["error"])
        lab.get_good(uri, "alice", self.path("alice"))

    def test_wall_clock_steps(self):
        """An hour to and fro under a whole laboratory: timers of SIP and ours go by the monotonic clock."""
        library = faketime()
        clock = self.path("clock")

        def step(offset):
            with open(clock + ".new", "w", encoding="ascii") as handle:
                handle.write(f"{offset:+d}\n")
            os.rename(clock + ".new", clock)

        step(0)
        fake = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
                "NO_FAKE_STAT": "1"}  # the times of files do not step with a clock
        lab = self.lab()
        up = lab.start("up", "up", "--dir", lab.dir, "--log", "info", env=fake).wait_ready()
        lab.subscribers("alice", "bob", "carol")
        source = make_file(self.path("film.mp4"), SIZE)
        # Who publishes says when: all have the same clock.
        who = [word for name in ("alice", "bob", "carol") for word in ("--entitle", name)]
        uri = lab.good("publish", source, *who, "--progress", "none", env=fake).out.strip()
        lab.get_good(uri, "bob", self.path("bob"), env=fake)
        seed = lab.start("seed", "seed", uri, "--dir", lab.dir, "--as", "bob", "--log", "info", env=fake).wait_ready()
        get = lab.start("get", "get", uri, "--dir", lab.dir, "--as", "alice", "-o", self.path("alice"), "--json",
                        "--max-download-limit", "1M", "--progress", "json", "--log", "info", env=fake)
        get.wait_progress(1 << 20)
        step(HOUR)
        get.wait_progress(3 << 20)
        step(-HOUR)
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("alice")), sha256(source))
        for process in (up, seed):
            self.assertTrue(process.running(), process.errors())
        step(0)
        wait_until("the tracker's word", lambda: lab.get(uri, "carol", self.path("carol"), env=fake).code == 0)
        self.assertEqual(sha256(self.path("carol")), sha256(source))


if __name__ == "__main__":
    main()
