#include "http/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "http/server.h"

namespace sluice::http {

using codec::Bytes;
using kernel::bump;
using kernel::kSecond;

namespace {

constexpr std::size_t kReadSize = 16 * 1024;
/** After the last answer the peer's bytes are still read for so long, so that a reset does not overtake the
 * answer. */
constexpr kernel::Nanos kLinger = 2 * kSecond;
/** Seconds after which a refused client may ask again. */
constexpr unsigned kRetryAfter = 5;

const char* reason_of(unsigned status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

Bytes bytes_of(const std::string& text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Connection::Connection(Server& server, kernel::Fd socket, const kernel::Address& remote, std::uint64_t id)
    : server_(server),
      socket_(std::move(socket)),
      remote_(remote),
      id_(id),
      accepted_(server.reactor().now()),
      deadline_(accepted_ + server.options().header_timeout) {}

Connection::~Connection() {
  if (watched_ != 0) server_.reactor().unwatch(socket_.get(), *this);
}

bool Connection::start() noexcept {
  watched_ = EPOLLIN;
  if (server_.reactor().watch(socket_.get(), watched_, *this)) return true;
  watched_ = 0;
  return false;
}

void Connection::refuse() {
  Answer refusal;
  refusal.status = 503;
  refusal.retry_after = kRetryAfter;
  refusal.text = std::make_shared<const std::string>("there are too many connections\n");
  begin(std::move(refusal), false, false);
}

void Connection::interest(std::uint32_t events) noexcept {
  if (closed_ || events == watched_) return;
  // Zero still reports errors and hang-ups.
  server_.reactor().rewatch(socket_.get(), events, *this);
  watched_ = events;
}

void Connection::on_ready(std::uint32_t events) noexcept {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    close();
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    pump();
  }
  if (!closed_ && (events & (EPOLLIN | EPOLLRDHUP)) != 0) read_requests();
}

void Connection::read_requests() noexcept {
  if (answering_) {
    // Half-closed by the peer: the answer still goes out, and what was asked before the end is read after it.
    input_ended_ = true;
    interest(watched_ & ~static_cast<std::uint32_t>(EPOLLRDHUP));
    return;
  }
  std::array<std::uint8_t, kReadSize>
      buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the kernel
  const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    close();
    return;
  }
  if (!lingering_) take_input({buffer.data(), static_cast<std::size_t>(n)});
}

/** Answers one request after the other until one cannot be sent at once; the rest is kept. */
void Connection::take_input(Bytes input) noexcept {
  taking_input_ = true;
  while (!input.empty() && !answering_ && !closed_ && !lingering_) input = take_request(input);
  taking_input_ = false;
  if (!closed_ && !lingering_) pending_input_.assign(input.begin(), input.end());
}

/** The bytes behind the request, where it is complete. */
Bytes Connection::take_request(Bytes input) noexcept {
  const bool fresh = !parser_.begun();
  std::size_t consumed = 0;
  const auto state = parser_.feed(input, consumed);
  if (state == RequestParser::State::error) {
    bump(server_.counters().malformed);
    answer_error(parser_.error_status());
    return {};
  }
  if (state == RequestParser::State::more) {
    // The time for a head runs from its first byte.
    if (fresh) deadline_ = server_.reactor().now() + server_.options().header_timeout;
    return {};
  }
  answer(parser_.request());
  return input.subspan(consumed);
}

void Connection::answer(const Request& request) {
  user_agent_ = request.user_agent;
  const bool keep_alive = request.keep_alive && !request.has_body;
  if (request.method == Request::Method::other) {
    Answer refusal;
    refusal.status = 405;
    refusal.text = std::make_shared<const std::string>("only GET, HEAD and OPTIONS are answered here\n");
    begin(std::move(refusal), false, keep_alive);
    return;
  }
  if (request.method == Request::Method::options) {
    Answer preflight;
    preflight.status = 204;
    begin(std::move(preflight), true, keep_alive);
    return;
  }
  begin(server_.router().resolve(request), request.method == Request::Method::head, keep_alive);
}

void Connection::answer_error(unsigned status) {
  Answer refusal;
  refusal.status = status;
  refusal.text = std::make_shared<const std::string>(std::string(reason_of(status)) + "\n");
  begin(std::move(refusal), false, false);
}

void Connection::begin(Answer answer, bool head_only, bool keep_alive) {
  answering_ = true;
  answer_ = std::move(answer);
  const bool endless = answer_.body != nullptr && !answer_.length;
  keep_alive_ = keep_alive && !endless;
  if (answer_.segmented_stream != 0) {
    segmented_stream_ = answer_.segmented_stream;
    segmented_time_ = server_.reactor().now();
  }
  make_head(keep_alive_);
  if (head_only) {
    answer_.text.reset();
    answer_.body.reset();
  }
  ListenerCounters& c = server_.counters();
  bump(c.requests);
  bump(answer_.status < 300   ? c.responses2xx
       : answer_.status < 400 ? c.responses3xx
       : answer_.status < 500 ? c.responses4xx
                              : c.responses5xx);
  head_sent_ = 0;
  text_sent_ = 0;
  progress_ = server_.reactor().now();
  if (answer_.body) answer_.body->listen(*this);
  pump();
}

void Connection::make_head(bool keep_alive) {
  const Answer& a = answer_;
  head_ = "HTTP/1.1 " + std::to_string(a.status) + " " + reason_of(a.status) + "\r\nDate: " + server_.date() +
          "\r\nServer: sluice\r\nAccess-Control-Allow-Origin: *\r\n";
  if (a.status == 204 || a.status == 405) head_ += "Allow: GET, HEAD, OPTIONS\r\n";
  if (a.status == 204) {
    head_ +=
        "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\nAccess-Control-Allow-Headers: *\r\n"
        "Access-Control-Max-Age: 86400\r\n";
  } else {
    head_ +=
        std::string("Content-Type: ") + a.content_type + "\r\nCache-Control: " + a.cache_control + "\r\n";
    if (a.text) head_ += "Content-Length: " + std::to_string(a.text->size()) + "\r\n";
    if (a.length) head_ += "Content-Length: " + std::to_string(*a.length) + "\r\n";
  }
  if (a.retry_after > 0) head_ += "Retry-After: " + std::to_string(a.retry_after) + "\r\n";
  head_ += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
}

void Connection::on_body_ready() noexcept {
  if (!answering_ || closed_) return;
  // Blocked or not, a body that follows a stream is asked, so that a viewer's falling behind shows when it
  // happens.
  if (blocked_) {
    if (answer_.body) answer_.body->peek();
    return;
  }
  pump();
}

void Connection::pump() noexcept {
  if (!answering_ || blocked_) return;
  if (head_sent_ < head_.size()) {
    if (send(bytes_of(head_).subspan(head_sent_), head_sent_) != Sent::all) return;
  }
  if (answer_.text && text_sent_ < answer_.text->size()) {
    if (send(bytes_of(*answer_.text).subspan(text_sent_), text_sent_) != Sent::all) return;
  }
  if (answer_.body && !pump_body()) return;
  finish();
}

bool Connection::pump_body() noexcept {
  for (;;) {
    const Body::Piece piece = answer_.body->peek();
    if (piece.next == Body::Next::end) return true;
    if (piece.next == Body::Next::broken) {
      close();
      return false;
    }
    if (piece.next == Body::Next::wait) {
      interest(input_ended_ ? 0U : static_cast<std::uint32_t>(EPOLLRDHUP));
      return false;
    }
    std::size_t sent = 0;
    const Sent how = send(piece.bytes, sent);
    if (how == Sent::failed) return false;
    answer_.body->consume(sent);
    const auto follower = answer_.body->follower();
    server_.router().on_sent(follower ? follower->stream : answer_.segmented_stream, sent);
    if (how == Sent::blocked) return false;
  }
}

Connection::Sent Connection::send(Bytes bytes, std::size_t& sent) noexcept {
  const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    close();
    return Sent::failed;
  }
  if (n > 0) {
    sent += static_cast<std::size_t>(n);
    bytes_sent_ += static_cast<std::uint64_t>(n);
    bump(server_.counters().bytes_out, static_cast<std::uint64_t>(n));
    progress_ = server_.reactor().now();
    if (static_cast<std::size_t>(n) == bytes.size()) return Sent::all;
  }
  blocked_ = true;
  interest(EPOLLOUT | (input_ended_ ? 0U : static_cast<std::uint32_t>(EPOLLRDHUP)));
  return Sent::blocked;
}

void Connection::finish() noexcept {
  answering_ = false;
  answer_ = {};
  head_.clear();
  const kernel::Nanos now = server_.reactor().now();
  if (!keep_alive_) {
    ::shutdown(socket_.get(), SHUT_WR);
    lingering_ = true;
    deadline_ = now + kLinger;
    interest(EPOLLIN);
    return;
  }
  parser_.reset();
  deadline_ = now + server_.options().idle_timeout;
  interest(EPOLLIN);
  if (taking_input_ || pending_input_.empty()) return;
  const std::string input = std::exchange(pending_input_, {});
  take_input(bytes_of(input));
}

void Connection::sweep(kernel::Nanos now) noexcept {
  ListenerCounters& c = server_.counters();
  if (answering_) {
    if (!blocked_ || now - progress_ < server_.options().stall_timeout) return;
    bump(c.stalled);
    close();
  } else if (now >= deadline_) {
    if (!lingering_ && (parser_.begun() || bytes_sent_ == 0)) {
      bump(c.header_timeouts);
      if (parser_.begun()) {
        answer_error(408);
        return;
      }
    }
    close();
  }
}

void Connection::close() noexcept {
  if (closed_) return;
  closed_ = true;
  answering_ = false;
  server_.reactor().unwatch(socket_.get(), *this);
  watched_ = 0;
  answer_ = {};
  socket_.reset();
  server_.forget(*this);
  server_.reactor().dispose(this);
}

}  // namespace sluice::http
