#include "sip/stream_reader.hpp"

#include <algorithm>
#include <utility>

#include "sip/header_lines.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_most_digits = 9;  // of a Content-Length that is worth reading

// Commas cost time in the library even where they part no values: in <> and in quotes that never end.
constexpr std::size_t k_commas_per_value = 4;

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void StreamReader::feed(ByteView octets) {
  if (refused_) return;
  if (at_ > 0) {
    input_.erase(0, at_);
    at_ = 0;
  }
  input_.append(reinterpret_cast<const char*>(octets.data()), octets.size());
}

StreamReader::Outcome StreamReader::next() {
  if (refused_) return std::nullopt;
  if (in_body_) return read_body();
  if (frame_.octets.empty()) {
    if (auto outcome = skip_empty_lines()) return outcome;
  }
  return read_header();
}

Refusal StreamReader::refuse(int status, std::string reason) {
  refused_ = true;
  Refusal out{status, std::move(reason), {}};
  out.answer = answer_to(frame_.octets, out.status, out.reason);
  input_ = {};
  frame_ = {};
  at_ = 0;
  return out;
}

// RFC 3261 section 7.5: empty lines before a start line are no part of a message. Two of them are a keep-alive.
StreamReader::Outcome StreamReader::skip_empty_lines() {
  while (input_.size() - at_ >= 2 && input_[at_] == '\r' && input_[at_ + 1] == '\n') {
    at_ += 2;
    scanned_ = 0;
    if (++empty_ < 2) continue;
    empty_ = 0;
    return KeepAlive{};
  }
  if (at_ < input_.size() && input_[at_] != '\r') empty_ = 0;
  return std::nullopt;
}

StreamReader::Outcome StreamReader::read_header() {
  for (;;) {
    const auto end = input_.find('\n', at_ + scanned_);
    if (end == std::string::npos) {
      scanned_ = input_.size() - at_;
      if (scanned_ > limits_.line_octets) return refuse(400, "Line Too Long");
      return std::nullopt;
    }
    scanned_ = 0;
    const auto line = std::string_view(input_).substr(at_, end + 1 - at_);
    if (line.size() > limits_.line_octets) return refuse(400, "Line Too Long");
    if (line.find('\0') != line.npos) return refuse(400, "NUL In Header");
    if (line.size() < 2 || line[line.size() - 2] != '\r') return refuse(400, "Bare LF In Header");
    const auto text = line.substr(0, line.size() - 2);
    if (text.find('\r') != text.npos) return refuse(400, "Bare CR In Header");
    at_ = end + 1;
    if (text.empty()) break;
    if (auto refusal = take_line(text)) return *refusal;
  }
  if (auto refusal = end_of_header()) return *refusal;
  return read_body();
}

std::optional<Refusal> StreamReader::take_line(std::string_view line) {
  if (++lines_ > limits_.header_lines) return refuse(400, "Too Many Header Lines");
  if (frame_.octets.size() + line.size() + 4 > limits_.header_octets) return refuse(400, "Header Too Large");
  const bool folded = line.front() == ' ' || line.front() == '\t';
  if (!folded) {
    frame_.octets.append(line).append("\r\n");
    return std::nullopt;
  }
  if (lines_ <= 2) return refuse(400, "Folded Start Line");
  // Section 7.3.1: a line break and the white space after it are one space.
  const auto begin = std::min(line.find_first_not_of(" \t"), line.size());
  auto& header = frame_.octets;
  header.resize(header.size() - 2);
  const auto previous = header.rfind('\n') + 1;
  if (header.size() - previous + line.size() - begin + 3 > limits_.line_octets) return refuse(400, "Line Too Long");
  header.append(" ").append(line.substr(begin)).append("\r\n");
  return std::nullopt;
}

std::optional<Refusal> StreamReader::end_of_header() {
  std::optional<std::string_view> length;
  std::size_t commas = 0;
  HeaderLines lines(frame_.octets);
  while (auto header = lines.next()) {
    if (header->name.empty()) return refuse(400, "Header Field Without Name");
    if (is_header(header->name, "Content-Length", 'l')) {
      if (length) return refuse(400, "More Than One Content-Length");
      length = header->value;
    }
    commas += static_cast<std::size_t>(std::count(header->value.begin(), header->value.end(), ','));
    const auto found = separators(header->value, ',');
    if (found > 0) values_ += found + 1;
    if (values_ > limits_.values || commas > limits_.values * k_commas_per_value)
      return refuse(400, "Too Many Values In Header");
  }
  if (!length) return refuse(400, "Missing Content-Length");
  if (!all_digits(*length)) return refuse(400, "Bad Content-Length");
  body_size_ = 0;
  const auto digits = length->substr(std::min(length->find_first_not_of('0'), length->size()));
  if (digits.size() > k_most_digits) return refuse(413, "Request Entity Too Large");
  for (char c : digits) body_size_ = body_size_ * 10 + static_cast<std::size_t>(c - '0');
  if (body_size_ > limits_.body_octets) return refuse(413, "Request Entity Too Large");
  frame_.octets.append("\r\n");
  frame_.body_at = frame_.octets.size();
  in_body_ = true;
  return std::nullopt;
}

StreamReader::Outcome StreamReader::read_body() {
  if (input_.size() - at_ < body_size_) return std::nullopt;
  frame_.octets.append(input_, at_, body_size_);
  at_ += body_size_;
  lines_ = values_ = body_size_ = empty_ = 0;
  in_body_ = false;
  return std::exchange(frame_, {});
}

}  // namespace sealcast::sip
