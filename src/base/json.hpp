#pragma once
// JSON values (RFC 8259) behind our own small interface: strict, bounded, integers only where integers are meant.
#include <cstdint>
#include <map>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace sealcast::json {

class Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, Value, std::less<>>;

// An owned JSON value. as_x() gives nullptr / nullopt when the value is of another type.
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool v) : v_(v) {}
  Value(int v) : v_(std::int64_t{v}) {}
  Value(unsigned v) : v_(std::int64_t{v}) {}
  Value(std::int64_t v) : v_(v) {}
  Value(std::uint64_t v) : v_(static_cast<std::int64_t>(v)) {}  // our own values stay below 2^63
  Value(double v) : v_(v) {}
  Value(std::string v) : v_(std::move(v)) {}
  Value(std::string_view v) : v_(std::string(v)) {}
  Value(const char* v) : v_(std::string(v)) {}
  Value(Array v) : v_(std::move(v)) {}
  Value(Object v) : v_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  const bool* as_bool() const { return std::get_if<bool>(&v_); }
  const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&v_); }
  const double* as_double() const { return std::get_if<double>(&v_); }
  const std::string* as_string() const { return std::get_if<std::string>(&v_); }
  const Array* as_array() const { return std::get_if<Array>(&v_); }
  const Object* as_object() const { return std::get_if<Object>(&v_); }

  // Member of an object; nullptr when this is no object or has no such member.
  const Value* find(std::string_view key) const;
  // Members by type, with a fallback: for documents of our own.
  std::string string_or(std::string_view key, std::string fallback = {}) const;
  std::int64_t int_or(std::string_view key, std::int64_t fallback = 0) const;
  bool bool_or(std::string_view key, bool fallback = false) const;

  // Compact, members in alphabetical order. Strings that are not UTF-8 have their bad octets replaced.
  std::string text() const;
  std::string pretty() const;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> v_;
};

struct Limits {
  std::size_t octets = 65536;
  int depth = 8;
};
// Refuses duplicate members, depth and size beyond the limits, integers beyond 64 bits signed, trailing octets, bad
// UTF-8.
Result<Value> parse(std::string_view text, Limits limits = {});

}  // namespace sealcast::json
