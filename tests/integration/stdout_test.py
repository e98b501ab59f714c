"""What cannot be written is an error, in every command; descriptors 0 to 2 may be closed from the beginning."""
import os
import signal
import subprocess

from harness import PATIENCE, SEALCAST, LabTest, main, make_file, sha256, wait_until

FULL, FAILURE = 9, 1


class Stdout(LabTest):
    def laboratory(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        self.source = make_file(self.path("film.mp4"), 100_000)
        self.uri = lab.publish(self.source, "--entitle", "alice")
        return lab

    def into(self, where, *arguments):
        """Exit code and what was said; standard output is "full", "closed" or "gone" (a pipe without a reader)."""
        command = [SEALCAST, *arguments]
        more = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "timeout": PATIENCE, "text": True,
                "check": False}
        if where == "closed":
            done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], **more)
        elif where == "full":
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command, stdout=full, **more)
        else:
            reading, writing = os.pipe()
            os.close(reading)
            done = subprocess.run(command, stdout=writing, **more)
            os.close(writing)
        return done.returncode, done.stderr

    def test_every_command(self):
        lab = self.laboratory()
        here = ("--dir", lab.dir)
        config = os.path.join(lab.dir, "cache.toml")
        commands = [("ls", *here), ("show", self.uri, *here), ("status", *here), ("audit", "query", "--json", *here),
                    ("key", "list", *here), ("entitle", self.uri, "alice", *here), ("subscriber", "list", *here),
                    ("config", "check", config), ("--version",), ("--help",), ("--man",), ("get", "--help"),
                    ("ls", "--json", *here), ("status", "--json", *here), ("subscriber", "list", "--json", *here)]
        for command in commands:
            code, said = self.into("full", *command)
            self.assertEqual(code, FULL, (command, said))
            self.assertIn("cannot write to standard output: No space left on device", said)
            code, said = self.into("closed", *command)
            self.assertEqual(code, FAILURE, (command, said))
            self.assertIn("cannot write to standard output", said)
            # Who does not read any more wants no sentence.
            code, said = self.into("gone", *command)
            self.assertEqual((code, said), (FAILURE, ""), command)

    def test_the_uri_is_not_lost(self):
        lab = self.laboratory()
        for arguments in ((), ("--json",)):
            code, said = self.into("full", "publish", self.source, "--public", "--dir", lab.dir, *arguments)
            self.assertEqual(code, FULL, said)
            self.assertRegex(said, "published as sealcast:[A-Za-z0-9_-]{43}@sealcast.test")

    def test_get_json(self):
        lab = self.laboratory()
        out = self.path("copy")
        code, said = self.into("full", "get", self.uri, "--as", "alice", "-o", out, "--json", "--dir", lab.dir)
        self.assertEqual(code, FULL, said)
        self.assertEqual(sha256(out), sha256(self.source))

    def test_ready_line(self):
        lab = self.lab()
        code, said = self.into("full", "up", "--dir", lab.dir)
        self.assertEqual(code, FULL, said)
        self.assertIn("cannot write to standard output", said)
        code, said = self.into("gone", "core", "-c", os.path.join(lab.dir, "core.toml"))
        self.assertEqual(code, FAILURE, said)

    def test_nothing_is_open(self):
        """Started without descriptors 0 to 2: it runs, and no line of a log lands in a database or a socket."""
        lab = self.lab()
        closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", SEALCAST)
        with subprocess.Popen([*closed, "up", "--dir", lab.dir, "--log", "debug"]) as up:
            wait_until("the node", lambda: os.path.exists(os.path.join(lab.dir, "admin.sock")))
            for descriptor in "012":
                self.assertEqual(os.readlink(f"/proc/{up.pid}/fd/{descriptor}"), "/dev/null")
            lab.subscribers("alice")
            source = make_file(self.path("film.mp4"), 100_000)
            uri = lab.publish(source, "--entitle", "alice")
            out = self.path("copy")
            done = subprocess.run([*closed, "get", uri, "--as", "alice", "-o", out, "--dir", lab.dir],
                                  timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(sha256(out), sha256(source))
            up.send_signal(signal.SIGTERM)
            self.assertEqual(up.wait(PATIENCE), 0)
        lab.up()
        self.assertEqual(len(lab.good("ls", "--json").json["contents"]), 1)

    def test_files_that_are_too_large(self):
        """RLIMIT_FSIZE: a sentence, not SIGXFSZ."""
        lab = self.laboratory()
        big = make_file(self.path("big.bin"), 3 << 20)
        uri = lab.publish(big, "--entitle", "alice")
        out = self.path("copy")
        done = lab.get(uri, "alice", out, wrapper=("prlimit", "--fsize=1048576"))
        self.assertGreater(done.code, 0, done.err)
        self.assertIn("File too large", done.err)
        self.assertFalse(os.path.exists(out))
        lab.get_good(uri, "alice", out, "-c")
        self.assertEqual(sha256(out), sha256(big))


if __name__ == "__main__":
    main()
