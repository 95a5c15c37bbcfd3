#include "plane/token_client.h"

#include <algorithm>

#include "secure/secret.h"

namespace sluice::plane {

bool TokenClient::request(codec::RtcpWriter& writer, Nanos now) noexcept {
  asked_at_ = now;
  due_ = now + pause_;
  pause_ = std::min(2 * pause_, kLongestPause);
  if (!asked_) {
    // The same for every attempt: an answer that comes late is good.
    codec::TokenNonce nonce{};
    if (!secure::random_bytes(nonce)) return false;
    asked_ = nonce;
  }
  return codec::write(writer, codec::PortMappingRequest{ssrc_, *asked_});
}

TokenClient::Answer TokenClient::take(const codec::RtcpPacket& packet, Nanos now) noexcept {
  if (const auto response = codec::port_mapping_response(packet))
    return keep(*response, now) ? Answer::granted : Answer::not_ours;
  const auto failure = codec::token_failure(packet);
  if (!failure || !held_ || failure->nonce != held_->nonce) return Answer::not_ours;
  held_.reset();
  // At once, but not faster than unanswered requests: the server may refuse whatever we show.
  if (!asked_) due_ = std::max(now, asked_at_ + kFirstPause);
  return Answer::refused;
}

bool TokenClient::keep(const codec::PortMappingResponse& response, Nanos now) noexcept {
  if (!asked_ || response.nonce != *asked_ || response.asked_by != ssrc_ || response.lifetime == 0)
    return false;
  const Nanos lifetime = Nanos{response.lifetime} * kernel::kSecond;
  HeldToken& held = held_.emplace();
  held.nonce = response.nonce;
  held.size = response.token.size();
  std::copy(response.token.begin(), response.token.end(), held.token.begin());
  held.expiry = response.expiry;
  held.until = now + lifetime;
  asked_.reset();
  pause_ = kFirstPause;
  due_ = now + lifetime / 4 * 3;
  return true;
}

bool TokenClient::prove(codec::RtcpWriter& writer, Nanos now) const noexcept {
  if (!holds(now)) return false;
  return codec::write(
      writer,
      codec::TokenProof{ssrc_, held_->nonce, codec::Bytes(held_->token).first(held_->size), held_->expiry});
}

}  // namespace sluice::plane
