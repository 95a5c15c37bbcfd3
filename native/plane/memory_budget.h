// Memory that rings share.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "kernel/result.h"

namespace sluice::plane {

/** Bytes that all who take of them may have together. For verbs, and for commands that a verb waits for. */
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t all) noexcept : all_(all) {}

  /** MEMORY_BUDGET, naming `what` wanted them, where so many are not left; nothing is taken then. */
  std::optional<kernel::Error> take(const std::string& what, std::size_t bytes) {
    if (bytes > all_ - used_)
      return kernel::Error{"MEMORY_BUDGET", what + " needs " + std::to_string(bytes) +
                                                " bytes, but of the budget of " + std::to_string(all_) +
                                                " only " + std::to_string(all_ - used_) + " are left"};
    used_ += bytes;
    return std::nullopt;
  }
  void give_back(std::size_t bytes) noexcept { used_ -= bytes; }

 private:
  const std::size_t all_;
  std::size_t used_ = 0;
};

}  // namespace sluice::plane
