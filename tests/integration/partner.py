"""A partner of our own on a plain association: asks the tracker for peers, calls one of them, and then sends datagrams
as it is told. For contents without session protection."""
import base64
import itertools
import json
import random
import re
import socket
import struct
import threading
import time

from phone import header

K_PEERS = "Event: p2pcds-peers\r\nContent-Type: application/vnd.p2pcds.peer+json\r\n"
HANDSHAKE, DATA, ACK, HAVE, INTEGRITY, REQUEST, CANCEL, CHOKE, UNCHOKE = 0, 1, 2, 3, 4, 8, 9, 10, 11
OFFER = """v=0
o=- 1 1 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=application {port} RTP/AVPF 98
a=rtpmap:98 vnd.p2pcds.ppspp/1000000
a=rtcp-fb:* ack ccfb
a=fmtp:98 ver=1; cam=2; mhf=2; maxdg=1204; ig=run; role=both
a=ssrc:{ssrc} cname:partner
a=rtcp-mux
a=sendrecv
"""


def b64u(octets):
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def from_b64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def payload_of(jws):
    return json.loads(from_b64u(jws.split(".")[1]))


def ranges(kind, pairs):
    """HAVE, REQUEST or CANCEL for each pair of chunks."""
    return b"".join(struct.pack(">BII", kind, first, last) for first, last in pairs)


def handshake(channel, chunk_size, swarm=None):
    """With the swarm it is the initiator's."""
    supported = bytes([0b11111000, 0b11110000, *[0] * 23, 0b10000000])
    begin = b"\0\1\1\1\2\0\x20" + swarm if swarm else b"\0\1"
    return (struct.pack(">BI", HANDSHAKE, channel) + begin + b"\3\1\4\2\6\2\x08\x1a" + supported + b"\x09" +
            struct.pack(">I", chunk_size) + b"\xff")


def requests_in(messages):
    """The ranges that are asked for in the messages of a datagram."""
    sizes = {ACK: 17, HAVE: 9, INTEGRITY: 41, REQUEST: 9, CANCEL: 9, CHOKE: 1, UNCHOKE: 1}
    out = []
    while messages and messages[0] in sizes:
        if messages[0] == REQUEST and len(messages) >= 9:
            out.append(struct.unpack(">II", messages[1:9]))
        messages = messages[sizes[messages[0]]:]
    return out


class Line:
    """What comes over a phone's connection, read by one thread: requests are answered 200 and kept, answers go to who
    waits for them. TCP only: a TLS socket of Python is not for two threads."""

    def __init__(self, phone):
        self.phone, self.answers, self.came, self.changed = phone, {}, [], threading.Condition()
        self.ringing = False  # INVITEs are left at 180 then
        self.play = None  # header, body -> (status, more lines, body) of the answer to an INVITE; None: 200 to all
        self.count = itertools.count()
        self.lock = threading.Lock()
        phone.socket.settimeout(None)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while (head := self.phone.message()) is not None:
            if head.startswith("SIP/2.0 "):
                self.note(head)
                continue
            with self.changed:
                self.came.append((head, self.phone.body))
                self.changed.notify_all()
            if not head.startswith("ACK "):
                status, more, body = "200 OK", "", ""
                if head.startswith("INVITE "):
                    status = "180 Ringing" if self.ringing else status
                    if self.play:
                        status, more, body = self.play(head, self.phone.body.decode())
                try:
                    with self.lock:
                        self.phone.answer(head, status, more=more, body=body)
                except OSError:
                    return

    def note(self, head):
        if int(head.split(" ")[1]) >= 200:
            with self.changed:
                self.answers[header(head, "call-id", "i")] = (head, self.phone.body)
                self.changed.notify_all()

    def send(self, text):
        with self.lock:
            self.phone.send(text)

    def wait(self, condition, patience=30):
        with self.changed:
            if not self.changed.wait_for(condition, patience):
                raise AssertionError("nothing came")

    def begin(self, method, uri, **more):
        """Sends a request; returns its Call-ID."""
        branch = f"{self.phone.name}{id(self)}x{next(self.count)}"
        self.send(self.phone.request(method, uri, branch, **more))
        return "c-" + branch

    def ask(self, method, uri, **more):
        """Status, header and body of the final answer."""
        call = self.begin(method, uri, **more)
        self.wait(lambda: call in self.answers)
        head, body = self.answers[call]
        return int(head.split(" ")[1]), head, body


class Partner:
    def __init__(self, line, root, host="127.0.0.1"):
        self.line, self.root, self.host = line, root, host
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind((host, 0))
        self.media.settimeout(10)
        self.ssrc, self.sequence = random.getrandbits(31) | 1, random.getrandbits(14)
        self.channel, self.theirs, self.remote = random.getrandbits(31) | 1, 0, None

    def close(self):
        self.media.close()

    def peers(self):
        """The tracker's list, with tokens."""
        before = len(self.line.came)
        status, head, _ = self.line.ask(
            "SUBSCRIBE", f"sip:tracker@{self.line.phone.domain}", more="Expires: 0\r\n" + K_PEERS,
            body=json.dumps({"v": 1, "id": self.root}))
        if status >= 300:
            raise AssertionError(head)

        def listed():
            return [body for each, body in self.line.came[before:] if each.startswith("NOTIFY ") and b'"peers"' in body]

        self.line.wait(listed)
        return json.loads(listed()[-1])["peers"]

    def call(self, peer, tokens=None, more=""):
        """An INVITE with the peer's token; status and header. After a 2xx the association is there."""
        lines = "".join(f"P2PCDS-Token: {token}\r\n" for token in tokens or [peer["tok"]])
        status, head, body = self.line.ask("INVITE", peer["u"], body=self.sdp(),
                                           more=lines + more + "Content-Type: application/sdp\r\n")
        if status < 300:
            self.acknowledge(head)
            host = re.search(rb"(?m)^c=IN IP4 (\S+)", body).group(1).decode()
            self.remote = (host, int(re.search(rb"(?m)^m=application (\d+)", body).group(1)))
        return status, head

    def acknowledge(self, head):
        found = re.findall(r"(?im)^record-route:[ \t]*(.*?)\r?$", head)
        routes = [value.strip() for line in found for value in line.split(",")][::-1]
        target = re.search(r"(?im)^(?:contact|m):[ \t]*<([^>]*)>", head).group(1)
        to, call = header(head, "to", "t"), header(head, "call-id", "i")
        text = self.line.phone.request("ACK", target, "a" + call, more="".join(f"Route: {each}\r\n" for each in routes))
        text = re.sub(r"(?m)^Call-ID: .*$", f"Call-ID: {call}\r", text)
        self.line.send(re.sub(r"(?m)^To: .*$", f"To: {to}\r", text))

    def sdp(self):
        return OFFER.format(host=self.host, port=self.media.getsockname()[1], ssrc=self.ssrc).replace("\n", "\r\n")

    def announce(self, state):
        """To the tracker; its status."""
        body = json.dumps({"v": 1, "sw": [{"id": self.root, "st": state}]})
        return self.line.ask("PUBLISH", f"sip:tracker@{self.line.phone.domain}", body=body, more=(
            "Event: p2pcds-peer\r\nExpires: 300\r\nContent-Type: application/vnd.p2pcds.peer+json\r\n"))[0]

    def send(self, messages, channel=None):
        """One RTP packet with a datagram of the peer protocol."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        stamp = int(time.monotonic() * 1e6) & 0xFFFFFFFF
        rtp = struct.pack(">BBHII", 0x80, 98, self.sequence, stamp, self.ssrc)
        self.media.sendto(rtp + struct.pack(">I", self.theirs if channel is None else channel) + messages, self.remote)

    def greet(self, chunk_size):
        """HANDSHAKE for the content; waits for the partner's, whose channel is used from then on."""
        text = handshake(self.channel, chunk_size, from_b64u(self.root))
        for _ in range(20):
            self.send(text, 0)
            self.media.settimeout(0.5)
            try:
                while True:
                    packet = self.media.recv(65536)
                    at = packet[12:]
                    if packet[1] & 0x7F == 98 and at[:5] == struct.pack(">IB", self.channel, HANDSHAKE):
                        self.theirs = struct.unpack(">I", at[5:9])[0]
                        self.send(b"")
                        return
            except TimeoutError:
                continue
        raise AssertionError("no HANDSHAKE came")


class Liar(Partner):
    """Says that it has all of a content, and what it sends is wrong. `how`: "garbage", "silence", "choke"."""

    def __init__(self, line, root, chunks, chunk_size, how):
        super().__init__(line, root)
        self.chunks, self.chunk_size, self.how, self.asked = chunks, chunk_size, how, 0
        line.play = self.answer
        self.media.settimeout(None)
        threading.Thread(target=self.lie, daemon=True).start()

    def answer(self, _head, body):
        found = re.search(r"(?m)^c=IN IP4 (\S+)", body), re.search(r"(?m)^m=application (\d+) (\S+)", body)
        if not all(found) or found[1].group(2) != "RTP/AVPF":
            return "488 Not Acceptable Here", "", ""
        self.remote = (found[0].group(1), int(found[1].group(1)))
        contact = f"Contact: <sip:x@127.0.0.1:5061>\r\nContent-Type: application/sdp"
        return "200 OK", contact, self.sdp()

    def lie(self):
        source = random.Random(self.root)
        try:
            while True:
                packet, self.remote = self.media.recvfrom(65536)
                if len(packet) < 17 or 192 <= packet[1] <= 223:
                    continue  # feedback
                channel, messages = struct.unpack(">I", packet[12:16])[0], packet[16:]
                if channel == 0 and messages[0] == HANDSHAKE:
                    self.theirs = struct.unpack(">I", messages[1:5])[0]
                    self.send(handshake(self.channel, self.chunk_size) + ranges(HAVE, [(0, self.chunks - 1)]))
                    continue
                for first, last in requests_in(messages):
                    self.asked += 1
                    self.tell(source, first, min(last, first + 31))
        except OSError:
            pass

    def tell(self, source, first, last):
        if self.how == "choke":
            self.send(bytes([CHOKE]))
        if self.how != "garbage":
            return
        for chunk in range(first, last + 1):
            self.send(struct.pack(">BII", INTEGRITY, chunk, chunk) + source.randbytes(32))
            self.send(struct.pack(">BIIQ", DATA, chunk, chunk, 1) + source.randbytes(self.chunk_size))
