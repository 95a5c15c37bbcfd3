// AES-128 in CBC mode with the padding of PKCS #7 (RFC 5652 section 6.3), as HLS uses it (RFC 8216
// section 4.3.2.4).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "codec/bytes.h"
#include "secure/openssl.h"

namespace sluice::secure {

/** A key or a vector: 128 bits. */
using AesBlock = std::array<std::uint8_t, 16>;

/** 32 hexadecimal digits; none when they are not that. */
std::optional<AesBlock> aes_block(std::string_view hex) noexcept;

/** Decrypts one message piece by piece. All memory is taken when it is made. */
class AesCbcDecryptor {
 public:
  /** Most bytes of one piece. */
  static constexpr std::size_t kMostInput = std::size_t{64} * 1024;

  /** Null when the library refuses. */
  static std::unique_ptr<AesCbcDecryptor> create(const AesBlock& key, const AesBlock& vector);

  /**
   * The clear bytes that `sealed` makes known; the last block is held back, because it may be padding. Valid
   * until the next call. `sealed` is at most kMostInput bytes.
   */
  codec::Bytes update(codec::Bytes sealed) noexcept;
  /**
   * The message is over: the rest of it, without the padding; none when its length is no multiple of 16, or
   * when what should be padding is not. To be called once.
   */
  std::optional<codec::Bytes> finish() noexcept;

 private:
  using Context = std::unique_ptr<EVP_CIPHER_CTX, Freed<EVP_CIPHER_CTX_free>>;

  explicit AesCbcDecryptor(Context context);

  Context context_;
  std::vector<std::uint8_t> clear_;
};

}  // namespace sluice::secure
