// Content URIs and roots as text.
#include "content/uri.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = string_of({data, size});
  if (auto uri = content::parse_content_uri(text)) {
    auto again = content::parse_content_uri(uri->text());
    SEALCAST_ASSERT(again && again->root == uri->root && again->domain == uri->domain);
  }
  if (auto root = content::parse_root(text)) SEALCAST_ASSERT(content::parse_root(content::root_text(*root)) == root);
  return 0;
}
