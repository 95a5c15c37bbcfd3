// Which ranges of an address space are free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>

namespace sluice::objects {

/** Hands out ranges, first fit. Sizes are what the caller rounds them to. */
class Ranges {
 public:
  explicit Ranges(std::size_t size) { free_.emplace(0, size); }

  /** The offset of `size` bytes, or none. */
  std::optional<std::uint64_t> take(std::size_t size) {
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      if (at->second < size) continue;
      const auto [offset, room] = *at;
      free_.erase(at);
      if (room > size) free_.emplace(offset + size, room - size);
      return offset;
    }
    return std::nullopt;
  }

  /** Gives back a range, or a part of one, that was taken. */
  void give_back(std::uint64_t offset, std::size_t size) {
    if (size == 0) return;
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + size == next->first) {
      size += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        before->second += size;
        return;
      }
    }
    free_.emplace(offset, size);
  }

 private:
  /** Offset -> size; no two touch. */
  std::map<std::uint64_t, std::size_t> free_;
};

}  // namespace sluice::objects
