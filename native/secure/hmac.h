// HMAC-SHA256 (RFC 2104, FIPS 180-4), and a comparison that takes as long whatever differs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::secure {

using Mac = std::array<std::uint8_t, 32>;

/** None when memory has run out. */
std::optional<Mac> hmac_sha256(std::string_view key, std::string_view text) noexcept;

/** Whether both are the same. The lengths are no secret. */
bool same_secret(std::string_view a, std::string_view b) noexcept;

}  // namespace sluice::secure
