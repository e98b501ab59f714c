#include "sip/stream_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sip/header_lines.hpp"
#include "sip/parse_frame.hpp"

namespace sealcast::sip {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string k_start = "OPTIONS sip:bob@sealcast.test SIP/2.0\r\n";
const std::string k_rest =
    "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1\r\nFrom: <sip:alice@sealcast.test>;tag=a\r\n"
    "To: <sip:bob@sealcast.test>\r\nCall-ID: one\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n";

std::string message(const std::string& more = {}, const std::string& body = {}) {
  return k_start + k_rest + more + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct Collected {
  std::vector<Frame> frames;
  std::vector<Refusal> refusals;
  std::size_t keep_alives = 0;
};

// Everything that comes of `octets`, fed `piece` at a time.
Collected read(std::string_view octets, std::size_t piece = 4096) {
  StreamReader reader;
  Collected out;
  for (std::size_t at = 0; at < octets.size(); at += piece) {
    reader.feed(view_of(octets.substr(at, piece)));
    while (auto next = reader.next()) {
      if (auto* frame = std::get_if<Frame>(&*next)) out.frames.push_back(*frame);
      if (auto* refusal = std::get_if<Refusal>(&*next)) out.refusals.push_back(*refusal);
      if (std::holds_alternative<KeepAlive>(*next)) ++out.keep_alives;
    }
  }
  return out;
}

std::string refusal_of(std::string_view octets) {
  std::string found;
  for (std::size_t piece : {std::size_t{1}, std::size_t{4096}}) {
    const auto all = read(octets, piece);
    EXPECT_EQ(all.refusals.size(), 1U) << octets.substr(0, 200);
    EXPECT_TRUE(all.frames.empty());
    found = all.refusals.empty() ? "" : std::to_string(all.refusals[0].status) + " " + all.refusals[0].reason;
  }
  return found;
}

TEST(StreamReader, FindsMessagesHoweverTheyAreCut) {
  const auto first = message({}, "body"), second = message("Subject: x\r\n");
  for (std::size_t piece : {1, 2, 3, 17, 4096}) {
    const auto all = read(first + second, piece);
    ASSERT_EQ(all.frames.size(), 2U) << piece;
    EXPECT_EQ(all.frames[0].octets, first);
    EXPECT_EQ(all.frames[0].octets.substr(all.frames[0].body_at), "body");
    EXPECT_EQ(all.frames[1].octets, second);
    EXPECT_TRUE(all.refusals.empty());
  }
}

TEST(StreamReader, AMessageThatIsNotWholeIsNotGiven) {
  const auto whole = message({}, "body");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto all = read(std::string_view(whole).substr(0, size));
    EXPECT_TRUE(all.frames.empty());
    EXPECT_TRUE(all.refusals.empty());
  }
}

TEST(StreamReader, EmptyLinesBetweenMessagesAreKeepAlives) {
  for (std::size_t piece : {1, 4096}) {
    const auto all = read("\r\n\r\n" + message() + "\r\n" + message() + "\r\n\r\n\r\n\r\n", piece);
    EXPECT_EQ(all.frames.size(), 2U);
    EXPECT_EQ(all.keep_alives, 3U);
    EXPECT_TRUE(all.refusals.empty());
  }
}

TEST(StreamReader, FoldedLinesBecomeOne) {
  const auto all = read(message("Subject: one\r\n  two\r\n\tthree\r\n"), 5);
  ASSERT_EQ(all.frames.size(), 1U);
  EXPECT_THAT(all.frames[0].octets, HasSubstr("\r\nSubject: one two three\r\n"));
  EXPECT_EQ(refusal_of(k_start + " folded\r\n" + k_rest), "400 Folded Start Line");
}

TEST(StreamReader, CompactContentLengthCounts) {
  const auto all = read(k_start + k_rest + "l : 4\r\n\r\nbody");
  ASSERT_EQ(all.frames.size(), 1U);
  EXPECT_EQ(all.frames[0].octets.size(), all.frames[0].body_at + 4);
}

TEST(StreamReader, RefusesWhatOthersReadInAnotherWay) {
  EXPECT_EQ(refusal_of(message("Subject: x\rP-Asserted-Identity: <sip:root@sealcast.test>\r\n")),
            "400 Bare CR In Header");
  EXPECT_EQ(refusal_of(message("Subject: x\nP-Asserted-Identity: <sip:root@sealcast.test>\r\n")),
            "400 Bare LF In Header");
  EXPECT_EQ(refusal_of(message("Subject: x\r\r\n")), "400 Bare CR In Header");
  EXPECT_EQ(refusal_of(message("Subject: x\r\n\r\r\nhidden: y\r\n")).substr(0, 3), "400");
  EXPECT_EQ(refusal_of(message(std::string("Subject: x\0y\r\n", 14))), "400 NUL In Header");
  EXPECT_EQ(refusal_of(message("no field at all\r\n")), "400 Header Field Without Name");
  EXPECT_EQ(refusal_of(message("a b: c\r\n")), "400 Header Field Without Name");
  EXPECT_EQ(refusal_of(message(": c\r\n")), "400 Header Field Without Name");
}

TEST(StreamReader, RefusesALengthThatIsMissingDoubledOrNoNumber) {
  EXPECT_EQ(refusal_of(k_start + k_rest + "\r\n"), "400 Missing Content-Length");
  EXPECT_EQ(refusal_of(message("Content-Length: 0\r\n")), "400 More Than One Content-Length");
  EXPECT_EQ(refusal_of(message("l: 0\r\n")), "400 More Than One Content-Length");
  for (const char* bad : {"-1", "", "+4", "4x", "0x4", "4, 4", "4 4", "four"})
    EXPECT_EQ(refusal_of(k_start + k_rest + "Content-Length: " + bad + "\r\n\r\nbody"), "400 Bad Content-Length")
        << bad;
  EXPECT_EQ(refusal_of(k_start + k_rest + "Content-Length: 65537\r\n\r\n"), "413 Request Entity Too Large");
  EXPECT_EQ(refusal_of(k_start + k_rest + "Content-Length: 99999999999999999999999\r\n\r\n"),
            "413 Request Entity Too Large");
}

TEST(StreamReader, BodiesUpToTheBoundPass) {
  const auto all = read(message({}, std::string(64 << 10, 'x')), 1000);
  EXPECT_EQ(all.frames.size(), 1U);
}

TEST(StreamReader, LinesAndHeaderAreBounded) {
  std::string lines;
  for (int i = 0; i < 88; ++i) lines += "X: y\r\n";
  EXPECT_EQ(read(message(lines)).frames.size(), 1U);  // 88 + 7 + the start line
  EXPECT_EQ(refusal_of(message(lines + "X: y\r\n")), "400 Too Many Header Lines");
  EXPECT_EQ(read(message("X: " + std::string(8000, 'y') + "\r\n")).frames.size(), 1U);
  EXPECT_EQ(refusal_of(message("X: " + std::string(8200, 'y') + "\r\n")), "400 Line Too Long");
  std::string long_lines;
  for (int i = 0; i < 5; ++i) long_lines += "X: " + std::string(7000, 'y') + "\r\n";
  EXPECT_EQ(refusal_of(message(long_lines)), "400 Header Too Large");
  std::string folded = "X: y\r\n";
  for (int i = 0; i < 9; ++i) folded += " " + std::string(1000, 'z') + "\r\n";
  EXPECT_EQ(refusal_of(message(folded)), "400 Line Too Long");
}

TEST(StreamReader, AnEndlessLineIsRefusedBeforeItsEnd) {
  StreamReader reader;
  std::size_t fed = 0;
  const std::string piece(1000, 'x');
  std::optional<std::variant<Frame, Refusal, KeepAlive>> last;
  while (!last && fed < 100'000) {
    reader.feed(view_of(piece));
    fed += piece.size();
    last = reader.next();
  }
  EXPECT_LE(fed, 10'000U);
  EXPECT_TRUE(reader.refused());
  reader.feed(view_of(message()));
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.held(), 0U);
}

TEST(StreamReader, ValuesAreBoundedAndQuotesAndBracketsAreRespected) {
  const auto list = [](std::size_t count, const std::string& each) {
    std::string out = each;
    for (std::size_t i = 1; i < count; ++i) out += "," + each;
    return out;
  };
  EXPECT_EQ(read(message("Supported: " + list(64, "a") + "\r\n")).frames.size(), 1U);
  EXPECT_EQ(refusal_of(message("Supported: " + list(65, "a") + "\r\n")), "400 Too Many Values In Header");
  EXPECT_EQ(refusal_of(message("Supported: " + list(40, "a") + "\r\nAllow: " + list(40, "B") + "\r\n")),
            "400 Too Many Values In Header");
  EXPECT_EQ(read(message("Subject: \"" + list(100, "a") + "\"\r\n")).frames.size(), 1U);
  EXPECT_EQ(read(message("Contact: <sip:" + list(100, "a") + "@x>\r\n")).frames.size(), 1U);
  // Where the quote or bracket is never closed the library may see a list.
  EXPECT_EQ(refusal_of(message("Supported: \"" + list(100, "a") + "\r\n")), "400 Too Many Values In Header");
  EXPECT_EQ(refusal_of(message("Supported: <" + list(100, "a") + "\r\n")), "400 Too Many Values In Header");
  EXPECT_EQ(refusal_of(message("Supported: <" + list(1000, "a") + ">\r\n")), "400 Too Many Values In Header");
}

TEST(StreamReader, ARefusalIsAnsweredWhenItsHeaderAllowsIt) {
  const auto all = read(message("Subject: x\ry\r\n"));
  ASSERT_EQ(all.refusals.size(), 1U);
  const auto& answer = all.refusals[0].answer;
  EXPECT_THAT(answer,
              StartsWith("SIP/2.0 400 Bare CR In Header\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1\r\n"));
  EXPECT_THAT(answer, HasSubstr("To: <sip:bob@sealcast.test>;tag="));
  EXPECT_EQ(read(answer).frames.size(), 1U);
  auto ack = message("Subject: x\ry\r\n");
  ack.replace(0, 7, "ACK");
  EXPECT_TRUE(read(ack).refusals.at(0).answer.empty());
  EXPECT_TRUE(read("GET / HTTP/1.1\r\nHost: x\r\n\r\n").refusals.at(0).answer.empty());
  // RFC 4475 section 3.3.1: without To, From and Call-ID it is answered, too.
  const auto bare =
      read("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n");
  const auto parsed = parse_frame(bare.frames.at(0));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().answer,
            "SIP/2.0 400 Missing From Header\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n"
            "Content-Length: 0\r\n\r\n");
}

// --- The library behind it ---

std::string parse(const std::string& octets) {
  const auto all = read(octets);
  if (all.frames.size() != 1) return "no frame";
  const auto parsed = parse_frame(all.frames[0]);
  if (parsed) return "parsed";
  EXPECT_THAT(parsed.error().answer,
              ::testing::AnyOf("", StartsWith("SIP/2.0 " + std::to_string(parsed.error().status))));
  return std::to_string(parsed.error().status) + " " + parsed.error().reason;
}

std::string changed(const std::string& from, const std::string& to) {
  auto out = message();
  const auto at = out.find(from);
  EXPECT_NE(at, out.npos);
  return out.replace(at, from.size(), to);
}

TEST(ParseFrame, TakesWhatTheGrammarAllows) {
  EXPECT_EQ(parse(message()), "parsed");
  EXPECT_EQ(parse(message("Contact: *\r\n")), "parsed");
  EXPECT_EQ(parse(message("m: \"a \\\" <,;>\" <sip:a@192.0.2.1;lr>;q=0.5, <sip:b@[2001:db8::1]:5070>\r\n")), "parsed");
  EXPECT_EQ(parse(changed("<sip:alice@sealcast.test>", "Alice B. Charles <sip:alice@sealcast.test>")), "parsed");
  EXPECT_EQ(parse(changed("<sip:alice@sealcast.test>", "sip:alice@sealcast.test")), "parsed");
  EXPECT_EQ(parse(changed("<sip:bob@sealcast.test>", "<tel:+123;ext=4>")), "parsed");
  EXPECT_EQ(parse(changed("Via: SIP/2.0/TCP 192.0.2.1:5060", "v:  SIP / 2.0 / TCP  [2001:db8::1] : 5060 ")), "parsed");
  auto unusual = message();
  unusual.replace(0, 7, "!x-Method*_+`.%'~");
  unusual.replace(unusual.find("1 OPTIONS"), 9, "1 !x-Method*_+`.%'~");
  EXPECT_EQ(parse(unusual), "parsed");
  for (const std::string method : {"PING", "REF", "INVITES", "B"}) {
    auto unknown = message();
    unknown.replace(unknown.find("1 OPTIONS"), 9, "1 " + method).replace(0, 7, method);
    EXPECT_EQ(parse(unknown), "parsed") << method;
  }
  EXPECT_EQ(parse("SIP/2.0 200 \r\n" + k_rest + "l: 0\r\n\r\n"), "parsed");
}

TEST(ParseFrame, TheBodyIsTheOneThatWasFramed) {
  const auto all = read(message("Content-Type: application/sdp\r\n", std::string("a\0b\r\n\r\nINVITE", 13)));
  ASSERT_EQ(all.frames.size(), 1U);
  const auto parsed = parse_frame(all.frames[0]);
  ASSERT_TRUE(parsed) << parsed.error().reason;
  EXPECT_EQ(parsed->sip()->sip_payload->pl_len, 13U);
}

TEST(ParseFrame, RefusesStartLinesBesideTheGrammar) {
  for (const char* line : {"OPTIONS  sip:bob@sealcast.test SIP/2.0", "OPTIONS sip:bob@sealcast.test  SIP/2.0",
                           "OPTIONS sip:bob@sealcast.test SIP/2.0 ", "OPTIONS <sip:bob@sealcast.test> SIP/2.0",
                           "OPTIONS sip:bob@sealcast.test; lr SIP/2.0", "OPTIONS bob SIP/2.0", "OPTIONS SIP/2.0",
                           "OPT IONS sip:bob@sealcast.test SIP/2.0", "OPTIONS sip:b@x?Route=%3Csip:y%3E SIP/2.0",
                           "OPTIONS sip:b@x HTTP/1.1", "OPTIONS", "SIP/2.0 99 Low", "SIP/2.0 4294967301 Big"})
    EXPECT_THAT(parse(changed(k_start, std::string(line) + "\r\n")), StartsWith("400")) << line;
  EXPECT_EQ(parse(changed("SIP/2.0\r\n", "SIP/7.0\r\n")), "505 Version Not Supported");
}

TEST(ParseFrame, RefusesFieldsThatAreMissingDoubledOrWrong) {
  for (const char* name : {"Via", "From", "To", "Call-ID", "CSeq"})
    EXPECT_EQ(parse(changed(std::string("\r\n") + name + ":", "\r\nX:")),
              "400 Missing " + std::string(name) + " Header");
  EXPECT_EQ(parse(message("f: <sip:mallory@sealcast.test>;tag=m\r\n")), "400 More Than One From Header");
  EXPECT_EQ(parse(message("i: two\r\n")), "400 More Than One Call-ID Header");
  EXPECT_EQ(parse(message("Max-Forwards: 5\r\n")), "400 More Than One Max-Forwards Header");
  EXPECT_EQ(parse(changed("CSeq: 1 OPTIONS", "CSeq: 1 INVITE")), "400 CSeq Names Another Method");
  for (const char* bad : {"36893488147419103232 OPTIONS", "x OPTIONS", "1", "-1 OPTIONS", "2147483648 OPTIONS"})
    EXPECT_EQ(parse(changed("1 OPTIONS", bad)), "400 Bad CSeq Header") << bad;
  EXPECT_EQ(parse(changed("Max-Forwards: 70", "Max-Forwards: 300")), "400 Bad Max-Forwards Header");
  EXPECT_EQ(parse(message("Expires: 10000000000000000000\r\n")), "400 Bad Expires Header");
}

TEST(ParseFrame, RefusesAddressesThatHaveTwoReadings) {
  for (const char* bad :
       {"\"Mr. X <sip:bob@sealcast.test>", "Bell, Alexander <sip:bob@sealcast.test>", "\"B\" < sip:bob@sealcast.test >",
        "<sip:bob@sealcast.test", "sip:bob@sealcast.test>", "<>", "bob", "<bob>", "<sip:bob@sealcast.test>;;,;,",
        "<sip:bob@sealcast.test> x", "\"B\" x <sip:bob@sealcast.test>", "sip:bob@x?Route=%3Csip:y%3E",
        "<sip:a@b>,<sip:c@d>", "<sip:bob@sealcast.test>;tag=a b", "<sip:bob@sealcast.test>;tag=\"a"})
    EXPECT_EQ(parse(changed("<sip:bob@sealcast.test>", bad)), "400 Bad To Header") << bad;
  EXPECT_EQ(parse(message("Contact: sip:user@example.com?Route=%3Csip:x%3E\r\n")), "400 Bad Contact Header");
  EXPECT_EQ(parse(message("Route: <sip:x;lr>,,<sip:y;lr>\r\n")), "400 Bad Route Header");
  for (const char* bad : {"SIP/2.0/TCP", "SIP/2.0/TCP x;;,;,,", "SIP/2.0 x", "SIP/2.0/TCP x:99999",
                          "SIP/2.0/TCP x y;a=\"", "SIP/2.0/TCP [::1", "SIP/2.0/T CP x"})
    EXPECT_EQ(parse(changed("SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1", bad)), "400 Bad Via Header") << bad;
}

TEST(ParseFrame, RefusesWhatTheLibraryCannotRead) {
  EXPECT_EQ(parse(message("Session-Expires: soon\r\n")), "400 Bad Header Field");
  EXPECT_EQ(parse(message("RSeq: -\r\n")), "400 Bad Header Field");
}

TEST(HeaderLines, SplitsOutsideOfQuotesAndBrackets) {
  EXPECT_EQ(split_outside("a, \"b,\\\",c\" ,<d,e>", ','),
            (std::vector<std::string_view>{"a", "\"b,\\\",c\"", "<d,e>"}));
  EXPECT_EQ(split_outside("", ',').size(), 1U);
}

}  // namespace
}  // namespace sealcast::sip
