#!/usr/bin/env python3
"""The messages of RFC 4475 to each listener of a running laboratory: each gets the answer that the RFC wants, what is
no message ends at most its own connection, and everybody else is served afterwards."""
import re

from harness import LabTest, main, make_file, wait_until
from phone import Callers, Phone, header
from torture import MESSAGES

# What a proxy and registrar answers and what a user agent answers, when they are who is asked; several with "/":
# each of them is right. "-": no answer. "!": where this message ends is not known, and so the connection ends; "~":
# it is half a message, and the rest of the connection belongs to it.
ANSWERS = """
wsinv       403         481          a dialog that is not known; at the core the route leads elsewhere, too
intmeth     -!          -!           a NUL in the header is refused here, even escaped in quotes
esc01       404         403/404/488  %3A and %40 are no : and @
escnull     401         405
esc02       405         405/501      % is a letter of the method
lwsdisp     200         200
longreq     200         403/404/488
dblreq      401,404!    405,400!     two messages; the second one has no Contact, and is longer than it says
semiuri     404         200/404      not the user of what is before the ;
transports  200         200
mpart01     403         405/415
unreason    -           -
noreason    -           -
badinv01    400         400
clerr       -~          -~
ncl         400!        400!
scalar02    400         400
scalarlg    -           -
quotbal     400         400
ltgtruri    400         400
lwsruri     400         400
lwsstart    400         400
trws        400         400
escruri     400         400
baddate     200/400     400/403/404/488
regbadct    400         400
badaspec    400         400
baddn       400         400
badvers     505         505
mismatch01  400         400
mismatch02  400         400/501
bigcode     -           -
badbranch   200         200
insuf       400         400
unkscm      416         416
novelsc     416         416
unksm2      401         405
bext01      420         420
invut       200         415
regaut01    401         405
multi01     400         400
mcl01       400!        400!
bcast       -           -
zeromf      483         200
cparam01    401         405
cparam02    401         405
regescrt    401         405
sdp01       200         403/404/406/488
inv2543     400!        400!         on a stream a length is needed
"""
EXPECTED = {line.split()[0]: tuple(line.split()[1:3]) for line in ANSWERS.strip().splitlines()}
# REGISTER again, with the right password and for oneself.
REGISTERED = {"escnull": "200", "dblreq": "200", "unksm2": "403", "regaut01": "200", "cparam01": "200",
              "cparam02": "200", "regescrt": "200"}
VIA = re.compile(rb"(SIP\s*/\s*[27]\.0\s*/\s*)(\w+)")
HOST = re.compile(rb"(?<=[@:])(?:[\w-]+\.)*(?:example|company)\.(?:com|net|org)")


def addressed(octets, transport, domain=b"sealcast.test"):
    """To this domain, and with the transport that it goes over in its first Via."""
    head, _, body = octets.partition(b"\r\n\r\n")
    start, _, rest = head.partition(b"\r\n")
    if not start.startswith(b"SIP/"):
        start = HOST.sub(domain, start)
    rest = VIA.sub(lambda found: found.group(1) + transport.encode(), rest, count=1)
    if b"\r\nINVITE" in body:  # dblreq
        body = addressed(body, transport, domain)
    return start + b"\r\n" + rest + b"\r\n\r\n" + body


class Tormentor:
    """Sends the messages and judges the answers; a mix-in for test cases."""

    def exchange(self, phone, octets, wanted):
        """The final answers to a message, and whether the connection goes on: a request behind it is answered."""
        answers, branch, probed = [], f"probe{Phone.count}", False
        try:
            phone.send(octets)
            phone.send(phone.request("OPTIONS", "sip:sealcast.test", branch))
        except OSError:
            pass  # closed by the other side: what it said before can still be read
        if wanted.endswith("~"):
            phone.socket.settimeout(0.3)
        while not probed or len(answers) < len(wanted.strip("-!~").split(",")) * (wanted[0] != "-"):
            head = phone.message()
            if head is None:
                break
            status = int(head.split(" ", 2)[1]) if head.startswith("SIP/2.0 ") else 0
            if branch in header(head, "call-id", "i"):
                probed = True
            elif status >= 200:
                answers.append((status, head))
        return answers, probed

    def judge(self, name, answers, goes_on, wanted):
        got = ",".join(str(status) for status, _ in answers) or "-"
        parts = wanted.strip("!~").split(",")
        right = len(parts) == (len(answers) or 1) and all(
            have in part.split("/") for have, part in zip(got.split(","), parts))
        if not right or goes_on == wanted.endswith(("!", "~")):
            return [f"{name}: {got}, the connection {'goes on' if goes_on else 'ends'}; right is {wanted}"]
        return []

    def torture(self, make, column, want=lambda name, wanted: wanted):
        wrong = []
        for name, octets in MESSAGES.items():
            phone = make()
            wanted = want(name, EXPECTED[name][column])
            answers, goes_on = self.exchange(phone, addressed(octets, phone.transport), wanted)
            wrong += self.judge(name, answers, goes_on, wanted)
            for status, head in answers:
                if status == 420:
                    self.assertIn("noProxiesSupportThis" if column == 0 else "nothingSupportsThis", head)
            phone.close()
        self.assertEqual(wrong, [])


class Torture(Callers, Tormentor, LabTest):
    def setUp(self):
        super().setUp()
        self.laboratory = self.lab()
        self.process = self.laboratory.up()
        self.laboratory.subscribers("alice", "mallory", "user")
        self.read_addresses()
        self.uri = self.laboratory.publish(make_file(self.path("film"), 50_000), "--public")

    def everybody_is_served(self, bystander):
        self.assertTrue(self.process.running(), self.process.errors()[-3000:])
        self.assertEqual(bystander.ask("OPTIONS", "sip:sealcast.test")[0], 200)
        self.laboratory.get_good(self.uri, "alice", self.path(f"copy{Phone.count}"))
        self.assertNotRegex(self.process.errors(), "broken invariant|[Aa]ssertion")

    def test_the_messages_are_what_they_say(self):
        self.assertEqual(len(MESSAGES), 49)
        self.assertEqual(set(MESSAGES), set(EXPECTED))
        for name, octets in MESSAGES.items():
            head, _, body = octets.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(-?\d+)", head)
            if name not in ("dblreq", "clerr", "ncl", "mcl01", "inv2543"):
                self.assertEqual(int(length.group(1)), len(body), name)

    def test_at_the_core(self):
        user = self.registered("user")
        came = user.answer_everything()
        for tls in (True, False):
            bystander = self.registered("alice", tls)
            self.torture(lambda tls=tls: self.registered(tls=tls), 0)
            self.everybody_is_served(bystander)
        bodies = {header(head, "call-id", "i").split(".")[0]: body for head, body in came}
        self.assertEqual(bodies.get("invut"), MESSAGES["invut"].partition(b"\r\n\r\n")[2])

        def counted():  # published once a second
            core = self.laboratory.good("status", "--json").json["core"]["tables"]
            return core["malformed"] > 40 and core["unmatched_responses"] > 4

        wait_until("the core has counted them", counted)

    def test_registrations_at_the_core(self):
        for name, right in REGISTERED.items():
            phone = self.phone()
            first = addressed(MESSAGES[name].split(b"\r\n\r\nINVITE")[0].split(b"\r\n\r\n")[0] + b"\r\n\r\n", "TLS")
            own = re.sub(rb"(?im)^((?:to|from)\s*:\s*<?)[^;>\r]*", rb"\1sip:mallory@sealcast.test", first)
            phone.send(own)
            status, head = phone.final()
            self.assertEqual(status, 401, head)
            nonce = re.search(r'nonce="([^"]+)"', head).group(1)
            again = own.replace(b"\r\n\r\n", b"\r\n" + phone.credentials(nonce, self.password("mallory")).encode() +
                                b"\r\n")
            phone.send(again)
            status, head = phone.final()
            self.assertEqual(str(status), right, f"{name}: {head}")
            if name == "cparam01":  # the parameter is the header's there, and the URI's here
                self.assertIn("<sip:+19725552222@gw1.example.net>", head)
            if name == "cparam02":
                self.assertIn("<sip:+19725552222@gw1.example.net;unknownparam>", head)
            if name == "escnull":
                self.assertIn("<sip:%00@host5.example.com>", head)
                self.assertIn("<sip:%00%00@host5.example.com>", head)
            if name == "regescrt":  # what is sent there has no headers in its Request-URI
                asker = self.registered("user")
                asker.send(asker.request("OPTIONS", "sip:mallory@sealcast.test", f"q{Phone.count}"))
                head = phone.message()
                self.assertEqual(head.split("\r\n")[0], "OPTIONS sip:user@example.com SIP/2.0")
                phone.answer(head)
                self.assertEqual(asker.final()[0], 200)
            phone.close()
        self.everybody_is_served(self.registered("alice"))

    def test_of_strangers_at_the_core(self):
        bystander = self.registered("alice")
        for tls in (True, False):
            for name, octets in MESSAGES.items():
                phone = self.phone(tls=tls)
                phone.send(octets)
                if EXPECTED[name][0] not in ("-", "-~"):
                    status, head = phone.final()
                    self.assertTrue(400 <= status <= 505 or EXPECTED[name][0] == "-!", f"{name}: {head}")
                phone.close()
        self.everybody_is_served(bystander)

    def test_of_a_service_at_the_core(self):
        user = self.registered("user")
        user.answer_everything()
        self.torture(self.as_service, 0, lambda name, wanted: re.sub("^401", "405", wanted))
        self.everybody_is_served(self.registered("alice"))

    def test_octets_at_tracker_and_cache(self):
        """As the RFC has them, with Vias of other transports: each ends with an answer or without, and nothing else."""
        bystander = self.registered("alice")
        for address in (self.tracker, self.cache):
            for name, octets in MESSAGES.items():
                phone = self.as_core(address)
                phone.send(octets)
                if EXPECTED[name][1] not in ("-", "-~", "-!"):
                    status, head = phone.final()
                    self.assertTrue(200 <= status <= 505, f"{name}: {head}")
                phone.close()
        self.everybody_is_served(bystander)

    def test_without_the_nul(self):
        """intmeth is no fault of its sender's but for the NUL: what else is unusual in it is allowed."""
        octets = MESSAGES["intmeth"].replace(b"\0", b"\1")
        phone = self.registered()
        answers, goes_on = self.exchange(phone, addressed(octets, "TLS"), "404")
        self.assertEqual(self.judge("intmeth", answers, goes_on, "404"), [])


if __name__ == "__main__":
    main()
