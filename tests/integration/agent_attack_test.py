#!/usr/bin/env python3
"""The SIP side of tracker, cache and UEs: who may talk to it, what strangers cost, and that a UE has no listener."""
import glob
import os
import shutil
import socket
import ssl

from harness import LabTest, main, make_file, wait_until
from phone import Callers, Phone
from torture_test import Tormentor

MIB = 1 << 20
SILENT, HANDSHAKES = 400, 300


def listening(process):
    """Addresses of TCP listeners of a process, as the kernel writes them."""
    own = set()
    for path in glob.glob(f"/proc/{process.process.pid}/fd/*"):
        try:
            own.add(os.readlink(path))
        except OSError:
            pass  # closed meanwhile
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as handle:
            for words in map(str.split, list(handle)[1:]):
                if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                    found.append(words[1])
    return found


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class AgentAttackTest(Callers, Tormentor, LabTest):
    def setUp(self):
        super().setUp()
        self.laboratory = self.lab()
        self.core, self.tracker_process, self.cache_process = self.laboratory.split()
        self.read_addresses()
        self.laboratory.subscribers("alice", "bob")
        film = make_file(self.path("film"), 300_000)
        self.uri = self.laboratory.publish(film, "--public", "--socket", self.laboratory.socket())

    def everybody_is_served(self):
        for process in (self.core, self.tracker_process, self.cache_process):
            self.assertTrue(process.running(), process.errors()[-3000:])
        Phone.count += 1
        self.laboratory.get_good(self.uri, "alice", self.path(f"copy{Phone.count}"))

    def services(self):
        return ((self.tracker, self.tracker_process), (self.cache, self.cache_process))

    def test_a_ue_listens_for_nothing(self):
        self.assertEqual(len(listening(self.tracker_process)), 1)
        seed = self.laboratory.seed("bob", self.uri)
        get = self.laboratory.start_get(self.uri, "alice", self.path("slow"), "--max-download-limit", "100K")
        get.wait_progress(1)
        self.assertEqual((listening(seed), listening(get)), ([], []))
        self.assertEqual(get.wait(), 0, get.errors())

    def test_silent_connections(self):
        self.everybody_is_served()
        before = [process.memory() for _, process in self.services()]
        connections = []
        for address, _ in self.services():
            host, port = address.rsplit(":", 1)
            connections += [socket.create_connection((host, int(port)), 10) for _ in range(SILENT)]
        try:
            for connection in connections:
                connection.setblocking(False)
            # One address has a share, and the newest ones displace the oldest.
            wait_until("the oldest to be closed", lambda: sum(map(is_closed, connections)) >= 2 * (SILENT - 256))
            self.everybody_is_served()
            for (_, process), old in zip(self.services(), before):
                self.grew_less(process, old, 20 * MIB)
            wait_until("all of them to be closed", lambda: all(map(is_closed, connections)), 90)
        finally:
            for connection in connections:
                connection.close()

    def test_handshakes_without_a_certificate(self):
        context = ssl.create_default_context(cafile=self.ca)
        for address, process in self.services():
            host, port = address.rsplit(":", 1)

            def knock(host=host, port=port):
                try:
                    with context.wrap_socket(socket.create_connection((host, int(port)), 10),
                                             server_hostname=host) as wire:
                        wire.sendall(b"OPTIONS sip:x@sealcast.test SIP/2.0\r\n\r\n")
                        return wire.recv(1)
                except OSError:
                    return b""

            for _ in range(20):
                self.assertEqual(knock(), b"")
            before = process.memory()
            for _ in range(HANDSHAKES):
                self.assertEqual(knock(), b"")
            self.grew_less(process, before, 10 * MIB)
        self.everybody_is_served()

    def test_a_certificate_of_another_name(self):
        stranger = Phone(self.tracker, "mallory", self.ca, self.certificate("cache"))
        status, answer = stranger.ask("MESSAGE", "sip:tracker@sealcast.test",
                                      more="P-Asserted-Identity: <sip:alice@sealcast.test>\r\n")
        self.assertEqual(status, 403, answer)
        self.assertIsNone(stranger.message(), "and the connection ends")
        self.assertEqual(self.as_core(self.tracker).ask("OPTIONS", "sip:tracker@sealcast.test")[0], 200)

    def test_the_messages_of_rfc_4475(self):
        for address, _ in self.services():
            self.torture(lambda address=address: self.as_core(address), 1)
        self.everybody_is_served()

    def test_renewed_certificates_cut_nothing(self):
        for place, address, process in (("tracker", self.tracker, self.tracker_process),
                                        ("cache", self.cache, self.cache_process)):
            phone = self.as_core(address)
            self.assertEqual(phone.ask("OPTIONS", f"sip:{place}@sealcast.test")[0], 200)
            own = self.certificate(place)
            with open(own, "a", encoding="ascii") as handle:
                handle.write("\n")
            shutil.copy(own, own + ".new")
            os.replace(own + ".new", own)
            wait_until("the new files to be taken up",
                       lambda process=process: "goes on with its new files" in process.errors())
            self.assertEqual(phone.ask("OPTIONS", f"sip:{place}@sealcast.test")[0], 200, "the old connection lives")
            self.assertEqual(self.as_core(address).ask("OPTIONS", f"sip:{place}@sealcast.test")[0], 200)
        self.everybody_is_served()


if __name__ == "__main__":
    main()
