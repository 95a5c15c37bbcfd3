// A store with a loop, and readers that count what they are told.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "kernel/reactor.h"
#include "objects/store.h"

namespace sluice::test {

inline codec::Bytes bytes_of_text(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string text_of(codec::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/** Waits for an object again and again. */
struct CountingReader final : objects::Reader {
  void on_object_progress() noexcept override { told++; }
  int told = 0;
};

struct StoreBed {
  explicit StoreBed(objects::StoreOptions options = {})
      : store(std::move(objects::Store::create(reactor, options, counters).value())) {}

  /** One turn of the loop, in which time passes. */
  void turn() {
    reactor.wake();
    reactor.turn();
  }
  template <class F>
  bool turn_until(F done) {
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (!done()) {
      if (kernel::monotonic_now() > end) return false;
      turn();
    }
    return true;
  }
  /** A flight that begins. */
  std::shared_ptr<objects::Object> first(const std::string& key) const {
    const objects::Found found = store->want(key);
    REQUIRE(found.first);
    return found.object;
  }
  void begin(const std::shared_ptr<objects::Object>& object, kernel::Nanos fresh = 3600 * kernel::kSecond,
             std::optional<std::uint64_t> length = {}) const {
    objects::Head head;
    head.etag = "\"v1\"";
    head.length = length;
    REQUIRE_FALSE(store->begin(object, std::move(head), {fresh, 0, 0}));
  }
  /** A complete object. */
  std::shared_ptr<objects::Object> make(const std::string& key, const std::string& body,
                                        kernel::Nanos fresh = 3600 * kernel::kSecond) const {
    auto object = first(key);
    begin(object, fresh);
    REQUIRE(store->append(object, bytes_of_text(body)) == nullptr);
    store->complete(object);
    return object;
  }

  kernel::Reactor reactor;
  objects::ObjectCounters counters{};
  std::unique_ptr<objects::Store> store;
};

}  // namespace sluice::test
