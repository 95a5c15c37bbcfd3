#include "http/client.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "http/content_range.h"
#include "kernel/counter.h"
#include "kernel/result.h"

namespace sluice::http {

using kernel::bump;
using kernel::gauge;

Client::Client(kernel::Reactor& reactor, const ClientTimeouts& timeouts, ClientHandler& handler,
               UpstreamCounters& counters)
    : reactor_(reactor), timeouts_(timeouts), handler_(handler), counters_(counters) {}

Client::~Client() {
  drop();
}

bool Client::request(ClientRequest request) {
  if (busy()) return false;
  request_ = std::move(request);
  bump(counters_.requests);
  sent_ = 0;
  at_ = filled_ = 0;
  paused_ = answer_begun_ = discarding_ = ended_ = false;
  inflater_full_ = inflater_ended_ = encoded_begun_ = false;
  discarded_ = position_ = 0;
  encoded_ = {};
  inflater_.reset();
  parser_.reset();
  pending_failure_ = {};
  last_moment_ = request_.total == 0 ? 0 : kernel::monotonic_now() + request_.total;
  on_kept_connection_ = is_kept_for(request_);
  if (on_kept_connection_) {
    ask();
  } else {
    drop();
    connect_now();
  }
  return true;
}

bool Client::is_kept_for(const ClientRequest& request) const noexcept {
  const kernel::Address& to = request.address;
  return transport_ && connected_to_.size() == to.size() &&
         std::memcmp(connected_to_.get(), to.get(), to.size()) == 0 && connected_by_ == request.tls &&
         (request.tls == nullptr || connected_as_ == request.server_name);
}

void Client::cancel() noexcept {
  state_ = State::idle;
  drop();
}

void Client::pause() noexcept {
  paused_ = true;
  if (state_ != State::body) return;
  update_interest();
  disarm_timer();
}

void Client::resume() noexcept {
  if (!paused_) return;
  paused_ = false;
  if (state_ != State::body) return;
  set_deadline(timeouts_.idle);
  reactor_.arm(kick_, reactor_.now());
}

void Client::connect_now() {
  state_ = State::connecting;
  transport_ = secure::Transport(
      kernel::Fd(::socket(request_.address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  if (!transport_)
    return fail_later("UPSTREAM_CONNECT", kernel::system_error("no socket for " + peer()).message);
  const int on = 1;
  setsockopt(transport_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int result = ::connect(transport_.get(), request_.address.get(), request_.address.size());
  if (result != 0 && errno != EINPROGRESS) {
    return fail_later("UPSTREAM_CONNECT", kernel::system_error("no connection to " + peer()).message);
  }
  set_deadline(timeouts_.connect);
  interest(EPOLLOUT);
}

void Client::on_connected() noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(transport_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  if (error != 0) return fail("UPSTREAM_CONNECT", kernel::system_error("no connection to " + peer()).message);
  connected_to_ = request_.address;
  connected_by_ = request_.tls;
  connected_as_ = request_.server_name;
  bump(counters_.connects);
  gauge(counters_.connected, 1);
  if (!connected_by_) return ask();
  if (!transport_.connect(connected_by_, connected_as_))
    return fail("UPSTREAM_TLS", "no TLS with " + peer() + ": `" + connected_as_ + "` is no name of a server");
  state_ = State::handshaking;
  set_deadline(timeouts_.handshake);
  handshake();
}

void Client::handshake() noexcept {
  const secure::Outcome outcome = transport_.handshake();
  if (outcome.done()) return ask();
  if (outcome.kind == secure::Outcome::Kind::failed) {
    return fail("UPSTREAM_TLS", "no TLS with " + connected_as_ + " (" + peer() + "): " + transport_.reason());
  }
  interest(outcome.kind == secure::Outcome::Kind::wants_write ? EPOLLOUT : EPOLLIN);
}

void Client::ask() noexcept {
  state_ = State::head;
  set_deadline(timeouts_.head);
  send_head();
}

void Client::send_head() noexcept {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(request_.head.data());
  const secure::Outcome outcome = transport_.write(codec::Bytes(bytes, request_.head.size()).subspan(sent_));
  sent_ += outcome.bytes;
  // The answer, if the server gave one before it closed, is still to be read.
  if (outcome.kind == secure::Outcome::Kind::failed) sent_ = request_.head.size();
  update_interest();
}

bool Client::sending() const noexcept {
  return state_ != State::idle && (sent_ < request_.head.size() || transport_.unsent());
}

void Client::interest(std::uint32_t events) noexcept {
  if (events == watched_) return;
  bool ok = true;
  if (events == 0) {
    reactor_.unwatch(transport_.get(), *this);
  } else {
    ok = watched_ == 0 ? reactor_.watch(transport_.get(), events, *this)
                       : reactor_.rewatch(transport_.get(), events, *this);
  }
  watched_ = events;
  if (!ok && busy()) fail_later("SYSTEM_CALL", kernel::system_error("epoll_ctl for " + peer()).message);
}

void Client::update_interest() noexcept {
  if (!transport_ || state_ == State::connecting) return;
  // A paused connection is not watched at all: EPOLLHUP cannot be masked and would come on every turn.
  if (state_ == State::body && paused_) return interest(0);
  interest(EPOLLIN | (sending() ? std::uint32_t{EPOLLOUT} : 0U));
}

void Client::set_deadline(kernel::Nanos after) noexcept {
  deadline_ = kernel::monotonic_now() + after;
  arm_timer();
}

void Client::arm_timer() noexcept {
  reactor_.arm(*this, last_moment_ == 0 ? deadline_ : std::min(deadline_, last_moment_));
}

/** While paused only the bound of the whole request runs. */
void Client::disarm_timer() noexcept {
  deadline_ = std::numeric_limits<kernel::Nanos>::max();
  if (last_moment_ == 0) return reactor_.disarm(*this);
  reactor_.arm(*this, last_moment_);
}

void Client::on_ready(std::uint32_t events) noexcept {
  if (state_ == State::connecting) return on_connected();
  if (state_ == State::handshaking) return handshake();
  if (state_ == State::idle) {
    // TLS has messages of its own; whatever else comes on an idle connection, its end included, makes it
    // useless.
    if (transport_.session() == nullptr || transport_.read(buffer_).kind != secure::Outcome::Kind::wants_read)
      drop();
    return;
  }
  if ((events & EPOLLOUT) != 0) send_head();
  if (reading() && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
}

void Client::read_some() noexcept {
  if (paused_ && state_ == State::body) return;
  const secure::Outcome outcome = transport_.read(buffer_);
  switch (outcome.kind) {
    case secure::Outcome::Kind::done:
      return take_input(outcome.bytes);
    case secure::Outcome::Kind::closed:
      return on_eof(true);
    case secure::Outcome::Kind::truncated:
      return on_eof(false);
    case secure::Outcome::Kind::failed:
      return fail("UPSTREAM_CLOSED", "the connection to " + peer() + " broke: " + transport_.reason());
    default:
      return;
  }
}

void Client::take_input(std::size_t size) noexcept {
  bump(counters_.bytes_in, size);
  answer_begun_ = true;
  at_ = 0;
  filled_ = size;
  // The timer is not moved for every piece; it looks at the deadline when it fires.
  if (state_ == State::body) deadline_ = reactor_.now() + timeouts_.idle;
  advance();
  // What TLS has read ahead makes no socket readable.
  if (reading() && transport_.pending()) reactor_.arm(kick_, reactor_.now());
}

void Client::on_eof(bool in_order) noexcept {
  // Only close_notify tells the end of a body from an attacker's cut (RFC 9112 section 9.8).
  if (state_ == State::body && parser_.until_close() && in_order) {
    ended_ = true;
    return advance();
  }
  if (!answer_begun_) return fail("UPSTREAM_CLOSED", peer() + " closed the connection without an answer");
  fail("UPSTREAM_CLOSED",
       peer() + (state_ == State::head ? " closed the connection within the header section"
                                       : " closed the connection before the end of the body"));
}

void Client::on_timer(kernel::Nanos now) noexcept {
  if (last_moment_ != 0 && now >= last_moment_)
    return fail("UPSTREAM_TIMEOUT", "no complete answer from " + peer() + " within the time set");
  if (now < deadline_) return arm_timer();
  if (busy()) fail("UPSTREAM_TIMEOUT", lateness() + peer() + " within the time set");
}

std::string Client::lateness() const {
  switch (state_) {
    case State::connecting:
      return "no connection to ";
    case State::handshaking:
      return "no TLS with ";
    case State::head:
      return "no complete header section from ";
    default:
      return "no more of the body came from ";
  }
}

void Client::on_kick() noexcept {
  if (!busy()) return;
  if (pending_failure_.code != nullptr) {
    const ClientOutcome failure = pending_failure_;
    return fail(failure.code, failure.message);
  }
  if (state_ == State::body && !paused_) advance();
  if (reading() && at_ == filled_ && transport_.pending()) read_some();
}

void Client::advance() noexcept {
  while (reading() && !(paused_ && state_ == State::body)) {
    if (!encoded_.empty() || inflater_full_) {
      inflate_step();
    } else if (ended_) {
      return complete();
    } else if (at_ < filled_) {
      const ResponseParser::Step step = parser_.feed({buffer_.data() + at_, filled_ - at_});
      at_ += step.consumed;
      take(step);
    } else {
      break;
    }
  }
  if (reading()) update_interest();
}

void Client::take(const ResponseParser::Step& step) noexcept {
  if (step.error)
    return fail("UPSTREAM_HTTP", "the answer of " + peer() + " is not HTTP/1.1: " + parser_.reason());
  if (state_ == State::head && parser_.head_complete()) take_head();
  if (!reading()) return;
  ended_ = step.end;
  if (!step.body.empty()) take_body(step.body);
}

void Client::take_head() noexcept {
  state_ = State::body;
  set_deadline(timeouts_.idle);
  const unsigned status = parser_.head().status;
  refusal_ = status < 200 || status > 299;
  discarding_ = refusal_ && request_.max_error_bytes == 0;
  if (!discarding_ && !begin_body()) return;
  handler_.on_head(parser_.head());
  if (state_ == State::body && paused_) disarm_timer();
}

/** Prepares for a body that somebody wants; false when the request has failed. */
bool Client::begin_body() noexcept {
  if (request_.raw) return true;
  const std::string* named = parser_.head().find("content-encoding");
  const ContentCoding coding = named == nullptr ? ContentCoding::identity : content_coding(*named);
  const bool partial = parser_.head().status == 206 && request_.to_sink;
  if (partial) {
    const std::string* range = parser_.head().find("content-range");
    position_ = range == nullptr ? request_.skip_bytes : range_begin(*range).value_or(request_.skip_bytes);
    if (position_ > request_.skip_bytes) {
      fail("UPSTREAM_HTTP", "the partial answer of " + peer() + " begins after the byte that was asked for");
      return false;
    }
  }
  if (coding == ContentCoding::identity) return true;
  // A range is one of encoded bytes (RFC 9110 section 14.1.2): nothing can be decoded from its middle.
  if (!(partial && position_ > 0)) inflater_ = Inflater::create(coding);
  if (inflater_) return true;
  fail("UPSTREAM_ENCODING", "the answer of " + peer() + " has the content coding \"" + named->substr(0, 40) +
                                "\", expected gzip, deflate or none");
  return false;
}

void Client::take_body(codec::Bytes raw) noexcept {
  if (discarding_) {
    discarded_ += raw.size();
    if (discarded_ > kMaxDiscard) finish({nullptr, "", 0, false}, false);
  } else if (inflater_) {
    encoded_ = raw;
    encoded_begun_ = true;
  } else {
    deliver(raw);
  }
}

void Client::inflate_step() noexcept {
  const Inflater::Step step = inflater_->step(encoded_);
  encoded_ = encoded_.subspan(step.consumed);
  inflater_full_ = step.output_full && step.state == Inflater::State::running;
  inflater_ended_ = step.state == Inflater::State::ended;
  if (!step.output.empty()) deliver(step.output);
  if (!reading()) return;
  if (step.state == Inflater::State::corrupt) {
    fail("UPSTREAM_ENCODING", "the compressed body from " + peer() + " is damaged");
  } else if (step.state == Inflater::State::expands) {
    fail("UPSTREAM_ENCODING", "the compressed body from " + peer() + " expands more than 200 times");
  }
}

void Client::deliver(codec::Bytes bytes) noexcept {
  const std::uint64_t begin = position_;
  position_ += bytes.size();
  const std::uint64_t most = refusal_ ? request_.max_error_bytes : request_.max_bytes;
  if ((refusal_ || !request_.to_sink) && position_ > most) {
    return fail("UPSTREAM_TOO_LARGE",
                "the body from " + peer() + " is over " + std::to_string(most) + " bytes");
  }
  if (request_.to_sink && !refusal_ && begin < request_.skip_bytes) {
    const std::uint64_t skip = request_.skip_bytes - begin;
    if (skip >= bytes.size()) return;
    bytes = bytes.subspan(static_cast<std::size_t>(skip));
  }
  handler_.on_body(bytes);
}

void Client::complete() noexcept {
  if (inflater_ && !inflater_ended_ && encoded_begun_) {
    return fail("UPSTREAM_ENCODING", "the compressed body from " + peer() + " ends early");
  }
  finish({nullptr, "", position_, false},
         parser_.keep_alive() && at_ == filled_ && !transport_.pending() && !sending());
}

void Client::fail_later(const char* code, std::string message) noexcept {
  pending_failure_ = {code, std::move(message), 0, false};
  reactor_.arm(kick_, reactor_.now());
}

void Client::fail(const char* code, std::string message) noexcept {
  // The head has told all there is to know about an answer whose body nobody wants.
  if (state_ == State::body && discarding_) return finish({nullptr, "", 0, false}, false);
  const bool reused = on_kept_connection_ && !answer_begun_ && std::strcmp(code, "UPSTREAM_CLOSED") == 0;
  finish({code, std::move(message), position_, reused}, false);
}

void Client::finish(const ClientOutcome& outcome, bool keep) noexcept {
  state_ = State::idle;
  if (keep && transport_) {
    reactor_.disarm(*this);
    reactor_.disarm(kick_);
    update_interest();
  } else {
    drop();
  }
  handler_.on_end(outcome);
}

void Client::drop() noexcept {
  reactor_.disarm(*this);
  reactor_.disarm(kick_);
  if (watched_ != 0) reactor_.unwatch(transport_.get(), *this);
  watched_ = 0;
  transport_.reset();
  gauge(counters_.connected, 0);
}

}  // namespace sluice::http
