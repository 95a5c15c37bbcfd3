// Rapid acquisition of multicast sessions (RFC 6285 section 7): RTPFB with FMT 6, told apart by SFMT, with
// TLV elements.
//
//   RAMS-R |   SFMT=1    |                 0                 |      RAMS-I |   SFMT=2    |  MSN   | response
//   | RAMS-T |   SFMT=3    |                 0                 |      TLV    |    type     |   0    | length
//   | value, filled up
#pragma once

#include <cstring>
#include <optional>

#include "codec/bytes.h"

namespace sluice::codec::rams {

/** FMT of RTPFB. */
constexpr std::uint8_t kFormat = 6;

enum class Message : std::uint8_t { request = 1, information = 2, termination = 3 };

/** Section 7.3.1. */
enum class Response : std::uint16_t {
  updated = 100,
  accepted = 200,
  completed = 201,
  malformed_request = 400,
  invalid_min_fill = 401,
  invalid_max_fill = 402,
  insufficient_bitrate = 403,
  malformed_termination = 404,
  internal_error = 500,
  no_bandwidth = 501,
  congestion = 502,
  no_processor = 503,
  unsupported = 504,
  not_eligible = 505,
  not_enabled = 506,
  no_start = 507,
  no_reference = 508,
  unknown_source = 509,
  no_whole_session = 510,
  preamble_only = 511,
  denied = 512
};

/** Types of TLV elements. */
namespace tlv {
constexpr std::uint8_t kRequestedSources = 1;
constexpr std::uint8_t kMinFill = 2;
constexpr std::uint8_t kMaxFill = 3;
constexpr std::uint8_t kMaxReceiveRate = 4;
constexpr std::uint8_t kSource = 31;
constexpr std::uint8_t kFirstSequence = 32;
constexpr std::uint8_t kEarliestJoin = 33;
constexpr std::uint8_t kDuration = 34;
constexpr std::uint8_t kMaxTransmitRate = 35;
constexpr std::uint8_t kFirstMulticast = 61;
}  // namespace tlv

/** Of the feedback control information; none for what is none of them. */
inline std::optional<Message> message_of(Bytes control) noexcept {
  if (control.size() < 4 || control[0] < 1 || control[0] > 3) return std::nullopt;
  return static_cast<Message>(control[0]);
}

/** Calls `visit(type, value)` with each element; false when one reaches past the end. */
template <typename F>
bool each_element(Bytes control, F&& visit) {
  for (Bytes rest = control.subspan(4); !rest.empty();) {
    if (rest.size() < 4) return false;
    const std::size_t size = load16(rest.data() + 2);
    const std::size_t padded = (size + 3) / 4 * 4;
    if (rest.size() - 4 < padded) return false;
    visit(rest[0], rest.subspan(4, size));
    rest = rest.subspan(4 + padded);
  }
  return true;
}

namespace detail {

inline std::optional<std::uint32_t> word(Bytes value) noexcept {
  return value.size() == 4 ? std::optional<std::uint32_t>(load32(value.data())) : std::nullopt;
}
inline std::optional<std::uint64_t> long_word(Bytes value) noexcept {
  if (value.size() != 8) return std::nullopt;
  return std::uint64_t{load32(value.data())} << 32 | load32(value.data() + 4);
}

}  // namespace detail

/** RAMS-R (section 7.2). */
struct Request {
  /** SSRCs, four bytes each; empty for all of the session. */
  Bytes sources;
  /** Milliseconds of media in the receiver's buffer. */
  std::optional<std::uint32_t> min_fill;
  std::optional<std::uint32_t> max_fill;
  /** Bits a second. */
  std::optional<std::uint64_t> max_rate;

  [[nodiscard]] bool wants(std::uint32_t ssrc) const noexcept {
    for (std::size_t at = 0; at < sources.size(); at += 4)
      if (load32(sources.data() + at) == ssrc) return true;
    return sources.empty();
  }
};

/** None for what is malformed, or names no sources. It points into `control`. */
inline std::optional<Request> parse_request(Bytes control) noexcept {
  if (message_of(control) != Message::request) return std::nullopt;
  Request request;
  bool named = false;
  bool whole = true;
  const bool read = each_element(control, [&](std::uint8_t type, Bytes value) {
    if (type == tlv::kRequestedSources) {
      named = true;
      whole = whole && value.size() % 4 == 0;
      request.sources = value;
    } else if (type == tlv::kMinFill) {
      whole = whole && (request.min_fill = detail::word(value)).has_value();
    } else if (type == tlv::kMaxFill) {
      whole = whole && (request.max_fill = detail::word(value)).has_value();
    } else if (type == tlv::kMaxReceiveRate) {
      whole = whole && (request.max_rate = detail::long_word(value)).has_value();
    }
  });
  if (!read || !whole || !named) return std::nullopt;
  return request;
}

/** RAMS-I (section 7.3). */
struct Information {
  /** Message sequence number: grows with what is told. */
  std::uint8_t number = 0;
  std::uint16_t response = 0;
  std::optional<std::uint32_t> source;
  std::optional<std::uint16_t> first_sequence;
  /** Milliseconds from the first packet's arrival. */
  std::optional<std::uint32_t> earliest_join;
  /** Milliseconds. */
  std::optional<std::uint32_t> duration;
  /** Bits a second. */
  std::optional<std::uint64_t> max_rate;
};

/** None for what is malformed. */
inline std::optional<Information> parse_information(Bytes control) noexcept {
  if (message_of(control) != Message::information) return std::nullopt;
  Information information;
  information.number = control[1];
  information.response = load16(control.data() + 2);
  bool whole = true;
  const bool read = each_element(control, [&](std::uint8_t type, Bytes value) {
    if (type == tlv::kSource) {
      whole = whole && (information.source = detail::word(value)).has_value();
    } else if (type == tlv::kFirstSequence) {
      whole = whole && value.size() == 2;
      if (value.size() == 2) information.first_sequence = load16(value.data());
    } else if (type == tlv::kEarliestJoin) {
      whole = whole && (information.earliest_join = detail::word(value)).has_value();
    } else if (type == tlv::kDuration) {
      whole = whole && (information.duration = detail::word(value)).has_value();
    } else if (type == tlv::kMaxTransmitRate) {
      whole = whole && (information.max_rate = detail::long_word(value)).has_value();
    }
  });
  if (!read || !whole) return std::nullopt;
  return information;
}

/** RAMS-T (section 7.4). */
struct Termination {
  /** Extended sequence number of the first packet that came by multicast; none to end at once. */
  std::optional<std::uint32_t> first_multicast;
};

/** None for what is malformed. */
inline std::optional<Termination> parse_termination(Bytes control) noexcept {
  if (message_of(control) != Message::termination) return std::nullopt;
  Termination termination;
  bool whole = true;
  const bool read = each_element(control, [&](std::uint8_t type, Bytes value) {
    if (type != tlv::kFirstMulticast) return;
    whole = whole && (termination.first_multicast = detail::word(value)).has_value();
  });
  if (!read || !whole) return std::nullopt;
  return termination;
}

/** Most bytes that any of the three below takes: a request of one source. */
constexpr std::size_t kMostControl = 64;

/** Writes feedback control information into `out`, at least kMostControl bytes. */
class Writer {
 public:
  explicit Writer(MutableBytes out) noexcept : out_(out) {}

  /** For one source, or for all of the session; `sources` is not looked at. Gives what was written. */
  Bytes request(const Request& request, std::optional<std::uint32_t> source) noexcept {
    begin(Message::request, 0, 0);
    if (source) word(tlv::kRequestedSources, *source);
    if (!source) element(tlv::kRequestedSources, 0);
    if (request.min_fill) word(tlv::kMinFill, *request.min_fill);
    if (request.max_fill) word(tlv::kMaxFill, *request.max_fill);
    if (request.max_rate) long_word(tlv::kMaxReceiveRate, *request.max_rate);
    return out_.first(size_);
  }
  Bytes information(const Information& information) noexcept {
    begin(Message::information, information.number, information.response);
    if (information.source) word(tlv::kSource, *information.source);
    if (information.first_sequence) {
      std::uint8_t* const value = element(tlv::kFirstSequence, 2);
      store16(value, *information.first_sequence);
      store16(value + 2, 0);
    }
    if (information.earliest_join) word(tlv::kEarliestJoin, *information.earliest_join);
    if (information.duration) word(tlv::kDuration, *information.duration);
    if (information.max_rate) long_word(tlv::kMaxTransmitRate, *information.max_rate);
    return out_.first(size_);
  }
  Bytes termination(const Termination& termination) noexcept {
    begin(Message::termination, 0, 0);
    if (termination.first_multicast) word(tlv::kFirstMulticast, *termination.first_multicast);
    return out_.first(size_);
  }

 private:
  void begin(Message message, std::uint8_t second, std::uint16_t rest) noexcept {
    out_[0] = static_cast<std::uint8_t>(message);
    out_[1] = second;
    store16(out_.data() + 2, rest);
    size_ = 4;
  }
  /** Where the value of an element stands. */
  std::uint8_t* element(std::uint8_t type, std::uint16_t size) noexcept {
    std::uint8_t* const at = out_.data() + size_;
    at[0] = type;
    at[1] = 0;
    store16(at + 2, size);
    size_ += 4 + (size + 3U) / 4 * 4;
    return at + 4;
  }
  void word(std::uint8_t type, std::uint32_t value) noexcept { store32(element(type, 4), value); }
  void long_word(std::uint8_t type, std::uint64_t value) noexcept {
    std::uint8_t* const at = element(type, 8);
    store32(at, static_cast<std::uint32_t>(value >> 32));
    store32(at + 4, static_cast<std::uint32_t>(value));
  }

  MutableBytes out_;
  std::size_t size_ = 0;
};

}  // namespace sluice::codec::rams
