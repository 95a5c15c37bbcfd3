#include "http/object_answer.h"

#include <algorithm>
#include <utility>

#include "http/range.h"

namespace sluice::http {

using objects::Object;
using objects::Phase;

namespace {

/** RFC 8673 section 3: an end of range from here on means "whatever comes". */
constexpr std::uint64_t kVeryLarge = std::uint64_t{1} << 52;

/** A range of an object, as it comes. */
class ObjectBody final : public Body, private objects::Reader {
 public:
  /** Bytes from `position` up to `end`, or up to the object's own. */
  ObjectBody(std::shared_ptr<Object> object, std::uint64_t position, std::uint64_t end)
      : object_(std::move(object)), position_(position), end_(end) {}

  Piece peek() noexcept override {
    if (position_ >= end_) return {Next::end, {}};
    const codec::Bytes there = object_->bytes_from(position_);
    if (!there.empty())
      return {Next::bytes,
              there.first(static_cast<std::size_t>(std::min<std::uint64_t>(there.size(), end_ - position_)))};
    if (object_->phase() == Phase::complete) return {Next::end, {}};
    if (object_->phase() == Phase::failed) return {Next::broken, {}};
    object_->wait(*this);
    return {Next::wait, {}};
  }
  void consume(std::size_t n) noexcept override { position_ += n; }
  void listen(AnswerListener& listener) noexcept override { listener_ = &listener; }

 private:
  void on_object_progress() noexcept override { listener_->on_answer_progress(); }

  const std::shared_ptr<Object> object_;
  std::uint64_t position_;
  const std::uint64_t end_;
  AnswerListener* listener_ = nullptr;
};

/** Waits until an object has a head, or as many bytes as its range needs. */
class PendingObject final : public Pending, private objects::Reader {
 public:
  PendingObject(std::shared_ptr<Object> object, const Request& request, const ObjectTerms& terms)
      : object_(std::move(object)), request_(request), terms_(terms) {
    object_->wait(*this);
  }
  void listen(AnswerListener& listener) noexcept override { listener_ = &listener; }
  std::optional<Answer> take() override {
    Answer answer = answer_with(object_, request_, terms_);
    if (!answer.pending) return answer;
    object_->wait(*this);
    return std::nullopt;
  }

 private:
  void on_object_progress() noexcept override { listener_->on_answer_progress(); }

  const std::shared_ptr<Object> object_;
  const Request request_;
  const ObjectTerms terms_;
  AnswerListener* listener_ = nullptr;
};

std::string_view opaque(std::string_view tag) noexcept {
  return tag.starts_with("W/") ? tag.substr(2) : tag;
}

/** RFC 9110 section 13.1.2, with the weak comparison of section 8.8.3.2. */
bool none_match_hits(std::string_view field, const std::string& etag) noexcept {
  if (field == "*") return true;
  if (etag.empty()) return false;
  while (!field.empty()) {
    const std::size_t begin = field.find('"');
    const std::size_t end = begin == std::string_view::npos ? begin : field.find('"', begin + 1);
    if (end == std::string_view::npos) return false;
    if (field.substr(begin, end - begin + 1) == opaque(etag)) return true;
    field.remove_prefix(end + 1);
  }
  return false;
}

/** RFC 9110 section 13.2.2, steps 3 and 4. Dates are compared as text: clients send back what they were
 * given. */
bool not_modified(const Request& request, const objects::Head& head) noexcept {
  if (!request.if_none_match.empty()) return none_match_hits(request.if_none_match, head.etag);
  return !request.if_modified_since.empty() && request.if_modified_since == head.last_modified;
}

/** Whether If-Range lets the range count (RFC 9110 section 13.1.5): strong validators only. */
bool range_counts(const Request& request, const objects::Head& head) noexcept {
  if (request.if_range.empty()) return true;
  if (request.if_range.front() == '"') return request.if_range == head.etag;
  return request.if_range == head.last_modified;
}

Answer answer_of(const Object& object, const ObjectTerms& terms) {
  Answer answer;
  answer.status = object.head().status;
  answer.content_type = nullptr;
  answer.cache_control = nullptr;
  answer.fields = object.head().fields;
  answer.cache = terms.cache;
  const kernel::Nanos age = std::max<kernel::Nanos>(object.age(terms.reactor.now()), 0) / kernel::kSecond;
  answer.fields += "Age: " + std::to_string(age) + "\r\n";
  return answer;
}

Answer whole(std::shared_ptr<Object> object, const ObjectTerms& terms) {
  Answer answer = answer_of(*object, terms);
  if (answer.status == 200) answer.fields += "Accept-Ranges: bytes\r\n";
  if (object->phase() == Phase::complete) {
    answer.length = object->size();
  } else {
    answer.length = object->head().length;
    answer.chunked = !answer.length;
  }
  answer.body = std::make_unique<ObjectBody>(std::move(object), 0, ByteRange::kOpen);
  return answer;
}

Answer unsatisfiable(std::uint64_t size) {
  Answer answer = answer_with_text(416, "the range lies behind the end of the object\n");
  answer.fields = "Content-Range: bytes */" + std::to_string(size) + "\r\n";
  return answer;
}

Answer part(std::shared_ptr<Object> object, const ObjectTerms& terms, std::uint64_t first, std::uint64_t last,
            const std::string& size) {
  Answer answer = answer_of(*object, terms);
  answer.status = 206;
  answer.fields +=
      "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + size + "\r\n";
  answer.length = last - first + 1;
  answer.body = std::make_unique<ObjectBody>(std::move(object), first, last + 1);
  return answer;
}

/** A range of an object whose size is known. */
Answer part_of_known(std::shared_ptr<Object> object, const ObjectTerms& terms, ByteRange range,
                     std::uint64_t size) {
  if (range.is_suffix) {
    range.first = size - std::min(size, range.suffix);
    range.last = ByteRange::kOpen;
  }
  if (range.first >= size || (range.is_suffix && range.suffix == 0)) return unsatisfiable(size);
  const std::uint64_t last = std::min(range.last, size - 1);
  return part(std::move(object), terms, range.first, last, std::to_string(size));
}

/** A range of an object that grows to a size nobody knows yet; none while it must wait. */
std::optional<Answer> part_of_growing(const std::shared_ptr<Object>& object, const ObjectTerms& terms,
                                      const ByteRange& range) {
  if (range.is_suffix || range.last == ByteRange::kOpen) return std::nullopt;
  if (range.last >= kVeryLarge) {
    if (object->size() < range.first) return std::nullopt;
    Answer answer = part(object, terms, range.first, range.last, "*");
    answer.length.reset();
    answer.chunked = true;
    return answer;
  }
  if (object->size() <= range.last) return std::nullopt;
  return part(object, terms, range.first, range.last, "*");
}

Answer wait_for(std::shared_ptr<Object> object, const Request& request, const ObjectTerms& terms) {
  Answer answer;
  answer.pending = std::make_unique<PendingObject>(std::move(object), request, terms);
  return answer;
}

Answer refusal(const objects::Refusal& refusal) {
  return answer_with_text(refusal.status, refusal.message + "\n", refusal.retry_after);
}

/** From an object that has a head. */
Answer answer_with_bytes(std::shared_ptr<Object> object, const Request& request, const ObjectTerms& terms) {
  const objects::Head& head = object->head();
  // Cut short before this viewer had anything of it: that can still be said properly.
  if (object->phase() == Phase::failed)
    return answer_with_text(502, "the origin's answer was cut short\n", 1);
  if (head.status == 200 && not_modified(request, head)) {
    Answer answer = answer_of(*object, terms);
    answer.status = 304;
    return answer;
  }
  const bool ranged =
      head.status == 200 && request.method == Request::Method::get && range_counts(request, head);
  const auto range = ranged ? parse_range(request.range) : std::nullopt;
  if (!range) return whole(std::move(object), terms);
  const auto size = object->phase() == Phase::complete ? std::optional(object->size()) : head.length;
  if (size) return part_of_known(std::move(object), terms, *range, *size);
  if (auto answer = part_of_growing(object, terms, *range)) return std::move(*answer);
  return wait_for(std::move(object), request, terms);
}

}  // namespace

Answer answer_with_text(unsigned status, std::string text, unsigned retry_after) {
  Answer answer;
  answer.status = status;
  answer.retry_after = retry_after;
  answer.text = std::make_shared<const std::string>(std::move(text));
  return answer;
}

Answer answer_with(std::shared_ptr<Object> object, const Request& request, const ObjectTerms& terms) {
  switch (object->phase()) {
    case Phase::wanted:
      return wait_for(std::move(object), request, terms);
    case Phase::refused:
      return refusal(object->refusal());
    case Phase::replaced: {
      const char* const cache = object->instead()->fresh(terms.reactor.now()) ? "revalidated" : "stale";
      return answer_with(object->instead(), request, {cache, terms.reactor});
    }
    default:
      return answer_with_bytes(std::move(object), request, terms);
  }
}

}  // namespace sluice::http
