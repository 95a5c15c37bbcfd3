#include "plane/sealed_segment.h"

namespace sluice::plane {

namespace {

/** The sync_byte with which every packet begins (ISO/IEC 13818-1 2.4.3.3). */
constexpr std::uint8_t kSync = 0x47;

}  // namespace

std::unique_ptr<SealedSegment> SealedSegment::create(const SegmentSeal& seal) {
  auto decryptor = secure::AesCbcDecryptor::create(seal.key, seal.vector);
  if (!decryptor) return nullptr;
  return std::unique_ptr<SealedSegment>(new SealedSegment(std::move(decryptor), seal.skip));
}

codec::Bytes SealedSegment::open(codec::Bytes sealed) noexcept {
  sealed_ += sealed.size();
  return fault_ != nullptr ? codec::Bytes() : take(decryptor_->update(sealed));
}

codec::Bytes SealedSegment::finish() noexcept {
  // Nothing at all is for the caller to judge, as it is with a body in the clear.
  if (fault_ != nullptr || sealed_ == 0) return {};
  const auto rest = decryptor_->finish();
  if (rest) return take(*rest);
  fault_ = sealed_ % 16 == 0 ? "the padding at its end is wrong" : "its length is no multiple of 16";
  return {};
}

codec::Bytes SealedSegment::take(codec::Bytes clear) noexcept {
  if (clear.empty()) return {};
  // With a wrong key noise comes out, which must not get into the stream.
  if (position_ == 0 && clear.front() != kSync) {
    fault_ = "what comes out is not MPEG-TS, the key may be wrong";
    return {};
  }
  const std::uint64_t begin = position_;
  position_ += clear.size();
  if (position_ <= skip_) return {};
  return begin < skip_ ? clear.subspan(static_cast<std::size_t>(skip_ - begin)) : clear;
}

}  // namespace sluice::plane
