// Intrusive lists: an element knows its place and leaves it when it is destroyed.
#pragma once

namespace sluice::objects {

/** A place in at most one list. */
class Link {
 public:
  Link() noexcept = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { unlink(); }

  [[nodiscard]] bool linked() const noexcept { return next_ != this; }
  void unlink() noexcept {
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = this;
  }

 private:
  template <class T>
  friend class List;
  Link* next_ = this;
  Link* previous_ = this;
};

/** Elements in the order in which they came; T derives from Link. Owns nothing. */
template <class T>
class List {
 public:
  [[nodiscard]] bool empty() const noexcept { return !head_.linked(); }
  /** Takes the element out of wherever it is. */
  void push_back(T& element) noexcept {
    Link& link = element;
    link.unlink();
    link.previous_ = head_.previous_;
    link.next_ = &head_;
    head_.previous_->next_ = &link;
    head_.previous_ = &link;
  }
  /** Not of an empty list. */
  [[nodiscard]] T& front() const noexcept { return static_cast<T&>(*head_.next_); }
  /** Not of an empty list. */
  T& pop_front() noexcept {
    T& first = front();
    static_cast<Link&>(first).unlink();
    return first;
  }
  /** Moves all elements of `other` to the end; takes the same time however many there are. */
  void splice(List& other) noexcept {
    if (other.empty()) return;
    Link* const first = other.head_.next_;
    Link* const last = other.head_.previous_;
    other.head_.next_ = other.head_.previous_ = &other.head_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
  }

 private:
  Link head_;
};

}  // namespace sluice::objects
