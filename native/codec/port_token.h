// Port mapping (RFC 6284 section 4): how a receiver proves that it can hear what is sent to its address. RTCP
// packets of type TOKEN, told apart by their sub-type (SMT), which stands where others count blocks.
//
//   |V=2|P|   SMT   |    PT=210     | length: 32-bit words, less 1  |   request  response  proof    failure
//   |                     SSRC of the one who sends                 |      x        x        x         x
//   |                   SSRC of the one who asked                   |               x                  x
//   |   failed PT   |   FMT   |                  0                  |                                  x
//   |              nonce of the one who asked, 64 bits              |      x        x        x         x
//   |  length, bytes, 16 bits       | token, filled up to a word …  |               x        x
//   |            absolute expiry, NTP timestamp of 64 bits          |               x        x
//   |       relative expiry, seconds; 0: the token is no good       |               x
//   | length, bytes | types that need a token, filled up to a word …|               x
#pragma once

#include <array>
#include <cstring>
#include <optional>

#include "codec/rtcp_writer.h"

namespace sluice::codec {

/** Sub-types of TOKEN packets. */
namespace token_message {
constexpr std::uint8_t kRequest = 1;
constexpr std::uint8_t kResponse = 2;
constexpr std::uint8_t kProof = 3;
constexpr std::uint8_t kFailure = 4;
}  // namespace token_message

/** Chosen by chance by the one who asks: answers that do not repeat it are not for it. */
using TokenNonce = std::array<std::uint8_t, 8>;
constexpr std::size_t kMostToken = 255;
constexpr std::size_t kMostPacketTypes = 15;

/** Port Mapping Request. */
struct PortMappingRequest {
  std::uint32_t sender = 0;
  TokenNonce nonce{};
};

/** Port Mapping Response. */
struct PortMappingResponse {
  std::uint32_t sender = 0;
  std::uint32_t asked_by = 0;
  TokenNonce nonce{};
  /** Up to kMostToken bytes; of a response that was read, inside its datagram. */
  Bytes token;
  /** 32.32 seconds since 1900, of the server's clock: a client only gives it back. */
  std::uint64_t expiry = 0;
  /** Seconds from now on; 0: the token is no good. */
  std::uint32_t lifetime = 0;
  /** RTCP packet types that need a token, up to kMostPacketTypes; of a response that was read, inside its
   * datagram. */
  Bytes packet_types;
};

/** Token Verification Request: what a client puts before what it asks for. */
struct TokenProof {
  std::uint32_t sender = 0;
  TokenNonce nonce{};
  /** As in PortMappingResponse. */
  Bytes token;
  std::uint64_t expiry = 0;
};

/** Token Verification Failure. */
struct TokenFailure {
  std::uint32_t sender = 0;
  std::uint32_t asked_by = 0;
  TokenNonce nonce{};
  /** Of the packet that failed: its type, and FMT where it is feedback. */
  std::uint8_t packet_type = 0;
  std::uint8_t format = 0;
};

namespace detail {

constexpr std::size_t kLongestTokenRest = 4 + sizeof(TokenNonce) + 4 + kMostToken + 12 + 4 + kMostPacketTypes;

/** Bytes of a token with its length and its filling. */
constexpr std::size_t token_element(std::size_t token) noexcept {
  return (2 + token + 3) / 4 * 4;
}
/** Bytes of a list of packet types with its length and its filling. */
constexpr std::size_t types_element(std::size_t types) noexcept {
  return (1 + types + 3) / 4 * 4;
}

/** Reads what stands one behind the other; what is not there makes it fail once and for all. */
class TokenReader {
 public:
  explicit TokenReader(Bytes body) noexcept : rest_(body) {}
  Bytes take(std::size_t n) noexcept {
    if (n > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const Bytes taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  std::uint32_t word() noexcept {
    const Bytes bytes = take(4);
    return ok_ ? load32(bytes.data()) : 0;
  }
  std::uint64_t time() noexcept {
    const std::uint64_t seconds = word();
    return seconds << 32 | word();
  }
  TokenNonce nonce() noexcept {
    TokenNonce nonce{};
    const Bytes bytes = take(nonce.size());
    if (ok_) std::memcpy(nonce.data(), bytes.data(), nonce.size());
    return nonce;
  }
  Bytes token() noexcept {
    const std::size_t size = rest_.size() < 2 ? 0 : load16(rest_.data());
    const Bytes element = take(token_element(size));
    return ok_ ? element.subspan(2, size) : Bytes{};
  }
  Bytes types() noexcept {
    const std::size_t size = rest_.empty() ? 0 : rest_[0];
    const Bytes element = take(types_element(size));
    return ok_ ? element.subspan(1, size) : Bytes{};
  }
  /** Everything was there, and nothing is left. */
  [[nodiscard]] bool done() const noexcept { return ok_ && rest_.empty(); }

 private:
  Bytes rest_;
  bool ok_ = true;
};

/** What stands behind the SSRC of the one who sends. */
class TokenRest {
 public:
  void word(std::uint32_t value) noexcept {
    store32(bytes_.data() + size_, value);
    size_ += 4;
  }
  void time(std::uint64_t value) noexcept {
    word(static_cast<std::uint32_t>(value >> 32));
    word(static_cast<std::uint32_t>(value));
  }
  void nonce(const TokenNonce& nonce) noexcept {
    std::memcpy(bytes_.data() + size_, nonce.data(), nonce.size());
    size_ += nonce.size();
  }
  /** Up to kMostToken bytes. */
  void token(Bytes token) noexcept {
    store16(bytes_.data() + size_, static_cast<std::uint16_t>(token.size()));
    if (!token.empty()) std::memcpy(bytes_.data() + size_ + 2, token.data(), token.size());
    size_ += token_element(token.size());
  }
  /** Up to kMostPacketTypes. */
  void types(Bytes types) noexcept {
    bytes_[size_] = static_cast<std::uint8_t>(types.size());
    if (!types.empty()) std::memcpy(bytes_.data() + size_ + 1, types.data(), types.size());
    size_ += types_element(types.size());
  }
  [[nodiscard]] Bytes written() const noexcept { return Bytes(bytes_).first(size_); }

 private:
  std::array<std::uint8_t, kLongestTokenRest> bytes_{};
  std::size_t size_ = 0;
};

inline bool is_token(const RtcpPacket& packet, std::uint8_t message) noexcept {
  return packet.type == rtcp_type::kToken && packet.count == message;
}

}  // namespace detail

/** Bytes of a response, or of a proof, with a token of so many, and with so many packet types. */
constexpr std::size_t response_size(std::size_t token, std::size_t types) noexcept {
  return kRtcpHeaderSize + 8 + sizeof(TokenNonce) + detail::token_element(token) + 12 +
         detail::types_element(types);
}
constexpr std::size_t proof_size(std::size_t token) noexcept {
  return kRtcpHeaderSize + 4 + sizeof(TokenNonce) + detail::token_element(token) + 8;
}
constexpr std::size_t kPortMappingRequestSize = kRtcpHeaderSize + 4 + sizeof(TokenNonce);
constexpr std::size_t kTokenFailureSize = kRtcpHeaderSize + 12 + sizeof(TokenNonce);

/** None for what is no such packet, or no whole one; so are those below. */
inline std::optional<PortMappingRequest> port_mapping_request(const RtcpPacket& packet) noexcept {
  if (!detail::is_token(packet, token_message::kRequest)) return std::nullopt;
  detail::TokenReader reader(packet.body);
  const PortMappingRequest request{reader.word(), reader.nonce()};
  return reader.done() ? std::optional(request) : std::nullopt;
}

inline std::optional<PortMappingResponse> port_mapping_response(const RtcpPacket& packet) noexcept {
  if (!detail::is_token(packet, token_message::kResponse)) return std::nullopt;
  detail::TokenReader reader(packet.body);
  const PortMappingResponse response{reader.word(), reader.word(), reader.nonce(), reader.token(),
                                     reader.time(), reader.word(), reader.types()};
  return reader.done() ? std::optional(response) : std::nullopt;
}

inline std::optional<TokenProof> token_proof(const RtcpPacket& packet) noexcept {
  if (!detail::is_token(packet, token_message::kProof)) return std::nullopt;
  detail::TokenReader reader(packet.body);
  const TokenProof proof{reader.word(), reader.nonce(), reader.token(), reader.time()};
  return reader.done() ? std::optional(proof) : std::nullopt;
}

inline std::optional<TokenFailure> token_failure(const RtcpPacket& packet) noexcept {
  if (!detail::is_token(packet, token_message::kFailure)) return std::nullopt;
  detail::TokenReader reader(packet.body);
  TokenFailure failure{reader.word(), reader.word(), {}, 0, 0};
  const std::uint32_t failed = reader.word();
  failure.packet_type = static_cast<std::uint8_t>(failed >> 24);
  failure.format = static_cast<std::uint8_t>(failed >> 19 & 0x1f);
  failure.nonce = reader.nonce();
  return reader.done() ? std::optional(failure) : std::nullopt;
}

/** False when it does not fit, or the token is too long; so are those below. */
inline bool write(RtcpWriter& writer, const PortMappingRequest& request) noexcept {
  return writer.packet(rtcp_type::kToken, token_message::kRequest, request.sender, request.nonce);
}

inline bool write(RtcpWriter& writer, const PortMappingResponse& response) noexcept {
  if (response.token.size() > kMostToken || response.packet_types.size() > kMostPacketTypes) return false;
  detail::TokenRest rest;
  rest.word(response.asked_by);
  rest.nonce(response.nonce);
  rest.token(response.token);
  rest.time(response.expiry);
  rest.word(response.lifetime);
  rest.types(response.packet_types);
  return writer.packet(rtcp_type::kToken, token_message::kResponse, response.sender, rest.written());
}

inline bool write(RtcpWriter& writer, const TokenProof& proof) noexcept {
  if (proof.token.size() > kMostToken) return false;
  detail::TokenRest rest;
  rest.nonce(proof.nonce);
  rest.token(proof.token);
  rest.time(proof.expiry);
  return writer.packet(rtcp_type::kToken, token_message::kProof, proof.sender, rest.written());
}

inline bool write(RtcpWriter& writer, const TokenFailure& failure) noexcept {
  detail::TokenRest rest;
  rest.word(failure.asked_by);
  rest.word(std::uint32_t{failure.packet_type} << 24 | (failure.format & 0x1fU) << 19);
  rest.nonce(failure.nonce);
  return writer.packet(rtcp_type::kToken, token_message::kFailure, failure.sender, rest.written());
}

}  // namespace sluice::codec
