// Which sink takes the datagrams of a port that say the same of themselves.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sluice::plane {

class DatagramSink;

/** What a datagram says of itself, as far as it is asked for; zero elsewhere. */
struct SinkKey {
  std::array<std::uint8_t, 16> address{};
  std::uint32_t ssrc = 0;
  std::uint16_t port = 0;
  bool operator==(const SinkKey&) const noexcept = default;
};

/**
 * Open addressing with linear probing: a key lies beside its sink, so that one that is cold costs one cache
 * line, and it can be asked for ahead. At most half of the places are taken. Who chooses keys is the
 * operator: what a sender chooses can only miss.
 */
class SinkTable {
 public:
  /** False when the key is there. */
  bool add(const SinkKey& key, DatagramSink& sink) {
    if (find(key) != nullptr) return false;
    if (2 * (count_ + 1) > places_.size()) grow();
    put({key, &sink});
    count_++;
    return true;
  }

  /** False when the key is not there. */
  bool remove(const SinkKey& key) noexcept {
    if (places_.empty()) return false;
    std::size_t hole = home(key);
    while (places_[hole].sink != nullptr && places_[hole].key != key) hole = next(hole);
    if (places_[hole].sink == nullptr) return false;
    // Those behind that could not stand here move up, so that nothing ends a search too early.
    for (std::size_t i = next(hole); places_[i].sink != nullptr; i = next(i)) {
      if (distance(home(places_[i].key), i) < distance(hole, i)) continue;
      places_[hole] = places_[i];
      hole = i;
    }
    places_[hole] = {};
    count_--;
    return true;
  }

  [[nodiscard]] DatagramSink* find(const SinkKey& key) const noexcept {
    if (places_.empty()) return nullptr;
    std::size_t i = home(key);
    while (places_[i].sink != nullptr && places_[i].key != key) i = next(i);
    return places_[i].sink;
  }

  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  struct Place {
    SinkKey key;
    DatagramSink* sink = nullptr;
  };

  [[nodiscard]] std::size_t home(const SinkKey& key) const noexcept {
    std::array<std::uint64_t, 2> address{};
    std::memcpy(address.data(), key.address.data(), sizeof key.address);
    std::uint64_t hash = (std::uint64_t{key.ssrc} << 16 | key.port) ^ address[0] ^ (address[1] << 1);
    // The finaliser of splitmix64.
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    return (hash ^ (hash >> 31)) & (places_.size() - 1);
  }
  [[nodiscard]] std::size_t next(std::size_t i) const noexcept { return (i + 1) & (places_.size() - 1); }
  [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const noexcept {
    return (to - from) & (places_.size() - 1);
  }
  void put(const Place& place) noexcept {
    std::size_t i = home(place.key);
    while (places_[i].sink != nullptr) i = next(i);
    places_[i] = place;
  }
  void grow() {
    std::vector<Place> old(places_.empty() ? 4 : 2 * places_.size());
    old.swap(places_);
    for (const Place& place : old)
      if (place.sink != nullptr) put(place);
  }

  /** A power of two of them. */
  std::vector<Place> places_;
  std::size_t count_ = 0;
};

}  // namespace sluice::plane
