// Entries of a message that are read in turn: in the packet, or in memory, so that what acts on messages need
// not know which.
#pragma once

#include <iterator>
#include <optional>

#include "codec/bytes.h"

namespace sluice::codec {

/** A view; valid as long as the packet or the memory is. Copying it costs nothing. */
template <class Entry>
class Sequence {
 public:
  /** Takes the first entry off `rest`; none for one that does not count, which is passed over. Never called
   * without bytes: who made the sequence has seen that every entry is whole. */
  using Take = std::optional<Entry> (*)(Bytes& rest, bool v4);

  class Iterator {
   public:
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    Iterator(Bytes rest, bool v4, Take take) noexcept : rest_(rest), v4_(v4), take_(take) { advance(); }
    const Entry& operator*() const noexcept { return *entry_; }
    const Entry* operator->() const noexcept { return &*entry_; }
    Iterator& operator++() noexcept {
      advance();
      return *this;
    }
    Iterator operator++(int) noexcept {
      const Iterator before = *this;
      advance();
      return before;
    }
    bool operator==(const Iterator& other) const noexcept {
      return entry_.has_value() == other.entry_.has_value() && rest_.size() == other.rest_.size();
    }

   private:
    void advance() noexcept {
      entry_.reset();
      while (!entry_ && !rest_.empty()) entry_ = take_(rest_, v4_);
    }

    Bytes rest_;
    bool v4_ = false;
    Take take_ = nullptr;
    std::optional<Entry> entry_;
  };

  /** Of nothing. */
  Sequence() noexcept = default;
  /** Of entries in memory. */
  explicit Sequence(std::span<const Entry> entries) noexcept
      : bytes_(reinterpret_cast<const std::uint8_t*>(entries.data()), entries.size_bytes()),
        take_(take_object) {}
  /** Of whole entries in a packet, whose addresses are IPv4 or IPv6. */
  Sequence(Bytes wire, bool v4, Take take) noexcept : bytes_(wire), v4_(v4), take_(take) {}

  [[nodiscard]] Iterator begin() const noexcept { return Iterator(bytes_, v4_, take_); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(bytes_.last(0), v4_, take_); }
  [[nodiscard]] bool empty() const noexcept { return begin() == end(); }
  /** Counts them. */
  [[nodiscard]] std::size_t count() const noexcept {
    return static_cast<std::size_t>(std::distance(begin(), end()));
  }

 private:
  static std::optional<Entry> take_object(Bytes& rest, bool) {
    const auto* const entry = reinterpret_cast<const Entry*>(rest.data());
    rest = rest.subspan(sizeof(Entry));
    return *entry;
  }

  Bytes bytes_;
  bool v4_ = false;
  Take take_ = nullptr;
};

}  // namespace sluice::codec
