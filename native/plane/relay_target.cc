#include "plane/relay_target.h"

#include <algorithm>
#include <charconv>

namespace sluice::plane {

using kernel::Address;

namespace {

/** The longest of all ways to write one: a source and a group of IPv6, percent-encoded. */
constexpr std::size_t kLongest = 3 * 100;

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/** None where a percent sign does not begin an octet. */
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = digit_of(text[i + 1]);
    const int low = digit_of(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

/** Takes `192.0.2.1` or `[2001:db8::1]` from the front. */
std::optional<Address> take_address(std::string_view& text, std::uint16_t port) {
  const bool bracketed = text.starts_with('[');
  if (bracketed) text.remove_prefix(1);
  const std::string_view letters = bracketed ? "0123456789abcdefABCDEF:." : "0123456789.";
  const std::size_t end = std::min(text.find_first_not_of(letters), text.size());
  const auto address = Address::parse(std::string(text.substr(0, end)), port);
  text.remove_prefix(end);
  if (!address || (address->family() == AF_INET6) != bracketed) return std::nullopt;
  if (bracketed) {
    if (!text.starts_with(']')) return std::nullopt;
    text.remove_prefix(1);
  }
  return address;
}

std::optional<std::uint16_t> port_of(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || at != end || port == 0 || text.front() == '0') return std::nullopt;
  return port;
}

/** ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
bool mapped(const Address& address) noexcept {
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_V4MAPPED(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
}

bool fits(const Address& source, const Address& address) noexcept {
  return source.family() == address.family() && address.is_multicast() && !source.is_multicast() &&
         !mapped(source);
}

}  // namespace

std::string RelayTarget::text() const {
  if (!source) return address.text();
  const std::string host = source->host();
  return (source->family() == AF_INET6 ? "[" + host + "]@" : host + "@") + address.text();
}

std::optional<RelayTarget> parse_relay_target(std::string_view text) {
  if (text.size() > kLongest) return std::nullopt;
  const auto plain = decoded(text);
  if (!plain) return std::nullopt;
  std::string_view rest = *plain;
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  const auto port = port_of(rest.substr(std::min(colon + 1, rest.size())));
  if (colon == std::string_view::npos || !port) return std::nullopt;
  rest = rest.substr(0, colon);
  auto first = take_address(rest, *port);
  if (!first) return std::nullopt;
  if (rest.empty()) return mapped(*first) ? std::nullopt : std::optional<RelayTarget>({*first, std::nullopt});
  if (!rest.starts_with('@')) return std::nullopt;
  rest.remove_prefix(1);
  const auto group = take_address(rest, *port);
  if (!group || !rest.empty() || !fits(*first, *group)) return std::nullopt;
  return RelayTarget{*group, first};
}

bool RelayRule::allows(const RelayTarget& target) const noexcept {
  const std::uint16_t port = target.address.port();
  if (port < first_port || port > last_port || !address.contains(target.address)) return false;
  return !source || (target.source && source->contains(*target.source));
}

}  // namespace sluice::plane
