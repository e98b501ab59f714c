#pragma once
// The core's memory of a dialog, kept by the parties themselves: the user part of our Record-Route says, sealed, who
// the two ends are. Sealed and fresh for each dialog: a callee must not read the caller's name from it, nor see that
// two dialogs are of one caller.
#include <optional>
#include <string>
#include <utility>

#include "base/random.hpp"
#include "crypto/aead.hpp"

namespace sealcast::sip {

// One end of a dialog: a subscriber (with the binding that took part) or a service (`name` = user_or_domain of its
// route).
struct Party {
  enum class Kind : std::uint8_t { subscriber, service };
  Kind kind = Kind::subscriber;
  std::string name;
  std::uint64_t binding = 0;
  std::uint64_t generation = 0;  // of a subscriber: how often one of this name was removed
};

class DialogTokens {
 public:
  explicit DialogTokens(RandomSource& random);
  std::string seal(const Party& caller, const Party& callee);  // base64url
  std::optional<std::pair<Party, Party>> open(std::string_view token);

 private:
  RandomSource& random_;
  crypto::AesGcm cipher_;
};

}  // namespace sealcast::sip
