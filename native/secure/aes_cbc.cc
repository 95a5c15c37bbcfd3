#include "secure/aes_cbc.h"

#include <openssl/err.h>

#include <algorithm>
#include <charconv>

namespace sluice::secure {

std::optional<AesBlock> aes_block(std::string_view hex) noexcept {
  AesBlock block{};
  if (hex.size() != 2 * block.size()) return std::nullopt;
  for (std::size_t i = 0; i < block.size(); i++) {
    const char* const first = hex.data() + 2 * i;
    const auto [end, error] = std::from_chars(first, first + 2, block[i], 16);
    if (error != std::errc{} || end != first + 2) return std::nullopt;
  }
  return block;
}

AesCbcDecryptor::AesCbcDecryptor(Context context)
    : context_(std::move(context)), clear_(kMostInput + EVP_MAX_BLOCK_LENGTH) {}

std::unique_ptr<AesCbcDecryptor> AesCbcDecryptor::create(const AesBlock& key, const AesBlock& vector) {
  Context context(EVP_CIPHER_CTX_new());
  if (!context) return nullptr;
  if (EVP_DecryptInit_ex(context.get(), EVP_aes_128_cbc(), nullptr, key.data(), vector.data()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return std::unique_ptr<AesCbcDecryptor>(new AesCbcDecryptor(std::move(context)));
}

codec::Bytes AesCbcDecryptor::update(codec::Bytes sealed) noexcept {
  int size = 0;
  const int length = static_cast<int>(std::min(sealed.size(), kMostInput));
  EVP_DecryptUpdate(context_.get(), clear_.data(), &size, sealed.data(), length);
  return {clear_.data(), static_cast<std::size_t>(size)};
}

std::optional<codec::Bytes> AesCbcDecryptor::finish() noexcept {
  int size = 0;
  if (EVP_DecryptFinal_ex(context_.get(), clear_.data(), &size) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return codec::Bytes(clear_.data(), static_cast<std::size_t>(size));
}

}  // namespace sluice::secure
