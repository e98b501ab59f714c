#!/usr/bin/env python3
"""Subscribers and strangers who mean ill, with raw sockets, against the running core: nobody but themselves is hurt."""
import re
import socket
import threading

from harness import LabTest, main
from phone import Callers, Phone

MADDRS = ["", ";maddr=224.0.0.1", ";maddr=127.0.0.1:{port}", ";received=127.0.0.1;rport={port}", ";maddr=0.0.0.0",
          ";maddr=::1", ";rport"]


class CoreAttackTest(Callers, LabTest):
    def setUp(self):
        super().setUp()
        self.laboratory = self.lab()
        self.process = self.laboratory.up()
        self.laboratory.subscribers("alice", "mallory")
        self.read_addresses()

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
            phones.append((phone, phone.register(self.password("mallory"), f"x{number}")))
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
