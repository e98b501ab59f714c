"""A SIP user agent that says what it is told to, over one connection: TLS or TCP."""
import contextlib
import hashlib
import os
import re
import socket
import ssl
import threading
import tomllib

# Names of the headers that an answer takes over from its request, long and short (RFC 3261 section 8.2.6).
TAKEN_OVER = re.compile(r"(via|v|from|f|to|t|call-id|i|cseq|record-route)[ \t]*:", re.I)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def header(head, name, short=None):
    """The first value of a header of a message, or an empty text."""
    names = name if short is None else f"(?:{name}|{short})"
    found = re.search(rf"(?im)^{names}[ \t]*:[ \t]*(.*?)\r?$", head)
    return found.group(1) if found else ""


class Phone:
    """One thread at a time, when it is TLS. `certificate`: PEM of a service, for listeners that want one."""

    count = 0

    def __init__(self, address, name, ca=None, certificate=None, domain="sealcast.test"):
        host, port = address.rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=20)
        self.transport = "TLS" if ca else "TCP"
        self.domain = domain
        if ca:
            context = ssl.create_default_context(cafile=ca)
            if certificate:
                context.load_cert_chain(certificate)
            plain = context.wrap_socket(plain, server_hostname=host)
        self.socket = plain
        self.name, self.rest, self.body = name, b"", b""

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # whoever reads in another thread ends
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def message(self):
        """The next message's start line and header, or None when the connection is over or silent."""
        try:
            while b"\r\n\r\n" not in self.rest:
                more = self.socket.recv(65536)
                if not more:
                    return None
                self.rest = (self.rest + more).lstrip(b"\r\n")  # answers to keep-alives are skipped
            head, _, rest = self.rest.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)", head).group(1))
            while len(rest) < length:
                more = self.socket.recv(65536)
                if not more:
                    return None
                rest += more
            self.body, self.rest = rest[:length], rest[length:]
            return head.decode(errors="replace")
        except (TimeoutError, OSError):
            return None

    def final(self):
        """Status and header of the next final answer; requests are passed over."""
        while (message := self.message()) is not None:
            found = re.match(r"SIP/2.0 (\d+)", message)
            if found and int(found.group(1)) >= 200:
                return int(found.group(1)), message
        return 0, ""

    def request(self, method, uri, branch, more="", via="", cseq_method=None, to=None, body="", contact="x"):
        Phone.count += 1
        return (f"{method} {uri} SIP/2.0\r\n"
                f"Via: SIP/2.0/{self.transport} 127.0.0.1:5061;branch=z9hG4bK{branch}{via}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:{self.name}@{self.domain}>;tag=f\r\nTo: <{to or uri}>\r\n"
                f"Call-ID: c-{branch}\r\nCSeq: 1 {cseq_method or method}\r\n"
                f"Contact: <sip:{contact}@127.0.0.1:5061>;expires=600\r\n{more}"
                f"Content-Length: {len(body.encode())}\r\n\r\n{body}")

    def ask(self, method, uri, **more):
        """Sends a request and waits for its final answer."""
        self.send(self.request(method, uri, f"q{Phone.count}", **more))
        return self.final()

    def credentials(self, nonce, password, count=1):
        ha1 = sha256(f"{self.name}@{self.domain}:{self.domain}:{password}")
        ha2 = sha256(f"REGISTER:sip:{self.domain}")
        response = sha256(f"{ha1}:{nonce}:{count:08x}:c:auth:{ha2}")
        return (f'Authorization: Digest username="{self.name}@{self.domain}", realm="{self.domain}", nonce="{nonce}", '
                f'uri="sip:{self.domain}", response="{response}", algorithm=SHA-256, qop=auth, nc={count:08x}, '
                'cnonce="c"\r\n')

    def register(self, password, contact="x"):
        me, registrar = f"sip:{self.name}@{self.domain}", f"sip:{self.domain}"
        Phone.count += 1
        self.send(self.request("REGISTER", registrar, f"r{Phone.count}", to=me, contact=contact))
        status, answer = self.final()
        if status != 401:
            return status, answer
        nonce = re.search(r'nonce="([^"]+)"', answer).group(1)
        self.send(self.request("REGISTER", registrar, f"s{Phone.count}", to=me, contact=contact,
                               more=self.credentials(nonce, password)))
        return self.final()

    def answer(self, head, status="200 OK", tag=";tag=callee", more="", body=""):
        lines = [line for line in head.split("\r\n")[1:] if TAKEN_OVER.match(line)]
        lines = [line + tag if re.match(r"(?i)to?[ \t]*:", line) and ";tag=" not in line else line for line in lines]
        lines = [f"SIP/2.0 {status}", *lines, *more.splitlines(), f"Content-Length: {len(body.encode())}"]
        self.send("".join(line + "\r\n" for line in lines) + "\r\n" + body)

    def answer_everything(self, status="200 OK"):
        """From now on a thread answers each request; returns what came, as (header, body)."""
        came = []

        def run():
            self.socket.settimeout(None)
            while (head := self.message()) is not None:
                if head.startswith("SIP/2.0 "):
                    continue
                came.append((head, self.body))
                if head.startswith("ACK "):
                    continue
                try:
                    self.answer(head, status)
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        return came


class Callers:
    """Phones for a laboratory, by the addresses in its files; a mix-in for tests with self.laboratory."""

    def read_addresses(self):
        def read(name):
            with open(os.path.join(self.laboratory.dir, name), "rb") as handle:
                return tomllib.load(handle)

        core = read("core.toml")["listen"]
        self.tls, self.tcp, self.service = core["ue"], core.get("ue_tcp"), core["service"]
        self.tracker, self.cache = read("tracker.toml")["listen"], read("cache.toml")["listen"]
        self.ca = os.path.join(self.laboratory.dir, "ca", "ca.pem")

    def password(self, name):
        with open(os.path.join(self.laboratory.dir, "subscribers", name, "password"), encoding="utf-8") as handle:
            return handle.read().strip()

    def certificate(self, role):
        return os.path.join(self.laboratory.dir, role, "tls", "agent.pem")

    def phone(self, name="mallory", tls=True):
        return Phone(self.tls if tls else self.tcp, name, self.ca if tls else None)

    def registered(self, name="mallory", tls=True, contact="x"):
        phone = self.phone(name, tls)
        status, answer = phone.register(self.password(name), contact)
        self.assertEqual(status, 200, answer)
        return phone

    def as_core(self, address):
        """A connection to a service, with the core's certificate."""
        return Phone(address, "mallory", self.ca, self.certificate("core"))

    def as_service(self, role="tracker"):
        """A connection to the core's listener for services."""
        return Phone(self.service, role, self.ca, self.certificate(role))
