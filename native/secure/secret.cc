#include "secure/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace sluice::secure {

bool random_bytes(std::span<std::uint8_t> bytes) noexcept {
  return RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1;
}

void wipe(std::span<std::uint8_t> bytes) noexcept {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

}  // namespace sluice::secure
