#include "plane/port_tokens.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "codec/ntp.h"
#include "secure/hmac.h"
#include "secure/secret.h"

namespace sluice::plane {

namespace {

std::string_view text_of(codec::Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

PortTokens::~PortTokens() {
  for (Key& key : keys_) secure::wipe(key.secret);
}

bool PortTokens::renew(Nanos now) noexcept {
  const Key& newest = keys_[0];
  if (newest.made && now >= made_at_ && now - made_at_ < lifetime_) return true;
  Key fresh;
  if (!secure::random_bytes(fresh.secret)) return false;
  fresh.made = true;
  fresh.number = static_cast<std::uint8_t>(newest.number + 1);
  keys_[1] = newest;
  keys_[0] = fresh;
  made_at_ = now;
  return true;
}

std::optional<PortTokens::Token> PortTokens::make(const Key& key, const kernel::Address& address,
                                                  const codec::TokenNonce& nonce,
                                                  std::uint64_t expiry) noexcept {
  std::array<std::uint8_t, 16 + 2 + sizeof(codec::TokenNonce) + 8> text{};
  const auto host = address.bytes();
  std::memcpy(text.data(), host.data(), host.size());
  codec::store16(text.data() + 16, address.port());
  std::memcpy(text.data() + 18, nonce.data(), nonce.size());
  codec::store32(text.data() + 26, static_cast<std::uint32_t>(expiry >> 32));
  codec::store32(text.data() + 30, static_cast<std::uint32_t>(expiry));
  const auto mac = secure::hmac_sha256(text_of(key.secret), text_of(text));
  if (!mac) return std::nullopt;
  Token token{};
  token[0] = key.number;
  std::copy_n(mac->begin(), kSize - 1, token.begin() + 1);
  return token;
}

std::optional<PortTokens::Grant> PortTokens::grant(const kernel::Address& asker,
                                                   const codec::TokenNonce& nonce, Nanos now) noexcept {
  if (!renew(now)) return std::nullopt;
  const std::uint64_t expiry = codec::ntp_from_unix(now + lifetime_);
  const auto token = make(keys_[0], asker, nonce, expiry);
  if (!token) return std::nullopt;
  return Grant{*token, expiry, static_cast<std::uint32_t>(lifetime_ / kernel::kSecond)};
}

bool PortTokens::proves(const kernel::Address& sender, const codec::TokenProof& proof,
                        Nanos now) const noexcept {
  if (proof.token.size() != kSize) return false;
  // The seconds wrap in 2036: only their distance tells anything.
  const std::uint64_t left = proof.expiry - codec::ntp_from_unix(now);
  const std::uint64_t most = codec::ntp_from_unix(now + lifetime_) - codec::ntp_from_unix(now);
  if (left == 0 || left > most) return false;
  const auto key = std::find_if(keys_.begin(), keys_.end(), [&proof](const Key& one) {
    return one.made && one.number == proof.token[0];
  });
  if (key == keys_.end()) return false;
  const auto expected = make(*key, sender, proof.nonce, proof.expiry);
  return expected && secure::same_secret(text_of(*expected), text_of(proof.token));
}

}  // namespace sluice::plane
