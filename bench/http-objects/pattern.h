// What the programs of this bench share: the bodies of the objects, and how a request names one.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace sluice::bench {

/** Bodies that need no memory each: object `n` is a window of one random block, begun elsewhere for every
 * number. */
class Pattern {
 public:
  explicit Pattern(std::size_t size) : block_(size + kShifts) {
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (auto& byte : block_) {
      state = state * 6364136223846793005 + 1442695040888963407;
      byte = static_cast<std::uint8_t>(state >> 56);
    }
  }
  [[nodiscard]] const std::uint8_t* body(std::uint64_t object) const {
    return block_.data() + object * 4099 % kShifts;
  }
  [[nodiscard]] std::size_t size() const { return block_.size() - kShifts; }

 private:
  static constexpr std::size_t kShifts = 1 << 16;
  std::vector<std::uint8_t> block_;
};

/** The number of the object in `GET …seg-NUMBER.ts …`; false when the request names none. */
inline bool object_of(std::string_view request, std::uint64_t& object) {
  static constexpr std::string_view kName = "seg-";
  const std::size_t at = request.substr(0, request.find('\r')).find(kName);
  if (at == std::string_view::npos) return false;
  object = std::strtoull(request.data() + at + kName.size(), nullptr, 10);
  return true;
}

constexpr std::string_view kHeadEnd = "\r\n\r\n";

}  // namespace sluice::bench
