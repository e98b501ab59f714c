"""A SIP party of our own on a service's listener: TLS with that service's certificate, answers as it is told, and
remembers what it saw."""
import base64
import os
import re
import socket
import ssl
import threading

from harness import serve_each


class Rogue:
    def __init__(self, lab, service, address, subject):
        """address: "127.0.0.1:5070", where the core looks for the service."""
        self.subject = subject  # "cache@sealcast.test"
        self.play = None  # offer -> (status, reason, [headers], SDP)
        self.seen = []  # methods, in the order they came
        self.headers = []  # of each
        self.offer = ""
        self.lock = threading.Lock()
        host, port = address.rsplit(":", 1)
        self.address = address
        tls = os.path.join(lab.dir, service, "tls")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(os.path.join(tls, "agent.pem"))
        self.context.load_verify_locations(os.path.join(tls, "cafile.pem"))
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.listener = socket.create_server((host, int(port)))
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media.bind((host, 0))
        self.media.setblocking(False)
        serve_each(self.listener, self.serve)

    def close(self):
        self.listener.close()
        self.media.close()

    def datagrams(self):
        """What has come to the media port since the last call."""
        out = []
        while True:
            try:
                out.append(self.media.recv(65536))
            except BlockingIOError:
                return out

    def methods(self):
        with self.lock:
            return list(self.seen)

    def forget(self):
        self.datagrams()
        with self.lock:
            self.seen.clear()
            self.headers.clear()

    def serve(self, wire):
        try:
            with self.context.wrap_socket(wire, server_side=True) as tls:
                pending = b""
                while part := tls.recv(65536):
                    pending = (pending + part).lstrip(b"\r\n")
                    while b"\r\n\r\n" in pending:
                        head, rest = pending.split(b"\r\n\r\n", 1)
                        length = int(re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head).group(1))
                        if len(rest) < length:
                            break
                        self.take(tls, head.decode(), rest[:length].decode())
                        pending = rest[length:].lstrip(b"\r\n")
        except (OSError, ssl.SSLError):
            pass

    def take(self, tls, head, body):
        lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        method = lines[0].split(" ")[0]
        if method.startswith("SIP/"):
            return
        with self.lock:
            self.seen.append(method)
            self.headers.append(lines)
        if method == "ACK":
            return
        status, reason, headers, sdp = 200, "OK", [], ""
        if method == "INVITE":
            self.offer = body
            status, reason, headers, sdp = self.play(body)
        elif method != "BYE":
            status, reason = 405, "Not here"
        tls.sendall(self.response(lines, status, reason, headers, sdp).encode())

    def response(self, lines, status, reason, headers, sdp):
        def named(*names):
            return [line for line in lines[1:] if line.split(":", 1)[0].strip().lower() in names]

        to = named("to", "t")[0]
        if "tag=" not in to:
            to += ";tag=rogue"
        out = [
            f"SIP/2.0 {status} {reason}",
            *named("via", "v"),
            *named("record-route"),
            *named("from", "f"),
            to,
            *named("call-id", "i"),
            *named("cseq"),
        ]
        out += [f"Contact: <sip:{self.subject.split('@')[0]}@{self.address};transport=tls>", *headers]
        if sdp:
            out.append("Content-Type: application/sdp")
        return "\r\n".join([*out, f"Content-Length: {len(sdp.encode())}", "", sdp])

    def answer(self, profile="RTP/SAVPF", crypto=None, without=(), port=None):
        """An SDP answer that is right but for what is asked for. crypto: lines, or None for a good one."""
        if crypto is None:
            crypto = [good_line(1)]
        host = self.address.rsplit(":", 1)[0]
        lines = [
            "v=0",
            f"o=- 1 1 IN IP4 {host}",
            "s=-",
            f"c=IN IP4 {host}",
            "t=0 0",
            f"m=application {self.media.getsockname()[1] if port is None else port} {profile} 98",
            "a=rtpmap:98 vnd.p2pcds.ppspp/1000000",
            "a=rtcp-fb:* ack ccfb",
            "a=fmtp:98 ver=1; cam=2; mhf=2; maxdg=1204; ig=run; role=both",
            *crypto,
            "a=ssrc:305419896 cname:rogue",
            "a=rtcp-mux",
            "a=sendrecv",
        ]
        return "\r\n".join(line for line in lines if not line.startswith(tuple(without) or ("?",))) + "\r\n"


def key(octets):
    return base64.b64encode(os.urandom(octets)).decode()


def good_line(tag, suite="AEAD_AES_128_GCM", octets=28, more="|2^31 WSH=16384"):
    return f"a=crypto:{tag} {suite} inline:{key(octets)}{more}"
