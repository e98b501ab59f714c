#pragma once
// Sealed objects: RFC 8188 aes128gcm bodies with records of 65,536 octets and a key id that commits to the key
// (docs/protocol.md section 3).
#include <array>
#include <memory>
#include <optional>

#include "crypto/aead.hpp"
#include "crypto/packet_cipher.hpp"

namespace sealcast::content {

inline constexpr std::uint32_t k_record = 65536;                    // octets of a record in the object
inline constexpr std::uint32_t k_record_plain = k_record - 16 - 1;  // less tag and delimiter
inline constexpr std::size_t k_key_id = 43;
inline constexpr std::size_t k_sealed_header = 16 + 4 + 1 + k_key_id;  // 64

using ContentKey = Secret<16>;
using SealedHeader = std::array<std::uint8_t, k_sealed_header>;

// Octets of the object for `plain` octets of file, and back; nullopt when no file has such an object.
std::uint64_t sealed_length(std::uint64_t plain);
std::optional<std::uint64_t> plain_length(std::uint64_t sealed);

SealedHeader make_sealed_header(const std::array<std::uint8_t, 16>& salt, const ContentKey& key);
// Record size, length of the key id and its form; not the key.
bool is_sealed_header(ByteView header);
std::string key_id(const SealedHeader& header);
// Does the header commit to this key? Constant time.
bool commits_to(const SealedHeader& header, const ContentKey& key);

// What RFC 8188 section 2.2 and 2.3 derive from salt and key: the key of all records, and a nonce for each.
class RecordKeys {
 public:
  RecordKeys(ByteView salt, ByteView key);  // any RFC 8188 body
  RecordKeys(const SealedHeader& header, const ContentKey& key);
  ByteView key() const { return key_.expose(); }
  std::array<std::uint8_t, 12> nonce(std::uint64_t record) const;

 private:
  SecretBytes key_;
  std::array<std::uint8_t, 12> nonce_{};
};

// RFC 8188 section 2: what stands behind the data of a record.
inline constexpr std::uint8_t delimiter(bool last) {
  return last ? 2 : 1;
}

// One record after the other, given in order, plaintext complete: constant memory for any size.
class RecordSealer {
 public:
  RecordSealer(const SealedHeader& header, const ContentKey& key);
  RecordSealer(ByteView salt, ByteView key);  // any RFC 8188 body
  // One record: at most record size - 17 octets; out gets plain + 17 octets appended.
  void seal(ByteView plain, bool last, Bytes& out);

 private:
  RecordKeys keys_;
  std::unique_ptr<crypto::PacketCipher> cipher_;
  std::uint64_t next_ = 0;
};

// Opens records at random.
class RecordOpener {
 public:
  RecordOpener(const SealedHeader& header, const ContentKey& key);
  RecordOpener(ByteView salt, ByteView key);
  // record: its octets in the object; the plaintext replaces out. False: wrong tag, wrong delimiter, or padding only
  // where data must be.
  bool open(std::uint64_t index, ByteView record, bool last, Bytes& out);

 private:
  RecordKeys keys_;
  std::unique_ptr<crypto::PacketCipher> cipher_;
};

// File name and MIME type, sealed with the content (description member "meta").
struct Metadata {
  std::string name;
  std::string type;
};
Bytes seal_metadata(const Metadata& metadata, const SealedHeader& header, const ContentKey& key, ByteView root,
                    const std::array<std::uint8_t, 12>& nonce);
std::optional<Metadata> open_metadata(ByteView sealed, const SealedHeader& header, const ContentKey& key,
                                      ByteView root);

}  // namespace sealcast::content
