// Bytes that outlive this process, in a descriptor that a keeper holds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::kernel {

/**
 * A small text of the last known state, in memory that belongs to its descriptor (memfd): writing asks
 * nobody, and whoever is ended in the midst of it leaves what was written before.
 */
class KeptNote {
 public:
  /** Most bytes of a note. */
  static constexpr std::size_t kMost = 1 << 20;

  /** An empty one. SYSTEM_CALL. */
  static Result<KeptNote> create();
  /** One that was kept. None when the descriptor is something else. */
  static std::optional<KeptNote> adopt(Fd fd);

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /** In the place of what there was. False with errno; EMSGSIZE beyond kMost. */
  bool write(std::span<const std::uint8_t> bytes) noexcept;
  /** What was written last; empty when nothing was. */
  [[nodiscard]] std::vector<std::uint8_t> read() const;

 private:
  explicit KeptNote(Fd fd) noexcept : fd_(std::move(fd)) {}

  Fd fd_;
  /** Of what was written last: notes take turns in two places. */
  std::uint64_t sequence_ = 0;
};

}  // namespace sluice::kernel
