#pragma once
// Result of a call that can fail because of the world or of a user's input. The only includer of tl::expected.
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace sealcast {

// The value is the exit code of the command line (docs/operations.md): what a user's script sees.
enum class ErrorCode : int {
  failure = 1,           // none of the others
  usage = 2,             // the command line or the configuration is wrong
  not_found = 3,         // no such content, subscriber, node
  not_entitled = 4,      // the identity is known, and may not have this
  network = 5,           // nobody answers, or TLS says no
  integrity = 6,         // bytes are not what the signed description says
  interrupted = 7,       // stopped half-way; what is verified is kept
  key_not_released = 8,  // the content's key has not reached its holder, or its window has not begun
  disk_full = 9,
  negotiation = 10,     // offer/answer failed: the rule and the side are named
  authentication = 11,  // the core refused the identity
  unavailable = 12,     // a store is locked or fails for the moment: no verdict about anything, the same again later
};

// One sentence for a person, with what was wrong and where. `rule` and `side` are set for negotiation failures.
struct Error {
  ErrorCode code = ErrorCode::failure;
  std::string message;
  std::string rule = {};
  std::string side = {};
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(std::string message) {
  return fail(ErrorCode::failure, std::move(message));
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

// For results whose failure is a module's own enum (a peer's fault: no allocation).
template <class T, class E>
using Expected = tl::expected<T, E>;
template <class E>
tl::unexpected<E> unexpected(E error) {
  return tl::unexpected<E>(std::move(error));
}

}  // namespace sealcast

// Leaves the function with the error of `expression`, if any. SEALCAST_TRY_ASSIGN also declares `variable`.
#define SEALCAST_CONCAT_(a, b) a##b
#define SEALCAST_CONCAT(a, b) SEALCAST_CONCAT_(a, b)
#define SEALCAST_TRY(expression)                                                         \
  do {                                                                                   \
    auto sealcast_status_ = (expression);                                                \
    if (!sealcast_status_) return ::tl::unexpected(std::move(sealcast_status_).error()); \
  } while (false)
#define SEALCAST_TRY_ASSIGN(variable, expression) \
  SEALCAST_TRY_ASSIGN_(SEALCAST_CONCAT(sealcast_result_, __LINE__), variable, expression)
#define SEALCAST_TRY_ASSIGN_(temporary, variable, expression)            \
  auto temporary = (expression);                                         \
  if (!temporary) return ::tl::unexpected(std::move(temporary).error()); \
  variable = std::move(*temporary)
