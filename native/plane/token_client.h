// A receiver's side of port mapping (RFC 6284): gets a token, renews it, shows it.
#pragma once

#include <array>
#include <optional>

#include "codec/port_token.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/** A token as it was given. */
struct HeldToken {
  codec::TokenNonce nonce{};
  std::array<std::uint8_t, codec::kMostToken> token{};
  std::size_t size = 0;
  std::uint64_t expiry = 0;
  /** From when on it is no good any more. */
  Nanos until = 0;
};

/**
 * Knows when to ask and what to say; time is an argument (CLOCK_MONOTONIC), sending is the owner's. A token
 * holds for the address and port from which it was asked for. Allocates nothing.
 */
class TokenClient {
 public:
  /** Between attempts that nobody answers: at first, and doubled up to the most. */
  static constexpr Nanos kFirstPause = 200 * kernel::kMillisecond;
  static constexpr Nanos kLongestPause = 5 * kernel::kSecond;

  /** What an answer came to. */
  enum class Answer : std::uint8_t { not_ours, granted, refused };

  explicit TokenClient(std::uint32_t ssrc) noexcept : ssrc_(ssrc) {}

  /** When request() is to be called next. */
  [[nodiscard]] Nanos due() const noexcept { return due_; }
  /** Writes a Port Mapping Request; false when it does not fit or there is no entropy: then again later. */
  bool request(codec::RtcpWriter& writer, Nanos now) noexcept;
  /** An answer whose nonce is another is not for us: whoever forges one cannot know it. */
  Answer take(const codec::RtcpPacket& packet, Nanos now) noexcept;
  /** Whether there is a token that is good. */
  [[nodiscard]] bool holds(Nanos now) const noexcept { return held_ && now < held_->until; }
  /** Writes a Token Verification Request; false while there is no token that is good. */
  bool prove(codec::RtcpWriter& writer, Nanos now) const noexcept;

 private:
  bool keep(const codec::PortMappingResponse& response, Nanos now) noexcept;

  const std::uint32_t ssrc_;
  Nanos due_ = 0;
  Nanos asked_at_ = 0;
  Nanos pause_ = kFirstPause;
  /** Of the request that nobody has answered yet. */
  std::optional<codec::TokenNonce> asked_;
  std::optional<HeldToken> held_;
};

}  // namespace sluice::plane
