#include "secure/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "secure/secret.h"

namespace sluice::secure {

namespace {

// The answers of SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
constexpr int kFailed = -1;
constexpr int kUnknown = 0;
constexpr int kGood = 1;
constexpr int kGoodButRenew = 2;

bool prepare(std::span<unsigned char> secret, EVP_MAC_CTX* mac) noexcept {
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 3> params{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret.data(), secret.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, params.data()) == 1;
}

}  // namespace

TicketKeys::TicketKeys() {
  rotate();
}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(keys_.data(), sizeof keys_);
}

void TicketKeys::rotate() {
  const std::lock_guard lock(mutex_);
  rotate_locked(kernel::monotonic_now());
}

void TicketKeys::rotate_locked(kernel::Nanos now) {
  keys_[1] = keys_[0];
  Key& fresh = keys_[0];
  fresh.made = random_bytes(fresh.name) && random_bytes(fresh.cipher) && random_bytes(fresh.mac);
  made_at_ = now;
}

int TicketKeys::use(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                    bool seal) {
  const std::lock_guard lock(mutex_);
  if (seal) {
    const kernel::Nanos now = kernel::monotonic_now();
    if (now - made_at_ >= kPeriod) rotate_locked(now);
    Key& key = keys_[0];
    if (!key.made || !random_bytes({iv, EVP_MAX_IV_LENGTH})) return kFailed;
    std::copy(key.name.begin(), key.name.end(), name);
    const bool ok = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1;
    return ok && prepare(key.mac, mac) ? kGood : kFailed;
  }
  for (Key& key : keys_) {
    if (!key.made || !std::equal(key.name.begin(), key.name.end(), name)) continue;
    const bool ok = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1;
    if (!ok || !prepare(key.mac, mac)) return kFailed;
    return &key == keys_.data() ? kGood : kGoodButRenew;
  }
  return kUnknown;
}

}  // namespace sluice::secure
