#include "base/json.hpp"

#include <nlohmann/json.hpp>

namespace sealcast::json {
namespace {

// Builds a Value from nlohmann's parser events, so that depth, duplicates and number ranges are ours to judge.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(int depth) : limit_(depth) {}

  bool null() override { return put(Value{}); }
  bool boolean(bool v) override { return put(v); }
  bool number_integer(std::int64_t v) override { return put(v); }
  bool number_unsigned(std::uint64_t v) override {
    if (v > static_cast<std::uint64_t>(INT64_MAX)) return refuse("a number is beyond 63 bits");
    return put(static_cast<std::int64_t>(v));
  }
  bool number_float(double v, const std::string&) override { return put(v); }
  bool string(std::string& v) override { return put(std::move(v)); }
  bool binary(nlohmann::json::binary_t&) override { return refuse("binary values are not JSON"); }
  bool start_object(std::size_t) override { return open(Frame{Object{}, {}, true}); }
  bool start_array(std::size_t) override { return open(Frame{{}, Array{}, false}); }
  bool key(std::string& k) override {
    if (stack_.back().object.contains(k)) return refuse("a member occurs twice");
    stack_.back().key = std::move(k);
    return true;
  }
  bool end_object() override {
    Value done(std::move(stack_.back().object));
    stack_.pop_back();
    return put(std::move(done));
  }
  bool end_array() override {
    Value done(std::move(stack_.back().array));
    stack_.pop_back();
    return put(std::move(done));
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("wrong at octet " + std::to_string(at));
  }

  Value result_;
  std::string why_;

 private:
  struct Frame {
    Object object;
    Array array;
    bool is_object;
    std::string key = {};
  };
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }
  bool open(Frame frame) {
    if (static_cast<int>(stack_.size()) >= limit_) return refuse("nested too deep");
    stack_.push_back(std::move(frame));
    return true;
  }
  bool put(Value v) {
    if (stack_.empty()) {
      result_ = std::move(v);
    } else if (stack_.back().is_object) {
      stack_.back().object.emplace(std::move(stack_.back().key), std::move(v));
    } else {
      stack_.back().array.push_back(std::move(v));
    }
    return true;
  }
  int limit_;
  std::vector<Frame> stack_;
};

nlohmann::json to_library(const Value& v) {
  if (auto* b = v.as_bool()) return *b;
  if (auto* i = v.as_int()) return *i;
  if (auto* d = v.as_double()) return *d;
  if (auto* s = v.as_string()) return *s;
  if (auto* a = v.as_array()) {
    auto out = nlohmann::json::array();
    for (auto& item : *a) out.push_back(to_library(item));
    return out;
  }
  if (auto* o = v.as_object()) {
    auto out = nlohmann::json::object();
    for (auto& [key, item] : *o) out[key] = to_library(item);
    return out;
  }
  return nullptr;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  auto* object = as_object();
  if (!object) return nullptr;
  auto it = object->find(key);
  return it == object->end() ? nullptr : &it->second;
}

std::string Value::string_or(std::string_view key, std::string fallback) const {
  auto* v = find(key);
  return v && v->as_string() ? *v->as_string() : std::move(fallback);
}

std::int64_t Value::int_or(std::string_view key, std::int64_t fallback) const {
  auto* v = find(key);
  return v && v->as_int() ? *v->as_int() : fallback;
}

bool Value::bool_or(std::string_view key, bool fallback) const {
  auto* v = find(key);
  return v && v->as_bool() ? *v->as_bool() : fallback;
}

// Everything beyond ASCII is escaped: these documents go to terminals too, and titles come from outside.
std::string Value::text() const {
  return to_library(*this).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}
std::string Value::pretty() const {
  return to_library(*this).dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
}

Result<Value> parse(std::string_view text, Limits limits) {
  if (text.size() > limits.octets) return fail("JSON: longer than " + std::to_string(limits.octets) + " octets");
  Builder builder(limits.depth);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return fail("JSON: " + builder.why_);
  return std::move(builder.result_);
}

}  // namespace sealcast::json
