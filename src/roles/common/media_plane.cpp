#include "roles/common/media_plane.hpp"

namespace sealcast::roles {

Error negotiation_error(const sdp::Refusal& refusal, std::string side) {
  return {ErrorCode::negotiation,
          "negotiation failed at the " + side + ": " + refusal.sentence + " (" + refusal.rule + ")", refusal.rule,
          side};
}

}  // namespace sealcast::roles
