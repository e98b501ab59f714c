#!/usr/bin/env python3
"""Subscribers who ask for more than there is, on real processes: they are refused, the others are served, nothing grows
without end, and the counters say what was refused."""
import hashlib
import json
import os
import threading
import time

from harness import LabTest, long_enough, main, make_file, root_of, sha256, wait_until
from partner import HAVE, K_PEERS, Line, Partner, b64u, payload_of, ranges
from phone import Callers, Phone, header

GROWTH, DESCRIPTORS = 96 << 20, 24  # octets and descriptors beyond what there was at rest


class Flood(Callers, LabTest):
    def begin(self, size=200_000, protect="none"):
        self.laboratory = self.lab()
        self.process = self.laboratory.up()
        self.laboratory.subscribers("alice", "mallory")
        self.read_addresses()
        self.source = make_file(self.path("film"), size)
        self.uri = self.laboratory.publish(self.source, "--public", "--protect", protect)
        self.root = root_of(self.uri)
        self.served()
        self.rest = (self.process.memory(), self.descriptors())

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.process.pid}/fd"))

    def status(self):
        return self.laboratory.good("status", "--json").json

    def served(self, *options):
        """Somebody else gets the whole content."""
        out = self.path("copy")
        report = self.laboratory.get_good(self.uri, "alice", out, *options)
        self.assertEqual(sha256(out), sha256(self.source))
        kept = self.laboratory.kept(self.uri, "alice")
        for extension in (".data", ".tree", ".have"):  # the next one comes from the cache again
            if os.path.exists(kept + extension):
                os.remove(kept + extension)
        os.remove(out)
        return report["from"]

    def nothing_grew(self):
        self.assertTrue(self.process.running(), self.process.errors()[-3000:])
        self.grew_less(self.process, self.rest[0], GROWTH)
        wait_until("descriptors", lambda: self.descriptors() <= self.rest[1] + DESCRIPTORS)

    def mallory(self):
        return Line(self.registered("mallory", tls=False, contact=f"x{Phone.count}"))

    def while_others_are_served(self, flood, *options):
        """Runs `flood` again and again in a thread until somebody else has the content."""
        over, troubles = threading.Event(), []

        def run():
            try:
                while not over.is_set():
                    flood()
            except Exception as trouble:  # pylint: disable=broad-except
                troubles.append(repr(trouble))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            sources = self.served(*options)
        finally:
            over.set()
            thread.join()
        self.assertEqual(troubles, [])
        return sources

    def test_subscriptions_to_one_swarm_that_changes(self):
        self.begin()
        line = self.mallory()
        body = json.dumps({"v": 1, "id": self.root})
        more = "Expires: 300\r\n" + K_PEERS
        asked = [line.begin("SUBSCRIBE", "sip:tracker@sealcast.test", more=more, body=body, contact=f"x{number}")
                 for number in range(256)]
        line.wait(lambda: all(call in line.answers for call in asked))
        answers = [line.answers[call][0].split(" ")[1] for call in asked]
        self.assertIn("200", answers)
        refused = [line.answers[call][0] for call in asked if int(line.answers[call][0].split(" ")[1]) >= 300]
        # One connection is one binding to the core: the newest subscription takes the place of the one before.
        living = self.status()["tracker"]["subscription_table"]
        self.assertLessEqual(living["size"], 16)
        self.assertTrue(all(header(head, "retry-after") for head in refused), refused[:1])
        state = {"st": "leech"}

        def toggle(times=1):
            """Some at once: who waits for each answer would not come to the end of his budget on a slow machine."""
            calls = []
            for _ in range(times):
                state["st"] = "seed" if state["st"] == "leech" else "leech"
                text = json.dumps({"v": 1, "sw": [{"id": self.root, "st": state["st"]}]})
                calls.append(line.begin("PUBLISH", "sip:tracker@sealcast.test", body=text, more=(
                    "Event: p2pcds-peer\r\nExpires: 300\r\nContent-Type: application/vnd.p2pcds.peer+json\r\n")))
            line.wait(lambda: all(call in line.answers for call in calls))
            return [line.answers[call][0] for call in calls]

        before = len(line.came)
        for _ in range(300):
            toggle()
        told = sum(head.startswith("NOTIFY ") for head, _ in line.came[before:])
        self.assertLess(told, 300)  # changes are gathered, however often they come
        self.while_others_are_served(toggle)
        for _ in range(200):
            busy = [head for head in toggle(100) if head.startswith("SIP/2.0 503")]
            if busy:
                self.assertTrue(all(header(head, "retry-after") for head in busy), busy[:1])
                break
        self.assertGreater(self.status()["tracker"]["requests"]["refused"], 0)
        self.served()
        self.nothing_grew()

    def token(self, subject, audience, **more):
        """What a token looks like, but for its signature."""
        with open(os.path.join(self.laboratory.dir, "trust.json"), encoding="utf-8") as handle:
            key = json.load(handle)["tracker"]
        members = json.dumps({name: key[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
        kid = b64u(hashlib.sha256(members.encode()).digest())
        words = {"alg": "ES256", "kid": kid, "typ": "sealcast-token+jwt"}
        now = int(time.time())
        claims = {"v": 1, "root": self.root, "sub": subject, "aud": audience, "iat": now, "exp": now + 300, **more}
        parts = [json.dumps(part, separators=(",", ":")).encode() for part in (words, claims)]
        return ".".join(b64u(part) for part in (*parts, os.urandom(64)))

    def bogus_tokens(self, peer):
        partner = Partner(self.mallory(), self.root)
        good = next(each for each in partner.peers() if each["k"] == peer)
        subject = payload_of(good["tok"])["sub"]

        def invite(count):
            return partner.call(good, [self.token(subject, good["u"]) for _ in range(count)])

        # What has more lines than a header may have does not come so far; 40 are looked at by nobody.
        self.assertEqual(self.mallory().ask("INVITE", good["u"], more="P2PCDS-Token: x\r\n" * 180)[0], 400)
        self.assertEqual(invite(40)[0], 403)
        seen = set()
        for _ in range(100):
            status, head = invite(8)
            seen.add(status)
            if status == 503:
                self.assertTrue(header(head, "retry-after"), head)
        self.assertIn(503, seen)
        self.assertLessEqual(seen, {403, 503})
        self.while_others_are_served(lambda: invite(8))
        partner.close()

    def test_bogus_tokens_at_the_cache(self):
        self.begin()
        self.bogus_tokens("cache")
        self.assertGreater(self.status()["cache"]["token_callers"]["refused"], 0)
        self.nothing_grew()

    def seeding(self):
        self.laboratory.subscribers("bob")
        self.laboratory.get_good(self.uri, "bob", self.path("bob"))
        return self.laboratory.seed("bob", self.uri)

    def test_bogus_tokens_at_the_relay(self):
        self.begin()
        seed = self.seeding()
        line = self.mallory()
        partner = Partner(line, self.root)
        good = next(each for each in partner.peers() if each["k"] == "ue")
        subject = payload_of(good["tok"])["sub"]
        self.assertEqual(partner.call(good, [self.token(subject, good["u"])] * 8)[0], 403)  # one is wanted
        seen = set()
        for _ in range(400):
            status, head = partner.call(good, [self.token(subject, good["u"])])
            seen.add(status)
            if status == 503:
                self.assertTrue(header(head, "retry-after"), head)
        self.assertIn(503, seen)
        self.assertLessEqual(seen, {403, 503})
        self.while_others_are_served(lambda: partner.call(good, [self.token(subject, good["u"])]))
        self.assertGreater(self.status()["tracker"]["call_table"]["token_callers"]["refused"], 0)
        self.assertTrue(seed.running())
        self.nothing_grew()

    def haves(self, kind):
        line = self.mallory()
        partner = Partner(line, self.root)
        peer = next(each for each in partner.peers() if each["k"] == kind)
        self.assertEqual(partner.call(peer)[0], 200)
        content = self.laboratory.content(self.uri)
        partner.greet(payload_of(content["description"])["chunk"])
        chunks, at = content["chunks"], [0]

        def flood():
            for _ in range(50):  # every other chunk: nothing of it can be joined
                pairs = [((at[0] + 2 * n) % chunks,) * 2 for n in range(120)]
                at[0] = (at[0] + 240 + (at[0] // chunks) % 2) % (2 * chunks)
                partner.send(ranges(HAVE, pairs))
            time.sleep(0.005)

        return flood

    def test_haves_without_end_to_a_cache(self):
        self.begin(16 << 20)
        before = self.status()["cache"]["work"]
        self.while_others_are_served(self.haves("cache"))
        self.assertGreater(self.status()["cache"]["work"], before)
        self.nothing_grew()

    def test_haves_without_end_to_a_seed(self):
        self.begin(4 << 20)
        seed = self.seeding()
        sources = self.while_others_are_served(self.haves("ue"), *long_enough(4 << 20))
        self.assertGreater(sources["peers"], 0)  # the seed, which is flooded meanwhile
        self.assertTrue(seed.running(), seed.errors()[-3000:])
        self.nothing_grew()

    def test_invitations_that_ring(self):
        self.begin(4 << 20)
        line = self.mallory()
        line.ringing = True
        running = self.laboratory.start_get(self.uri, "alice", self.path("slow"), "--max-download-limit", "400k")
        running.wait_progress(100_000)
        for _ in range(2000):
            line.begin("INVITE", "sip:mallory@sealcast.test")
        self.while_others_are_served(lambda: line.begin("INVITE", "sip:mallory@sealcast.test"))
        self.assertEqual(running.wait(), 0, running.errors()[-2000:])
        wait_until("refusals", lambda: self.status()["core"]["tables"]["transactions"]["refused_share"] > 1000)
        self.assertLessEqual(self.status()["core"]["tables"]["transactions"]["peak"], 256 + 64)
        self.nothing_grew()

    def test_requests_to_a_subscriber_who_fetches(self):
        """What anybody may send to anybody: answers to keys that nobody asked for, calls without tokens, events."""
        self.begin(4 << 20)
        line = self.mallory()
        kinds = ("MESSAGE", "INVITE", "SUBSCRIBE", "NOTIFY", "OPTIONS", "PUBLISH", "REFER", "INFO")
        big = json.dumps({"jws": "a.b." + "c" * 30_000})
        statuses = set()

        def flood():
            calls = [line.begin(method, "sip:alice@sealcast.test", body=big, more=(
                "Content-Type: application/vnd.p2pcds.key+json\r\nEvent: p2pcds-peers\r\n")) for method in kinds * 4]
            line.wait(lambda: all(call in line.answers for call in calls))
            for call, method in zip(calls, kinds * 4):
                statuses.add((method, line.answers.pop(call)[0].split(" ")[1]))

        running = self.laboratory.start_get(self.uri, "alice", self.path("slow"), "--max-download-limit", "500k")
        running.wait_progress(100_000)
        for _ in range(100):
            flood()
        self.while_others_are_served(flood)
        self.assertEqual(running.wait(), 0, running.errors()[-2000:])
        taken = {method for method, status in statuses if status.startswith("2")}
        self.assertLessEqual(taken, {"OPTIONS"}, statuses)
        self.nothing_grew()

    def test_registrations_without_end(self):
        self.begin()
        owner = self.registered("mallory", contact="owner")
        seen = set()

        def enter():
            phone = self.phone(tls=False)
            seen.add(phone.register(self.password("mallory"))[0])
            phone.close()

        for _ in range(600):
            enter()
        self.assertEqual(seen, {200, 503})
        self.while_others_are_served(enter)
        # Who is in stays in, and registers again when he must.
        self.assertEqual(owner.register(self.password("mallory"), "owner")[0], 200)
        again = {owner.register(self.password("mallory"), "owner")[0] for _ in range(60)}
        self.assertEqual(again, {200, 503})
        self.assertEqual(owner.ask("OPTIONS", "sip:sealcast.test")[0], 200)
        for rate in ("new_bindings_rate", "refreshes_rate"):  # as they were a moment ago
            wait_until(rate, lambda rate=rate: self.status()["core"]["tables"][rate]["refused"] > 0)
        self.nothing_grew()


if __name__ == "__main__":
    main()
