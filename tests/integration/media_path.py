"""A path for the media of a service's calls that loses, doubles and turns datagrams around: stands between the core and
the service, passes on what they say to each other, and puts itself into the SDP of both sides. It has the certificates
of both, as only a laboratory's owner has them."""
import contextlib
import heapq
import os
import random
import re
import selectors
import socket
import ssl
import threading
import time

from harness import serve_each

CONTENT_LENGTH = re.compile(rb"(?im)^(content-length|l)[ \t]*:[ \t]*(\d+)")
ADDRESS, PORT = re.compile(rb"(?m)^c=IN IP4 (\S+)\r?$"), re.compile(rb"(?m)^m=application (\d+)")
IDLE = 90  # seconds until a pair of sockets that carries nothing is given up


def messages(pending):
    """Whole SIP messages (header, body) at the front, and what is left."""
    out = []
    while True:
        pending = pending.lstrip(b"\r\n")
        head, found, rest = pending.partition(b"\r\n\r\n")
        if not found:
            return out, pending
        length = int(CONTENT_LENGTH.search(head).group(2))
        if len(rest) < length:
            return out, pending
        out.append((head, rest[:length]))
        pending = rest[length:]


class Datagrams:
    """Pairs of sockets: what comes to one goes out of the other, in time or later, once, twice or never."""

    def __init__(self, host="127.0.0.1"):
        self.host, self.loss, self.double, self.late = host, 0.0, 0.0, 0.0
        self.source, self.lock = random.Random(1), threading.Lock()
        self.selector, self.waiting, self.count = selectors.DefaultSelector(), [], 0
        self.passed = self.lost = 0
        threading.Thread(target=self.run, daemon=True).start()

    def quiet(self):
        self.loss = self.double = self.late = 0.0

    def pair(self):
        """Two ends: [socket, where its partner's datagrams go to]."""
        ends = []
        for _ in range(2):
            end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            end.bind((self.host, 0))
            end.setblocking(False)
            ends.append({"socket": end, "to": None, "active": time.monotonic()})
        ends[0]["other"], ends[1]["other"] = ends[1], ends[0]
        with self.lock:
            for end in ends:
                self.selector.register(end["socket"], selectors.EVENT_READ, end)
        return ends

    def run(self):
        while True:
            with self.lock:
                empty = not self.selector.get_map()
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else 0.2
            if empty:
                time.sleep(0.05)
            for key, _ in [] if empty else self.selector.select(min(wait, 0.2)):
                self.take(key.data)
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                self.put(*heapq.heappop(self.waiting)[2:])
            self.tidy()

    def take(self, end):
        for _ in range(64):
            try:
                octets = end["socket"].recv(65536)
            except OSError:
                return
            end["active"] = time.monotonic()
            if self.source.random() < self.loss:
                self.lost += 1
                continue
            for _ in range(2 if self.source.random() < self.double else 1):
                if self.source.random() < self.late:
                    self.count += 1
                    due = time.monotonic() + self.source.uniform(0.001, 0.04)
                    heapq.heappush(self.waiting, (due, self.count, end["other"], octets))
                else:
                    self.put(end["other"], octets)

    def put(self, end, octets):
        if end["to"]:
            self.passed += 1
            with contextlib.suppress(OSError):
                end["socket"].sendto(octets, end["to"])

    def tidy(self):
        old = time.monotonic() - IDLE
        with self.lock:
            idle = [key.data for key in self.selector.get_map().values()
                    if max(key.data["active"], key.data["other"]["active"]) < old]
            for end in idle:
                self.selector.unregister(end["socket"])
                end["socket"].close()


class MediaPath:
    """`address`: where the core looks for the service; `target`: where the service listens."""

    def __init__(self, lab, service, address, target, datagrams):
        self.target, self.datagrams, self.calls = target, datagrams, {}
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(os.path.join(lab.dir, service, "tls", "agent.pem"))
        self.server.load_verify_locations(os.path.join(lab.dir, "ca", "ca.pem"))
        self.server.verify_mode = ssl.CERT_OPTIONAL
        self.client = ssl.create_default_context(cafile=os.path.join(lab.dir, "ca", "ca.pem"))
        self.client.load_cert_chain(os.path.join(lab.dir, "core", "tls", "agent.pem"))
        host, port = address.rsplit(":", 1)
        self.listener = socket.create_server((host, int(port)))
        serve_each(self.listener, self.serve)

    def serve(self, wire):
        """One thread for both directions: a TLS socket of Python is not for two."""
        host, port = self.target.rsplit(":", 1)
        with contextlib.suppress(OSError, ssl.SSLError, AttributeError):
            wire.settimeout(20)
            with self.server.wrap_socket(wire, server_side=True) as core:
                far = socket.create_connection((host, int(port)), 5)
                with self.client.wrap_socket(far, server_hostname=host) as to:
                    self.carry(core, to)

    def carry(self, core, service):
        selector, pending = selectors.DefaultSelector(), {core: b"", service: b""}
        for each in pending:
            selector.register(each, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                source = key.fileobj
                sink = service if source is core else core
                octets = source.recv(65536)
                if not octets:
                    return
                while source.pending():
                    octets += source.recv(65536)
                whole, pending[source] = messages(pending[source] + octets)
                for head, body in whole:
                    sink.sendall(self.rewritten(head, body))

    def rewritten(self, head, body):
        if PORT.search(body) and (re.match(rb"INVITE ", head) or re.search(rb"(?im)^cseq:.*INVITE", head)):
            call = re.search(rb"(?im)^(?:call-id|i)[ \t]*:[ \t]*(\S+)", head).group(1)
            offer = not head.startswith(b"SIP/2.0 ")
            if offer and call not in self.calls:
                self.calls[call] = self.datagrams.pair()
            if call in self.calls:
                # The first end stands for the caller, the second one for the callee.
                mine, theirs = self.calls[call] if offer else self.calls[call][::-1]
                theirs["to"] = (ADDRESS.search(body).group(1).decode(), int(PORT.search(body).group(1)))
                host, port = mine["socket"].getsockname()
                body = ADDRESS.sub(b"c=IN IP4 " + host.encode() + b"\r", body)
                body = PORT.sub(b"m=application " + str(port).encode(), body)
                head = CONTENT_LENGTH.sub(lambda found: found.group(1) + b": " + str(len(body)).encode(), head)
        return head + b"\r\n\r\n" + body
