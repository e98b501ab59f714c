#include "search.hpp"

#include <algorithm>
#include <bit>

#include "base/encoding.hpp"

namespace sealcast::attacker {
namespace {

constexpr unsigned k_filter_bits = 24;
constexpr std::size_t k_least_run = 20;  // octets of base64 that are worth reading

std::uint64_t hash_of(const std::uint8_t* window) {
  std::uint64_t a, b;
  std::memcpy(&a, window, 8);
  std::memcpy(&b, window + 8, 8);
  auto h = (a ^ std::rotl(b * 0x9e3779b97f4a7c15u, 29)) * 0xff51afd7ed558ccdu;
  return h ^ h >> 32;
}

bool dull(const std::uint8_t* window) {
  std::set<std::uint8_t> different(window, window + k_window);
  return different.size() < 4;
}

int base64_value(std::uint8_t c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

std::size_t base64_run(ByteView text) {
  std::size_t size = 0;
  while (size < text.size() && base64_value(text[size]) >= 0) ++size;
  return size;
}

// Calls with what follows each place of the needle.
void each_place(ByteView octets, ByteView needle, const std::function<void(std::size_t behind)>& call) {
  for (std::size_t from = 0; from < octets.size();) {
    auto* at = static_cast<const std::uint8_t*>(
        ::memmem(octets.data() + from, octets.size() - from, needle.data(), needle.size()));
    if (!at) return;
    from = static_cast<std::size_t>(at - octets.data()) + needle.size();
    call(from);
  }
}

std::string upper(std::string text) {
  for (auto& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

void Windows::Found::mark(std::uint32_t window) {
  if (marks_.size() <= window) marks_.resize(std::max<std::size_t>(window + 1, marks_.size() * 2));
  if (marks_[window]) return;
  marks_[window] = true;
  ++count_;
}

void Windows::Found::add(const Found& other) {
  for (std::size_t i = 0; i < other.marks_.size(); ++i)
    if (other.marks_[i]) mark(static_cast<std::uint32_t>(i));
}

Windows::Windows(ByteView plaintext)
    : plaintext_(plaintext),
      filter_((std::size_t{1} << k_filter_bits) / 64),
      table_(std::bit_ceil(plaintext.size() / k_window * 2 + 2)) {
  for (std::uint32_t i = 0; (i + 1) * k_window <= plaintext.size(); ++i) {
    auto* window = plaintext.data() + i * k_window;
    auto hash = hash_of(window);
    auto& place = table_[slot(hash, window)];
    if (place != 0 || dull(window)) continue;
    place = i + 1;
    ++count_;
    auto bit = hash & ((std::uint64_t{1} << k_filter_bits) - 1);
    filter_[bit / 64] |= std::uint64_t{1} << bit % 64;
  }
}

std::uint32_t Windows::slot(std::uint64_t hash, const std::uint8_t* window) const {
  auto mask = table_.size() - 1;
  for (auto at = (hash >> k_filter_bits) & mask;; at = (at + 1) & mask) {
    if (table_[at] == 0 || std::memcmp(plaintext_.data() + (table_[at] - 1) * k_window, window, k_window) == 0)
      return static_cast<std::uint32_t>(at);
  }
}

void Windows::scan(ByteView octets, Found& found) const {
  for (std::size_t at = 0; at + k_window <= octets.size(); ++at) {
    auto* window = octets.data() + at;
    auto hash = hash_of(window);
    auto bit = hash & ((std::uint64_t{1} << k_filter_bits) - 1);
    if (!(filter_[bit / 64] >> bit % 64 & 1)) continue;
    if (auto number = table_[slot(hash, window)]) found.mark(number - 1);
  }
}

Bytes lax_base64(ByteView text) {
  Bytes out;
  std::uint32_t bits = 0;
  int count = 0;
  for (auto c : text) {
    auto value = base64_value(c);
    if (value < 0) break;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> count));
  }
  return out;
}

Searcher::Searcher(std::optional<Bytes> known, std::vector<std::string> words) : known_(std::move(known)) {
  for (auto& word : words) words_.push_back(bytes_of(word));
  if (!known_) return;
  auto unpadded = base64(*known_);
  while (!unpadded.empty() && unpadded.back() == '=') unpadded.pop_back();
  std::set<Bytes> forms{*known_, bytes_of(base64url(*known_)), bytes_of(unpadded), bytes_of(hex(*known_)),
                        bytes_of(upper(hex(*known_)))};
  forms_.assign(forms.begin(), forms.end());
}

void Searcher::layer(ByteView octets, Loot& loot, int depth) const {
  inline_keys(octets, loot);
  content_keys(octets, loot);
  for (auto& word : words_) each_place(octets, word, [&](std::size_t) { ++loot.words; });
  if (depth == 0) return;
  for (std::size_t at = 0; at < octets.size();) {
    auto run = base64_run(octets.subspan(at));
    if (run >= k_least_run) layer(lax_base64(octets.subspan(at, run)), loot, depth - 1);
    at += run + 1;
  }
}

// "a=crypto:1 AEAD_AES_128_GCM inline:..."; without a readable suite the length says which.
void Searcher::inline_keys(ByteView octets, Loot& loot) const {
  static constexpr rtp::CryptoSuite k_suites[] = {rtp::CryptoSuite::aead_aes_128_gcm,
                                                  rtp::CryptoSuite::aes_cm_128_hmac_sha1_80,
                                                  rtp::CryptoSuite::aead_aes_256_gcm};
  each_place(octets, view_of("inline:"), [&](std::size_t behind) {
    auto text = octets.subspan(behind);
    auto key = lax_base64(text.first(base64_run(text)));
    auto start = behind - std::min<std::size_t>(behind, 64);
    auto before = string_of(octets.subspan(start, behind - start));
    before.erase(0, before.rfind('\n') == std::string::npos ? 0 : before.rfind('\n'));
    bool counted = false;
    for (auto suite : k_suites) {
      if (key.size() != rtp::sizes(suite).key + rtp::sizes(suite).salt) continue;
      bool named = before.find(rtp::name(suite)) != std::string::npos;
      bool another = !named && before.find("crypto:") != std::string::npos;
      if (another) continue;
      loot.srtp_keys.insert({suite, key});
      counted = true;
    }
    if (counted) ++loot.inline_keys;
  });
}

void Searcher::content_keys(ByteView octets, Loot& loot) const {
  each_place(octets, view_of("\"k\":"), [&](std::size_t behind) {
    while (behind < octets.size() && octets[behind] == ' ') ++behind;
    if (behind >= octets.size() || octets[behind] != '"') return;
    auto text = octets.subspan(behind + 1);
    auto run = base64_run(text);
    auto key = lax_base64(text.first(run));
    if (key.size() == content::ContentKey::size() && run < text.size() && (text[run] == '"' || text[run] == '='))
      loot.content_keys.insert(key);
  });
  for (auto& form : forms_) {
    each_place(octets, form, [&](std::size_t) {
      ++loot.known_key;
      loot.content_keys.insert(*known_);
    });
  }
}

}  // namespace sealcast::attacker
