"""A core that vanishes: what `get` says of it, and what is left at the tracker when an answer never came."""
import os
import signal
import socket
import threading

from harness import LabTest, main, make_file, sha256, wait_until
from proxy import StreamProxy

SLOW = ("--max-download-limit", "400k")
VANISHED = r"connection refused by|was lost|was closed|no answer|cannot reach|cannot connect"


class LostCore(LabTest):
    def begun(self, *options):
        lab = self.lab()
        self.core, self.tracker, self.cache = lab.split()
        lab.subscribers("alice", "bob")
        self.source = make_file(self.path("film"), 4 << 20)
        self.uri = lab.publish(self.source, "--public", "--socket", lab.socket(), *options)
        return lab

    def through(self, lab, address, **more):
        """The subscribers' file with another address of the core."""
        path = os.path.join(lab.dir, "ue.toml")
        with open(path, encoding="utf-8") as handle:
            lines = handle.read().splitlines()
        more["core"] = address
        lines = [line for line in lines if line.split(" ")[0] not in more]
        with open(path, "w", encoding="utf-8") as handle:
            handle.write("\n".join([*lines, *(f'{name} = "{value}"' for name, value in more.items())]) + "\n")

    def address(self, lab, listener):
        with open(os.path.join(lab.dir, "core.toml"), encoding="utf-8") as handle:
            line = next(each for each in handle if each.startswith(listener + " = "))
        return line.split('"')[1]

    def named(self, code, text):
        """It is the network, and nothing is said of certificates or of who may have what."""
        self.assertEqual(code, 5, text)
        self.assertRegex(text, VANISHED)
        for wrong in ("refuses our certificate", "is not signed by", "not entitled", "password"):
            self.assertNotIn(wrong, text)

    def test_before_it_is_asked(self):
        lab = self.begun()
        self.core.kill()
        done = lab.get(self.uri, "alice", self.path("a"))
        self.named(done.code, done.err)
        self.assertRegex(done.json["error"], "is the core running")

    def test_while_tls_is_agreed_on(self):
        """Something takes connections and ends them at once, or in the middle of the handshake."""
        lab = self.begun()
        for octets in (0, 1, 200):
            with socket.create_server(("127.0.0.1", 0)) as listener:

                def run(listener=listener, octets=octets):
                    try:
                        while True:
                            wire, _ = listener.accept()
                            if octets:
                                wire.recv(octets)
                            wire.close()
                    except OSError:
                        pass

                threading.Thread(target=run, daemon=True).start()
                self.through(lab, f"127.0.0.1:{listener.getsockname()[1]}")
                done = lab.get(self.uri, "alice", self.path("a"))
                self.named(done.code, done.err)
                listener.shutdown(socket.SHUT_RDWR)

    def test_after_tls(self):
        """The handshake is done, and then there is nobody: while the subscriber registers, and from then on."""
        lab = self.begun()
        seen = [0]

        def watch(octets, to_target):
            seen[0] += len(octets) if to_target else 0
            return octets if seen[0] < 1200 else None

        self.through(lab, StreamProxy(self.address(lab, "ue"), watch).address)
        done = lab.get(self.uri, "alice", self.path("a"))
        self.named(done.code, done.err)

    def test_one_that_is_stopped(self):
        lab = self.begun()
        self.core.process.send_signal(signal.SIGSTOP)
        done = lab.get(self.uri, "alice", self.path("a"))
        self.core.go_on()
        self.named(done.code, done.err)

    def test_in_a_transfer(self):
        """What is under way goes on without a core; it is said that it was lost, and nothing else is said of it."""
        lab = self.begun()
        get = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        get.wait_progress(400_000)
        self.core.kill()
        wait_until("the loss", lambda: "was lost" in get.errors() or not get.running())
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("a")), sha256(self.source))
        self.assertNotIn("certificate", get.errors())
        self.assertRegex(get.errors(), VANISHED)

    def test_one_that_comes_back(self):
        """Who registers over a new connection is who he was: his subscription takes the place of the earlier one."""
        lab = self.begun()
        get = lab.start_get(self.uri, "alice", self.path("a"), *SLOW)
        get.wait_progress(200_000)

        def table():
            status, _, document = lab.api("GET", "status", "tracker")
            return document["tracker"]["subscription_table"] if status == 200 else {}

        self.assertEqual(table()["size"], 1)
        self.core.kill()
        wait_until("the loss", lambda: "was lost" in get.errors() or not get.running())
        self.core = lab.role("core")
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertIn("registered as", get.errors().split("was lost")[-1])
        # Never two. One is left when the get ended before it could subscribe anew: what was cut off with the core ends
        # with its time.
        self.assertEqual(table()["peak"], 1)

    def test_an_announcement_whose_answer_is_lost(self):
        """It is made again under its name, and there is one of it at the tracker."""
        lab = self.begun("--protect", "none")
        lab.get_good(self.uri, "alice", self.path("a"))
        state = {"cut": 0, "swallow": False}

        def watch(octets, to_target):
            if to_target and b"PUBLISH sip:" in octets and state["cut"] < 2:
                state["swallow"] = True
                state["cut"] += 1
                threading.Timer(1, cut).start()
            return b"" if state["swallow"] and not to_target else octets

        def cut():
            state["swallow"] = False
            proxy.cut()

        proxy = StreamProxy(self.address(lab, "ue_tcp"), watch)
        self.through(lab, proxy.address, transport="tcp")
        lab.seed("alice", self.uri)
        self.assertEqual(state["cut"], 2)

        def table():
            status, _, document = lab.api("GET", "status", "tracker")
            return document["tracker"]["announcements"] if status == 200 else {}

        # The cache's and alice's.
        self.assertEqual((table()["size"], table()["peak"]), (2, 2))


if __name__ == "__main__":
    main()
