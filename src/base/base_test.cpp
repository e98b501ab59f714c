#include <gtest/gtest.h>

#include "base/address.hpp"
#include "base/encoding.hpp"
#include "base/json.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"
#include "base/wire.hpp"

namespace sealcast {
namespace {

TEST(Encoding, round_trips_every_length) {
  for (std::size_t n = 0; n < 70; ++n) {
    Bytes octets(n);
    for (std::size_t i = 0; i < n; ++i) octets[i] = static_cast<std::uint8_t>(i * 37 + n);
    EXPECT_EQ(parse_base64url(base64url(octets)), octets);
    EXPECT_EQ(parse_base64(base64(octets)), octets);
    EXPECT_EQ(parse_hex(hex(octets)), octets);
  }
}

TEST(Encoding, matches_rfc4648_section_10_and_refuses_foreign_text) {
  EXPECT_EQ(base64(view_of("foob")), "Zm9vYg==");
  EXPECT_EQ(base64url(view_of("foobar")), "Zm9vYmFy");
  for (auto* wrong : {"A", "AB=", "A*BC", "AB==C", "AC+/", "AB"}) EXPECT_FALSE(parse_base64url(wrong)) << wrong;
  EXPECT_TRUE(parse_base64("AA"));  // padding may be missing
}

TEST(Address, parses_and_prints_both_families) {
  for (auto* text : {"192.0.2.1", "2001:db8::7", "::1", "::", "fe80::1:2:3", "1:2:3:4:5:6:7:8"}) {
    auto address = parse_ip_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  EXPECT_EQ(parse_ip_address("::ffff:1.2.3.4")->text(), "::ffff:102:304");
  for (auto* wrong : {"", "1.2.3", "1.2.3.256", "01.2.3.4", "1:2:3", ":::", "1::2::3", "12345::", "1.2.3.4 "})
    EXPECT_FALSE(parse_ip_address(wrong)) << wrong;
  EXPECT_EQ(parse_endpoint("[::1]:5061")->text(), "[::1]:5061");
  for (auto* wrong : {"::1:5061", "1.2.3.4", "1.2.3.4:65536", "[1.2.3.4:1"})
    EXPECT_FALSE(parse_endpoint(wrong)) << wrong;
}

TEST(Json, refuses_duplicates_depth_big_numbers_and_rubbish) {
  EXPECT_TRUE(json::parse(R"({"a":[1,true,null,"x",2.5]})"));
  for (auto* wrong : {R"({"a":1,"a":2})", "[[[[[[[[[1]]]]]]]]]", "18446744073709551615", "{", "1 2", "\"\xff\"", ""})
    EXPECT_FALSE(json::parse(wrong)) << wrong;
  EXPECT_EQ(json::parse("{\"b\":1,\"a\":\"\xc3\xa9\"}")->text(), R"({"a":"\u00e9","b":1})");
}

TEST(Wire, reads_and_writes_within_bounds_only) {
  std::uint8_t buffer[7];
  Writer writer(buffer);
  writer.u32(0x01020304);
  writer.u16(0x0506);
  writer.u16(0x0708);
  EXPECT_FALSE(writer.ok());
  Reader reader(writer.written());
  EXPECT_EQ(reader.u32(), 0x01020304U);
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_FALSE(reader.ok());
}

TEST(Text, hides_what_would_move_a_terminal) {
  EXPECT_EQ(printable("a\x1b[2J\n\xe2\x80\xae"
                      "b\xff"),
            "a\\u{1b}[2J\\u{a}\\u{202e}b\\xff");
  EXPECT_EQ(printable("h\xc3\xa9"), "h\xc3\xa9");
  EXPECT_EQ(printable("abcd", 4), "abcd");
  EXPECT_EQ(printable("abc\x1b", 4), "abc...");  // the limit holds for what is shown, not for what came
  EXPECT_EQ(safe_file_name("../../etc/passwd", "content"), "_._.._etc_passwd");
  EXPECT_EQ(safe_file_name("", "content"), "content");
}

TEST(Secret, wipes_what_it_gave_away) {
  Secret<4> a(std::array<std::uint8_t, 4>{1, 2, 3, 4});
  Secret<4> b = std::move(a);
  EXPECT_EQ(a.expose()[0], 0);  // NOLINT: the moved-from state is the point
  EXPECT_EQ(b.expose()[3], 4);
  EXPECT_TRUE(b == b.duplicate());
}

}  // namespace
}  // namespace sealcast
