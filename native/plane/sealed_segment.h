// One encrypted segment on its way into a stream.
#pragma once

#include <memory>
#include <string>

#include "secure/aes_cbc.h"

namespace sluice::plane {

/** How the body of a request is encrypted. */
struct SegmentSeal {
  secure::AesBlock key{};
  secure::AesBlock vector{};
  /** Clear bytes that an earlier attempt has put into the stream. */
  std::uint64_t skip = 0;
};

/** Opens a segment of MPEG-TS piece by piece. What is found to be wrong is told at the end; nothing comes
 * after it. */
class SealedSegment {
 public:
  /** Null when the library refuses. */
  static std::unique_ptr<SealedSegment> create(const SegmentSeal& seal);

  /** What of the clear bytes is new. Valid until the next call. */
  codec::Bytes open(codec::Bytes sealed) noexcept;
  /** The rest of it, when the body has come whole. To be called once. */
  codec::Bytes finish() noexcept;
  /** What is wrong, for a person; null while nothing is. */
  [[nodiscard]] const char* fault() const noexcept { return fault_; }
  /** Clear bytes so far, those skipped included. */
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

 private:
  SealedSegment(std::unique_ptr<secure::AesCbcDecryptor> decryptor, std::uint64_t skip)
      : decryptor_(std::move(decryptor)), skip_(skip) {}
  codec::Bytes take(codec::Bytes clear) noexcept;

  std::unique_ptr<secure::AesCbcDecryptor> decryptor_;
  const std::uint64_t skip_;
  std::uint64_t sealed_ = 0;
  std::uint64_t position_ = 0;
  const char* fault_ = nullptr;
};

}  // namespace sluice::plane
