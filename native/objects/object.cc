#include "objects/object.h"

#include <algorithm>

#include "objects/store.h"

namespace sluice::objects {

namespace {

/**
 * Every piece that is sent costs a system call, a wake-up of the receiver and acknowledgements, for each
 * reader: the more there are, the longer more of a growing object is gathered first. A piece that comes after
 * a pause is not held back.
 */
constexpr kernel::Nanos kGatherPerReader = kernel::kMillisecond;
constexpr kernel::Nanos kLongestGather = 50 * kernel::kMillisecond;

}  // namespace

Object::Object(Store& store, std::string key, std::uint64_t ticket)
    : store_(store), key_(std::move(key)), ticket_(ticket), wanted_at_(store.reactor().now()) {}

Object::~Object() {
  store_.release(*this);
}

codec::Bytes Object::bytes_from(std::uint64_t position) const noexcept {
  if (position >= size_) return {};
  return {store_.arena_.at(offset_ + position), static_cast<std::size_t>(size_ - position)};
}

void Object::wait(Reader& reader) noexcept {
  if (!reader.linked()) waiters_++;
  waiting_.push_back(reader);
}

void Object::signal(bool at_once) noexcept {
  if (waiting_.empty()) {
    waiters_ = 0;
    return;
  }
  const auto spacing = std::min(kLongestGather, static_cast<kernel::Nanos>(waiters_) * kGatherPerReader);
  const kernel::Nanos now = store_.reactor().now();
  if (at_once) {
    store_.reactor().arm(*this, now);
  } else if (!armed()) {
    store_.reactor().arm(*this, std::max(now, last_wake_ + spacing));
  }
}

void Object::on_timer(kernel::Nanos now) noexcept {
  last_wake_ = now;
  waiters_ = 0;
  store_.wake(waiting_);
}

void Object::set_freshness(const Freshness& freshness, kernel::Nanos now) noexcept {
  born_ = now - freshness.age;
  fresh_until_ = now + freshness.fresh;
  usable_until_ = fresh_until_ + freshness.stale_if_error;
}

}  // namespace sluice::objects
