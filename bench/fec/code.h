// What the programs of this bench share: which code is measured, and what is counted.
#pragma once

#include <cstdio>
#include <ctime>
#include <optional>
#include <stdexcept>
#include <string>

#include "repair/block_code.h"
#include "repair/parity_encoder.h"

namespace sluice::bench {

constexpr std::size_t kPayload = 7 * 188;

struct Code {
  std::optional<repair::ParityOptions> parity;
  std::optional<repair::BlockOptions> block;
  /** Packets of media after which it begins anew. */
  [[nodiscard]] std::size_t size() const noexcept {
    return parity ? std::size_t{parity->columns} * parity->rows : block->source;
  }
};

/** `block:K+M`, `parity:LxD` or `parity:LxD+rows`. */
inline Code read_code(const std::string& text) {
  Code code;
  unsigned a = 0;
  unsigned b = 0;
  if (std::sscanf(text.c_str(), "parity:%ux%u", &a, &b) == 2) {
    code.parity = repair::ParityOptions{a, b, text.ends_with("+rows")};
  } else if (std::sscanf(text.c_str(), "block:%u+%u", &a, &b) == 2) {
    code.block.emplace();
    code.block->source = a;
    code.block->repair = b;
    code.block->most = kPayload;
  } else {
    throw std::runtime_error("no such code");
  }
  return code;
}

/** Of this thread, in user and kernel. */
inline double cpu_nanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace sluice::bench
