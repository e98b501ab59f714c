"""Who holds the admin socket of a running node: bounded connections, header and body; others are served meanwhile."""
import os
import socket

from harness import LabTest, main, make_file, read_to_end, sha256

MOST = 64


class AdminSocket(LabTest):
    def begun(self):
        lab = self.lab()
        self.process = lab.up()
        lab.subscribers("alice")
        self.source = make_file(self.path("film"), 100_000)
        self.uri = lab.publish(self.source, "--public")
        return lab

    def connect(self, lab):
        wire = socket.socket(socket.AF_UNIX)
        wire.settimeout(20)
        wire.connect(os.path.join(lab.dir, "admin.sock"))
        return wire

    def answer(self, wire):
        return read_to_end(wire).split(b"\r\n", 1)[0].decode()

    def served(self, lab):
        out = self.path("copy")
        lab.get_good(self.uri, "alice", out)
        self.assertEqual(sha256(out), sha256(self.source))
        os.remove(out)

    def test_silent_connections(self):
        lab = self.begun()
        held = [self.connect(lab) for _ in range(MOST)]
        for wire in held[::2]:
            wire.sendall(b"GET /api/v1/status HTTP/1.1\r\nX-Slow: ")
        self.assertEqual(self.answer(self.connect(lab)), "HTTP/1.1 429 Too Many Requests")
        refused = lab.run("status")
        self.assertNotEqual(refused.code, 0)
        self.assertIn(f"{MOST} connections", refused.err)
        self.served(lab)  # who wants a content asks nothing there
        for wire in held:
            wire.close()
        lab.good("status")

    def test_what_is_too_large(self):
        lab = self.begun()
        for request, status in (
            (b"GET /api/v1/status HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "431"),
            (b"GET /api/v1/status HTTP/1.1\r\n" + b"X: y\r\n" * 4000 + b"\r\n", "431"),
            (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", "431"),
            (b"PUT /api/v1/keys/x HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", "413"),
            (b"PUT /api/v1/keys/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"z" * 65536 +
             b"\r\n" + (b"10000\r\n" + b"z" * 65536 + b"\r\n") * 20, "413"),
            (b"\0" * 100, "400"),
            (b"GET /api/v1/%00 HTTP/1.1\r\n\r\n", "400"),
        ):
            wire = self.connect(lab)
            try:
                wire.sendall(request)
            except OSError:
                pass
            self.assertEqual(self.answer(wire).split(" ")[1:2], [status], request[:60])
        lab.good("status")
        self.served(lab)

    def test_many_after_each_other(self):
        lab = self.begun()
        descriptors = f"/proc/{self.process.process.pid}/fd"
        before = len(os.listdir(descriptors))
        for number in range(500):
            wire = self.connect(lab)
            if number % 2:
                wire.sendall(b"PUT /api/v1/contents/x/object HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc")
            wire.close()
        lab.good("status")
        self.assertLessEqual(len(os.listdir(descriptors)), before + 8)
        self.served(lab)


if __name__ == "__main__":
    main()
