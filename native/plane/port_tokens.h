// Tokens with which receivers prove their addresses (RFC 6284 section 5): made without remembering anybody.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "codec/port_token.h"
#include "kernel/address.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/**
 * A token is an HMAC over the address and port that it was sent to, the nonce of the one who asked and its
 * expiry. The key is random, a new one for every lifetime; the one before stays good until its last token has
 * expired. On one thread. Moments are CLOCK_REALTIME, because a client gives the expiry back as an NTP
 * timestamp: where that clock is set back, tokens that are good for longer than they could be are refused.
 */
class PortTokens {
 public:
  /** With its length in front, whole words: a number of the key, then as much of the HMAC as there is room
   * for. */
  static constexpr std::size_t kSize = 19;

  struct Grant {
    std::array<std::uint8_t, kSize> token{};
    /** NTP timestamp. */
    std::uint64_t expiry = 0;
    /** Seconds. */
    std::uint32_t lifetime = 0;
  };

  /** `lifetime` is whole seconds, 1 s to 24 h. */
  explicit PortTokens(Nanos lifetime) noexcept : lifetime_(lifetime) {}
  PortTokens(const PortTokens&) = delete;
  PortTokens& operator=(const PortTokens&) = delete;
  ~PortTokens();

  /** None when there is no entropy or no memory. */
  std::optional<Grant> grant(const kernel::Address& asker, const codec::TokenNonce& nonce,
                             Nanos now) noexcept;
  /** Whether it was granted to this address and port, for this nonce, and is still good. */
  [[nodiscard]] bool proves(const kernel::Address& sender, const codec::TokenProof& proof,
                            Nanos now) const noexcept;

 private:
  struct Key {
    std::array<std::uint8_t, 32> secret{};
    std::uint8_t number = 0;
    bool made = false;
  };
  using Token = std::array<std::uint8_t, kSize>;

  bool renew(Nanos now) noexcept;
  static std::optional<Token> make(const Key& key, const kernel::Address& address,
                                   const codec::TokenNonce& nonce, std::uint64_t expiry) noexcept;

  const Nanos lifetime_;
  /** The newest first. */
  std::array<Key, 2> keys_;
  Nanos made_at_ = 0;
};

}  // namespace sluice::plane
