#pragma once
// What an attacker looks for in octets: pieces of a plaintext that it knows, SRTP keys, content keys, words.
#include <functional>
#include <set>

#include "content/sealing.hpp"
#include "rtp/suite.hpp"

namespace sealcast::attacker {

inline constexpr std::size_t k_window = 16;

// The windows of 16 octets at multiples of 16 in a plaintext, each once; dull ones (fewer than four different octets)
// are left out. They are found at any place of what is searched.
class Windows {
 public:
  // Which of them were found.
  class Found {
   public:
    std::size_t count() const { return count_; }
    void add(const Found& other);

   private:
    friend class Windows;
    void mark(std::uint32_t window);
    std::vector<bool> marks_;
    std::size_t count_ = 0;
  };

  explicit Windows(ByteView plaintext);
  std::size_t count() const { return count_; }
  void scan(ByteView octets, Found& found) const;

 private:
  std::uint32_t slot(std::uint64_t hash,
                     const std::uint8_t* window) const;  // of the table: the window's, or the empty one for it
  ByteView plaintext_;
  std::vector<std::uint64_t> filter_;  // bits by hash: most octets of a capture stop here
  std::vector<std::uint32_t> table_;   // 1 + number of the window in the plaintext; 0 is empty
  std::size_t count_ = 0;
};

struct InlineKey {
  rtp::CryptoSuite suite;
  Bytes key_and_salt;
  auto operator<=>(const InlineKey&) const = default;
};

// What was found besides plaintext, with numbers of occurrences.
struct Loot {
  std::size_t inline_keys = 0, known_key = 0, words = 0;
  std::set<InlineKey> srtp_keys;
  std::set<Bytes> content_keys;  // members "k" of 16 octets in JSON, and the known key if it was seen
};

// Looks at octets as they are and at everything in them that can be read as base64 or base64url, layer by layer (JWS,
// JWE, JSON in JSON).
class Searcher {
 public:
  // known: the key to look for (raw, hex, base64, base64url); words: secrets of another kind, such as passwords.
  Searcher(std::optional<Bytes> known, std::vector<std::string> words);
  void search(ByteView octets, Loot& loot) const { layer(octets, loot, 4); }

 private:
  void layer(ByteView octets, Loot& loot, int depth) const;
  void inline_keys(ByteView octets, Loot& loot) const;
  void content_keys(ByteView octets, Loot& loot) const;
  std::optional<Bytes> known_;
  std::vector<Bytes> forms_;
  std::vector<Bytes> words_;
};

// Both alphabets, no strictness; an attacker takes what it gets.
Bytes lax_base64(ByteView text);

}  // namespace sealcast::attacker
