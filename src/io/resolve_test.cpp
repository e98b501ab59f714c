#include "io/resolve.hpp"

#include <gtest/gtest.h>

namespace sealcast::io {
namespace {

TEST(Resolve, NumbersAreTakenAsTheyAre) {
  EXPECT_EQ(resolve("192.0.2.1:5061").value(), std::vector<Endpoint>{*parse_endpoint("192.0.2.1:5061")});
  EXPECT_EQ(resolve("[2001:db8::7]:5061").value(), std::vector<Endpoint>{*parse_endpoint("[2001:db8::7]:5061")});
}

TEST(Resolve, NamesHaveOneAddressOrMore) {
  const auto found = resolve("localhost:5061");
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_FALSE(found->empty());
  EXPECT_TRUE(found->front().address.is_loopback());
  EXPECT_EQ(found->front().port, 5061);
}

TEST(Resolve, SaysWhatIsWrong) {
  for (const char* place : {"", "core", ":5061", "core:"}) {
    const auto found = resolve(place);
    ASSERT_FALSE(found) << place;
    EXPECT_NE(found.error().message.find("is not of the form host:port"), std::string::npos) << found.error().message;
  }
  const auto found = resolve("localhost:no-such-service");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message.find("cannot find localhost: "), 0u) << found.error().message;
}

}  // namespace
}  // namespace sealcast::io
