#include "http/connection.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "http/object_answer.h"
#include "http/server.h"
#include "http/status.h"

namespace sluice::http {

using codec::Bytes;
using kernel::bump;
using kernel::kSecond;

namespace {

constexpr std::size_t kReadSize = 16 * 1024;
/** Of a long body at first only so much: with many who ask at once nobody waits until all before him have
 * everything. */
constexpr std::size_t kFirstPiece = 64 * 1024;
/** After the last answer the peer's bytes are still read for so long, so that a reset does not overtake the
 * answer. */
constexpr kernel::Nanos kLinger = 2 * kSecond;
/** Seconds after which a refused client may ask again. */
constexpr unsigned kRetryAfter = 5;
/** What the log says of one who left before there was an answer, as nginx does. */
constexpr unsigned kClientLeft = 499;

Bytes bytes_of(const std::string& text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Connection::Connection(Server& server, kernel::Fd socket, const kernel::Address& remote, std::uint64_t id)
    : server_(server),
      transport_(std::move(socket)),
      remote_(remote),
      id_(id),
      accepted_(server.reactor().now()),
      parser_(server.options().header_size),
      deadline_(accepted_ + server.options().header_timeout) {}

Connection::~Connection() {
  if (answering_) log_answer();
  if (watched_ != 0) server_.reactor().unwatch(transport_.get(), *this);
}

bool Connection::start(const std::shared_ptr<const secure::ServerContext>& tls) noexcept {
  handshaking_ = tls != nullptr;
  if (tls && !transport_.accept(tls)) return false;
  watched_ = EPOLLIN;
  if (server_.reactor().watch(transport_.get(), watched_, *this)) return true;
  watched_ = 0;
  return false;
}

void Connection::refuse(bool full) {
  refused_ = true;
  begin(full ? answer_with_text(503, "there are too many connections\n", kRetryAfter)
             : answer_with_text(429, "there are too many connections from your address\n", kRetryAfter),
        false, false);
}

void Connection::interest(std::uint32_t events) noexcept {
  if (closed_ || events == watched_) return;
  // Zero still reports errors and hang-ups.
  server_.reactor().rewatch(transport_.get(), events, *this);
  watched_ = events;
}

void Connection::on_ready(std::uint32_t events) noexcept {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    close();
    return;
  }
  if (handshaking_) return handshake();
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    if (lingering_) return say_end();
    pump();
  }
  if (!closed_ && (events & (EPOLLIN | EPOLLRDHUP)) != 0) read_requests();
}

void Connection::handshake() noexcept {
  using Kind = secure::Outcome::Kind;
  const Kind kind = transport_.handshake().kind;
  if (kind == Kind::wants_read) return interest(EPOLLIN);
  if (kind == Kind::wants_write) return interest(EPOLLOUT);
  if (kind != Kind::done) {
    bump(server_.counters().tls_failures);
    return close();
  }
  handshaking_ = false;
  bump(server_.counters().tls_handshakes);
  if (transport_.session()->resumed()) bump(server_.counters().tls_resumed);
  interest(EPOLLIN);
  // What came with the last of the handshake shows on no socket.
  if (transport_.pending()) read_requests();
}

void Connection::read_requests() noexcept {
  do {
    if (answering_) {
      // Half-closed by the peer: the answer still goes out, and what was asked before the end is read after
      // it.
      input_ended_ = true;
      return interest(watched_ & ~static_cast<std::uint32_t>(EPOLLRDHUP));
    }
    read_once();
  } while (!closed_ && !answering_ && transport_.pending());
}

void Connection::read_once() noexcept {
  std::array<std::uint8_t, kReadSize>
      buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the kernel
  const secure::Outcome outcome = transport_.read(buffer);
  if (outcome.kind == secure::Outcome::Kind::wants_read || outcome.kind == secure::Outcome::Kind::wants_write)
    return;
  if (!outcome.done()) return close();
  if (!lingering_) take_input({buffer.data(), outcome.bytes});
}

/** Answers one request after the other until one cannot be sent at once; the rest is kept. */
void Connection::take_input(Bytes input) noexcept {
  taking_input_ = true;
  while (!input.empty() && !answering_ && !closed_ && !lingering_) input = take_request(input);
  taking_input_ = false;
  if (!closed_ && !lingering_) pending_input_.assign(input.begin(), input.end());
  if (bound_for_) depart();
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
  if (!over_limit(request.keep_alive && !request.has_body)) respond(request);
}

void Connection::respond(const Request& request) {
  user_agent_ = request.user_agent;
  const bool keep_alive = request.keep_alive && !request.has_body;
  if (request.method == Request::Method::other)
    return begin(answer_with_text(405, "only GET, HEAD and OPTIONS are answered here\n"), false, keep_alive);
  if (request.method == Request::Method::options) {
    Answer preflight;
    preflight.status = 204;
    begin(std::move(preflight), true, keep_alive);
    return;
  }
  take(server_.router().resolve(request, remote_));
}

void Connection::take(Answer answer) {
  const Request& request = parser_.request();
  bound_for_ = answer.elsewhere;
  answering_ = true;
  if (bound_for_) return;
  begin(std::move(answer), request.method == Request::Method::head, request.keep_alive && !request.has_body);
}

/** Whether the request is one too many, and has been answered so. */
bool Connection::over_limit(bool keep_alive) {
  using Kind = ClientLimits::Verdict::Kind;
  const auto verdict = server_.clients().ask(admission_.place(), server_.reactor().now());
  if (verdict.kind == Kind::allowed) return false;
  const bool client = verdict.kind == Kind::client;
  bump(client ? server_.counters().limited_client : server_.counters().limited_all);
  begin(client ? answer_with_text(429, "there are too many requests from your address\n", verdict.retry_after)
               : answer_with_text(503, "there are too many requests\n", verdict.retry_after),
        false, keep_alive);
  return true;
}

void Connection::answer_error(unsigned status) {
  begin(answer_with_text(status, std::string(reason_of(status)) + "\n"), false, false);
}

void Connection::begin(Answer answer, bool head_only, bool keep_alive) {
  answering_ = true;
  head_only_ = head_only;
  keep_alive_ = keep_alive;
  answer_ = std::move(answer);
  asked_ = server_.reactor().now();
  slowness_.begin(asked_);
  first_byte_ = 0;
  sent_before_ = bytes_sent_;
  if (answer_.pending) {
    answer_.pending->listen(*this);
    wait_for_body();
  } else {
    start_answer();
  }
}

void Connection::take_pending() noexcept {
  std::optional<Answer> known = answer_.pending->take();
  if (!known) return;
  bound_for_ = known->elsewhere;
  if (bound_for_) return depart();
  known->source = std::move(answer_.source);
  answer_ = std::move(*known);
  start_answer();
}

void Connection::start_answer() {
  const bool unknown_length = answer_.body != nullptr && !answer_.length;
  chunked_ = unknown_length && answer_.chunked && parser_.request().http_1_1;
  keep_alive_ = keep_alive_ && (!unknown_length || chunked_);
  if (answer_.segmented_stream != 0) {
    segmented_stream_ = answer_.segmented_stream;
    segmented_time_ = server_.reactor().now();
  }
  make_head();
  if (head_only_ || answer_.status == 304) {
    answer_.text.reset();
    answer_.body.reset();
  }
  ListenerCounters& c = server_.counters();
  bump(c.requests);
  bump(answer_.status < 300   ? c.responses2xx
       : answer_.status < 400 ? c.responses3xx
       : answer_.status < 500 ? c.responses4xx
                              : c.responses5xx);
  head_sent_ = text_sent_ = chunk_line_sent_ = chunk_left_ = 0;
  chunk_line_.clear();
  any_chunk_ = last_chunk_ = any_body_ = false;
  slowness_.begin(server_.reactor().now());
  if (answer_.body) answer_.body->listen(*this);
  pump();
}

void Connection::make_head() {
  const Answer& a = answer_;
  head_.assign("HTTP/1.1 ").append(std::to_string(a.status)).append(" ").append(reason_of(a.status));
  head_.append("\r\nDate: ").append(server_.date());
  head_.append("\r\nServer: sluice\r\nAccess-Control-Allow-Origin: *\r\n");
  if (a.status == 204 || a.status == 405) head_ += "Allow: GET, HEAD, OPTIONS\r\n";
  if (a.status == 204) {
    head_ +=
        "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\nAccess-Control-Allow-Headers: *\r\n"
        "Access-Control-Max-Age: 86400\r\n";
  } else {
    if (a.content_type != nullptr) head_.append("Content-Type: ").append(a.content_type).append("\r\n");
    if (a.cache_control != nullptr) head_.append("Cache-Control: ").append(a.cache_control).append("\r\n");
    if (a.text) head_.append("Content-Length: ").append(std::to_string(a.text->size())).append("\r\n");
    if (a.length) head_.append("Content-Length: ").append(std::to_string(*a.length)).append("\r\n");
    if (chunked_) head_ += "Transfer-Encoding: chunked\r\n";
  }
  head_ += a.fields;
  if (a.retry_after > 0) head_.append("Retry-After: ").append(std::to_string(a.retry_after)).append("\r\n");
  head_ += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
}

void Connection::on_answer_progress() noexcept {
  if (!answering_ || closed_) return;
  if (answer_.pending) return take_pending();
  // Blocked or not, a body that follows a stream is asked, so that a viewer's falling behind shows when it
  // happens.
  if (blocked_) {
    if (answer_.body) answer_.body->peek();
    return;
  }
  pump();
}

void Connection::Gathered::add(Bytes piece) noexcept {
  if (!piece.empty()) pieces[count++] = piece;
}

void Connection::pump() noexcept {
  while (answering_ && !blocked_ && !closed_) {
    Gathered out;
    gather(out);
    if (out.count > 0) {
      if (!send(std::span(out.pieces).first(out.count))) return;
      if (out.cut && !blocked_) return server_.take_turn(*this);
    } else if (transport_.unsent()) {
      if (!send({})) return;
    } else if (out.next == Body::Next::wait) {
      return wait_for_body();
    } else if (out.next == Body::Next::broken) {
      return abort();
    } else {
      return finish();
    }
  }
}

void Connection::on_turn() noexcept {
  // Another answer may have begun since the turn was asked for.
  if (!closed_ && answering_ && !answer_.pending) pump();
}

void Connection::gather(Gathered& out) noexcept {
  out.add(bytes_of(head_).subspan(head_sent_));
  if (answer_.text) out.add(bytes_of(*answer_.text).subspan(text_sent_));
  if (answer_.body) gather_body(out);
}

void Connection::gather_body(Gathered& out) noexcept {
  out.add(bytes_of(chunk_line_).subspan(chunk_line_sent_));
  if (last_chunk_) return;
  Body::Piece piece = answer_.body->peek();
  out.next = piece.next;
  out.cut = !any_body_ && piece.bytes.size() > kFirstPiece && server_.crowded();
  if (out.cut) piece.bytes = piece.bytes.first(kFirstPiece);
  if (chunked_ && chunk_left_ == 0) return frame(out, piece);
  if (piece.next == Body::Next::bytes)
    out.add(chunked_ ? piece.bytes.first(std::min(chunk_left_, piece.bytes.size())) : piece.bytes);
}

/** Begins a chunk, or ends the body. The end of the chunk before goes with it. */
void Connection::frame(Gathered& out, const Body::Piece& piece) noexcept {
  if (piece.next != Body::Next::bytes && piece.next != Body::Next::end) return;
  std::array<char, 24> line{};
  const std::size_t size = piece.next == Body::Next::bytes ? piece.bytes.size() : 0;
  const int n = std::snprintf(line.data(), line.size(), size > 0 ? "%s%zx\r\n" : "%s%zx\r\n\r\n",
                              any_chunk_ ? "\r\n" : "", size);
  chunk_line_.assign(line.data(), static_cast<std::size_t>(n));
  chunk_line_sent_ = 0;
  any_chunk_ = true;
  last_chunk_ = size == 0;
  chunk_left_ = size;
  out.add(bytes_of(chunk_line_));
  out.add(piece.bytes.first(size));
}

bool Connection::send(std::span<const Bytes> pieces) noexcept {
  const secure::Outcome outcome = transport_.write(pieces);
  if (outcome.kind == secure::Outcome::Kind::failed) {
    close();
    return false;
  }
  if (outcome.bytes > 0) account(outcome.bytes);
  if (outcome.done()) return true;
  blocked_ = true;
  interest(EPOLLOUT | (input_ended_ ? 0U : static_cast<std::uint32_t>(EPOLLRDHUP)));
  return true;
}

/** So many bytes are out, in the order in which they are gathered. */
void Connection::account(std::size_t sent) noexcept {
  bytes_sent_ += sent;
  bump(server_.counters().bytes_out, sent);
  const kernel::Nanos now = server_.reactor().now();
  slowness_.sent(now);
  if (first_byte_ == 0) first_byte_ = now;
  const auto take = [&sent](std::size_t& done, std::size_t size) {
    const std::size_t n = std::min(sent, size - done);
    done += n;
    sent -= n;
  };
  take(head_sent_, head_.size());
  if (answer_.text) take(text_sent_, answer_.text->size());
  take(chunk_line_sent_, chunk_line_.size());
  if (sent == 0) return;
  if (chunked_) chunk_left_ -= sent;
  any_body_ = true;
  answer_.body->consume(sent);
  const auto follower = answer_.body->follower();
  server_.router().on_sent(follower ? follower->stream : answer_.segmented_stream, sent);
}

void Connection::wait_for_body() noexcept {
  interest(input_ended_ ? 0U : static_cast<std::uint32_t>(EPOLLRDHUP));
}

/** The answer has ended, one way or another. Its head and what was asked are still there. */
void Connection::log_answer() noexcept {
  AccessLog* const log = server_.access_log();
  if (log == nullptr || refused_) return;
  const Request& request = parser_.request();
  const bool asked = request.method_name[0] != '\0';
  const kernel::Nanos now = server_.reactor().now();
  const std::uint64_t sent = bytes_sent_ - sent_before_;
  AccessRecord record{remote_};
  record.method = request.method_name;
  if (asked) record.target = parser_.target();
  if (asked) record.protocol = request.http_1_1 ? "HTTP/1.1" : "HTTP/1.0";
  record.status = answer_.pending ? kClientLeft : answer_.status;
  record.bytes = sent - std::min<std::uint64_t>(sent, head_.size());
  record.referer = request.referer;
  record.user_agent = request.user_agent;
  record.duration = now - asked_;
  if (first_byte_ != 0) record.first_byte = first_byte_ - asked_;
  record.cache = answer_.cache;
  if (const secure::Session* tls = transport_.session()) record.tls = tls->version();
  if (answer_.source) record.source = *answer_.source;
  log->write(record);
}

void Connection::finish() noexcept {
  log_answer();
  answering_ = false;
  answer_ = {};
  head_.clear();
  const kernel::Nanos now = server_.reactor().now();
  if (!keep_alive_) {
    lingering_ = true;
    deadline_ = now + kLinger;
    return say_end();
  }
  parser_.reset();
  deadline_ = now + server_.options().idle_timeout;
  interest(EPOLLIN);
  if (taking_input_) return;
  const std::string input = std::exchange(pending_input_, {});
  take_input(bytes_of(input));
  // What TLS has read already shows on no socket.
  if (!closed_ && !answering_ && !lingering_ && transport_.pending()) read_requests();
}

/** The answer was the last; the end is told, and what the peer still sends is read. */
void Connection::say_end() noexcept {
  const bool more = transport_.finish().kind == secure::Outcome::Kind::wants_write;
  interest(more ? EPOLLIN | EPOLLOUT : static_cast<std::uint32_t>(EPOLLIN));
}

/** The body cannot be completed. Where neither a length nor chunks say so, a reset does. */
void Connection::abort() noexcept {
  if (!chunked_ && !answer_.length) {
    const linger at_once{1, 0};
    setsockopt(transport_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  close();
}

void Connection::sweep(kernel::Nanos now) noexcept {
  ListenerCounters& c = server_.counters();
  if (answering_) {
    sweep_answer(now);
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

/** Bytes that have reached the viewer; over TLS not to the byte. */
std::uint64_t Connection::taken() const noexcept {
  int waiting = 0;
  if (ioctl(transport_.get(), SIOCOUTQ, &waiting) != 0 || waiting < 0) waiting = 0;
  return bytes_sent_ - std::min(bytes_sent_, static_cast<std::uint64_t>(waiting));
}

/** Ends an answer of which the viewer takes nothing, or too little. */
void Connection::sweep_answer(kernel::Nanos now) noexcept {
  if (!blocked_) return slowness_.caught_up();
  const ServerOptions& limits = server_.options();
  const bool follows = answer_.body && answer_.body->follower();
  const auto verdict = slowness_.look(now, taken(), limits.stall_timeout, follows ? 0 : limits.min_rate);
  if (verdict == Slowness::Verdict::patient) return;
  bump(verdict == Slowness::Verdict::slow ? server_.counters().too_slow : server_.counters().stalled);
  close();
}

void Connection::close() noexcept {
  if (closed_) return;
  if (answering_) log_answer();
  closed_ = true;
  answering_ = false;
  server_.reactor().unwatch(transport_.get(), *this);
  watched_ = 0;
  answer_ = {};
  // What is left of this is destroyed later, and the server may be gone by then.
  admission_ = {};
  transport_.reset();
  server_.forget(*this);
  server_.reactor().dispose(this);
}

}  // namespace sluice::http
