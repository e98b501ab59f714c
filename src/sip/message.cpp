#include "sip/message.hpp"

#include <strings.h>

namespace sealcast::sip {
namespace {
std::vector<std::string> values_of(const std::vector<Header>& headers, std::string_view name) {
  std::vector<std::string> out;
  for (const auto& header : headers) {
    if (header.name.size() == name.size() && ::strncasecmp(header.name.data(), name.data(), name.size()) == 0)
      out.push_back(header.value);
  }
  return out;
}
}  // namespace

std::vector<std::string> Request::values(std::string_view name) const {
  return values_of(headers, name);
}
std::vector<std::string> Response::values(std::string_view name) const {
  return values_of(headers, name);
}

}  // namespace sealcast::sip
