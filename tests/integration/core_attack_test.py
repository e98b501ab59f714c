#!/usr/bin/env python3
"""Subscribers and strangers who mean ill, with raw sockets, against the running core: nobody but themselves is hurt."""
import hashlib
import os
import re
import socket
import ssl
import threading
import tomllib

from harness import LabTest, main

MADDRS = ["", ";maddr=224.0.0.1", ";maddr=127.0.0.1:{port}", ";received=127.0.0.1;rport={port}", ";maddr=0.0.0.0",
          ";maddr=::1", ";rport"]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Phone:
    """A user agent that says what it is told to. One thread at a time, when it is TLS."""

    count = 0

    def __init__(self, address, name, ca=None):
        host, port = address.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=20)
        self.transport = "TLS" if ca else "TCP"
        self.socket = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=host) if ca else plain
        self.name, self.rest = name, b""

    def close(self):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode())

    def message(self):
        """The next message as (start line, text), or None when the connection is over or silent."""
        try:
            while b"\r\n\r\n" not in self.rest:
                more = self.socket.recv(65536)
                if not more:
                    return None
                self.rest = (self.rest + more).lstrip(b"\r\n")  # answers to keep-alives are skipped
            head, _, rest = self.rest.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?im)^content-length: *(\d+)", head).group(1))
            while len(rest) < length:
                rest += self.socket.recv(65536)
            self.rest = rest[length:]
            return head.decode()
        except (TimeoutError, OSError):
            return None

    def final(self):
        """Status of the next final answer; requests are passed over."""
        while (message := self.message()) is not None:
            found = re.match(r"SIP/2.0 (\d+)", message)
            if found and int(found.group(1)) >= 200:
                return int(found.group(1)), message
        return 0, ""

    def request(self, method, uri, branch, more="", via="", cseq_method=None, to=None):
        Phone.count += 1
        return (f"{method} {uri} SIP/2.0\r\n"
                f"Via: SIP/2.0/{self.transport} 127.0.0.1:5061;branch=z9hG4bK{branch}{via}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:{self.name}@sealcast.test>;tag=f\r\nTo: <{to or uri}>\r\n"
                f"Call-ID: c-{branch}\r\nCSeq: 1 {cseq_method or method}\r\n"
                f"Contact: <sip:x@127.0.0.1:5061>;expires=600\r\n{more}Content-Length: 0\r\n\r\n")

    def register(self, password):
        me = f"sip:{self.name}@sealcast.test"
        Phone.count += 1
        self.send(self.request("REGISTER", "sip:sealcast.test", f"r{Phone.count}", to=me))
        status, answer = self.final()
        if status != 401:
            return status, answer
        nonce = re.search(r'nonce="([^"]+)"', answer).group(1)
        ha1 = sha256(f"{self.name}@sealcast.test:sealcast.test:{password}")
        ha2 = sha256("REGISTER:sip:sealcast.test")
        response = sha256(f"{ha1}:{nonce}:00000001:c:auth:{ha2}")
        self.send(self.request("REGISTER", "sip:sealcast.test", f"s{Phone.count}", to=me, more=(
            f'Authorization: Digest username="{self.name}@sealcast.test", realm="sealcast.test", nonce="{nonce}", '
            f'uri="sip:sealcast.test", response="{response}", algorithm=SHA-256, qop=auth, nc=00000001, '
            'cnonce="c"\r\n')))
        return self.final()


class CoreAttackTest(LabTest):
    def setUp(self):
        super().setUp()
        self.laboratory = self.lab()
        self.process = self.laboratory.up()
        self.laboratory.subscribers("alice", "mallory")
        with open(os.path.join(self.laboratory.dir, "core.toml"), "rb") as handle:
            listen = tomllib.load(handle)["listen"]
        self.tls, self.tcp = listen["ue"], listen.get("ue_tcp")
        self.ca = os.path.join(self.laboratory.dir, "ca", "ca.pem")

    def password(self, name):
        with open(os.path.join(self.laboratory.dir, "subscribers", name, "password"), encoding="utf-8") as handle:
            return handle.read().strip()

    def phone(self, name="mallory", tls=True):
        return Phone(self.tls if tls else self.tcp, name, self.ca if tls else None)

    def registered(self, name="mallory", tls=True):
        phone = self.phone(name, tls)
        status, answer = phone.register(self.password(name))
        self.assertEqual(status, 200, answer)
        return phone

    def everybody_is_served(self):
        self.assertTrue(self.process.running(), self.process.errors()[-3000:])
        phone = self.registered("alice")
        phone.send(phone.request("OPTIONS", "sip:sealcast.test", f"o{Phone.count}"))
        self.assertEqual(phone.final()[0], 200)
        phone.close()

    def test_ack_over_another_connection(self):
        """The library's server transaction met an assertion here, and all of `up` was gone."""
        with socket.create_server(("127.0.0.1", 0)) as trap:
            trap.settimeout(0.5)
            port = trap.getsockname()[1]
            for number, via in enumerate(MADDRS):
                for tls in (True, False) if self.tcp else (True,):
                    a, b = self.registered(tls=tls), self.registered(tls=tls)
                    branch = f"a{number}{tls}"
                    target = f"sip:{('nobody', 'tracker', 'mallory')[number % 3]}@sealcast.test"
                    a.send(a.request("INVITE", target, branch, via=via.format(port=port)))
                    a.close()
                    for method in ("ACK", "ACK", "CANCEL", "INVITE", "ACK"):
                        b.send(b.request(method, target, branch, via=via.format(port=port)))
                    b.send(b.request("OPTIONS", "sip:sealcast.test", "end" + branch))
                    b.final()
                    b.close()
            self.everybody_is_served()
            with self.assertRaises(TimeoutError):  # nobody is called because a Via says so
                trap.accept()

    def test_flood_of_invites_that_ring(self):
        mallory = self.registered(tls=not self.tcp)  # a TLS socket of Python is not for two threads
        seen = []

        def ring():
            while (message := mallory.message()) is not None:
                if message.startswith("INVITE "):
                    kept = ("Via:", "From:", "To:", "Call-ID:", "CSeq:", "Record-Route:")
                    lines = "".join(line + "\r\n" for line in message.split("\r\n")[1:] if line.startswith(kept))
                    try:
                        mallory.send("SIP/2.0 180 Ringing\r\n" + lines + "Content-Length: 0\r\n\r\n")
                    except OSError:
                        return
                seen.append(message.split("\r\n", 1)[0])

        thread = threading.Thread(target=ring)
        thread.start()
        try:
            for number in range(3000):
                mallory.send(mallory.request("INVITE", "sip:mallory@sealcast.test", f"i{number}"))
            self.everybody_is_served()
            status, _ = self.ask_tracker()
            self.assertNotIn(status, (0, 503))
        finally:
            mallory.socket.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.assertTrue(any(line.startswith("SIP/2.0 503") for line in seen), seen[-5:])

    def ask_tracker(self):
        alice = self.registered("alice")
        alice.send(alice.request("OPTIONS", "sip:tracker@sealcast.test", "t"))
        out = alice.final()
        alice.close()
        return out

    def test_wrong_passwords_do_not_lock_out(self):
        owner = self.registered("alice")
        for number in range(12):
            guesser = self.phone("alice")
            status, _ = guesser.register(f"guess {number}")
            self.assertIn(status, (403, 503))
            guesser.close()
        self.assertEqual(owner.register(self.password("alice"))[0], 200)
        self.everybody_is_served()

    def test_sixteen_registrations_and_none_is_displaced(self):
        # An instance of its own for each: the contact is what tells them apart here.
        phones = []
        for number in range(17):
            phone = self.phone()
            original = phone.request
            phone.request = lambda *a, _o=original, _n=number, **k: _o(*a, **k).replace("sip:x@", f"sip:x{_n}@")
            phones.append((phone, phone.register(self.password("mallory"))))
        self.assertEqual([answer[0] for _, answer in phones], [200] * 16 + [503])
        self.assertIn("Retry-After", phones[-1][1][1])
        self.everybody_is_served()

    def test_removed_subscriber_is_out_at_once(self):
        mallory = self.registered()
        self.laboratory.good("subscriber", "remove", "mallory")
        self.assertIsNone(mallory.message())  # closed by the core
        self.everybody_is_served()

    def test_messages_that_the_library_must_not_see(self):
        for text in ("OPTIONS sip:sealcast.test SIP/2.0\r\n" + "X: y\r\n" * 70000,
                     "OPTIONS sip:sealcast.test SIP/2.0\r\n" + "X: " + "y" * 400000,
                     "OPTIONS sip:sealcast.test SIP/2.0\r\nSubject: x\r"
                     "P-Asserted-Identity: <sip:alice@sealcast.test>\r\n\r\n",
                     "OPTIONS sip:sealcast.test SIP/2.0\r\nRoute: " + ",".join(["<sip:a;lr>"] * 5000) + "\r\n\r\n",
                     "\0" * 400, "\r\n" * 5000):
            phone = self.phone()
            try:
                phone.send(text)
                phone.socket.settimeout(0.2)
                phone.message()
            except OSError:
                pass
            phone.close()
        self.everybody_is_served()


if __name__ == "__main__":
    main()
