"""SIGINT, SIGTERM and SIGHUP at every moment, from the first instruction of the program on."""
import os
import signal
import subprocess

from harness import PATIENCE, SEALCAST, LabTest, main, make_file, sha256, wait_until

OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals(LabTest):
    def begun_with(self, number, *arguments):
        """The program, with a signal that waits for its first instruction: blocked over exec until it is unblocked."""
        def block():
            signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
            os.kill(os.getpid(), number)

        return subprocess.run([SEALCAST, *arguments], preexec_fn=block, capture_output=True, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)

    def test_first_instruction(self):
        """A node ends as one that was told to stop; its laboratory is whole, or not there."""
        for number in (signal.SIGINT, signal.SIGTERM):
            lab = self.lab("lab" + number.name)
            done = self.begun_with(number, "up", "--dir", lab.dir)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = self.begun_with(number, "ls", "--dir", lab.dir)
            self.assertEqual((done.returncode, done.stdout), (7, ""), done.stderr)
            self.assertIn("interrupted", done.stderr)
            lab.up()
        for arguments in (("get", "sealcast:" + "A" * 43 + "@sealcast.test"), ("seed",)):
            done = self.begun_with(signal.SIGTERM, *arguments, "--dir", self.path("none"), "--as", "alice")
            self.assertEqual(done.returncode, 7, done.stderr)

    def test_hangup_before_anything(self):
        lab = self.lab()
        self.assertEqual(self.begun_with(signal.SIGHUP, "init", "--dir", lab.dir).returncode, 0)
        self.assertEqual(self.begun_with(signal.SIGHUP, "--version").returncode, 0)

    def test_hangup_never_kills(self):
        lab = self.lab()
        roles = lab.split()
        lab.subscribers("alice")
        source = make_file(self.path("film.mp4"), 4 << 20)
        uri = lab.publish(source, "--entitle", "alice", "--socket", lab.socket())
        get = lab.start_get(uri, "alice", self.path("copy"), "--max-download-limit", "2M")
        get.wait_progress(1 << 20)
        for process in (*roles, get):
            process.process.send_signal(signal.SIGHUP)
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("copy")), sha256(source))
        for process in roles:
            self.assertTrue(process.running(), process.errors())
            self.assertEqual(process.interrupt(), 0, process.errors())

    def test_second_signal_ends_at_once(self):
        lab = self.lab()
        up = lab.up()
        up.process.send_signal(signal.SIGSTOP)
        up.process.send_signal(signal.SIGTERM)
        up.process.send_signal(signal.SIGINT)
        up.go_on()
        self.assertIn(up.wait(), (0, -signal.SIGINT, -signal.SIGTERM))

    def holder(self, lab):
        """Who has taken the directory's lock."""
        try:
            with open(os.path.join(lab.dir, "lock"), encoding="ascii") as lock:
                return int(lock.read() or 0)
        except FileNotFoundError:
            return 0

    def test_at_any_moment(self):
        """Whenever a signal comes while a laboratory is made and started: a clean end, and it can be started again."""
        lab = self.lab()
        for step in range(12):
            up = lab.start("up", "up", "--dir", lab.dir)
            mark = os.path.join(lab.dir, ("ca/ca.pem", "trust.json", "core.toml", "laboratory.json", "admin.sock",
                                          "core/subscribers.db")[step % 6])
            wait_until("up to have begun", lambda: self.holder(lab) == up.process.pid)
            wait_until(mark, lambda: os.path.exists(mark))
            up.process.send_signal(signal.SIGTERM if step % 2 else signal.SIGINT)
            self.assertEqual(up.wait(), 0, up.errors())
        lab.up()


if __name__ == "__main__":
    main()
