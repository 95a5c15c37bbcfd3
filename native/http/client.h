// One upstream HTTP/1.1 connection.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "http/inflate.h"
#include "http/response.h"
#include "kernel/address.h"
#include "kernel/reactor.h"
#include "secure/transport.h"

namespace sluice::http {

#define SLUICE_UPSTREAM_COUNTERS(X) X(connects) X(requests) X(connected) X(bytes_in)

/**
 * Counters of an upstream connection, in the order of UPSTREAM_COUNTERS in daemon/plane/contract-counters.ts.
 * `connected` is a gauge, 1 while a TCP connection is open; `bytes_in` is as on the wire, heads included,
 * TLS's own bytes not.
 */
struct UpstreamCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name = 0;
  SLUICE_UPSTREAM_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

struct ClientTimeouts {
  kernel::Nanos connect = 5 * kernel::kSecond;
  /** From the TCP connection to the end of the TLS handshake. */
  kernel::Nanos handshake = 5 * kernel::kSecond;
  /** From the request (or the end of connecting) to the end of the answer's header section. */
  kernel::Nanos head = 10 * kernel::kSecond;
  /** Between two pieces of a body; does not run while paused. */
  kernel::Nanos idle = 20 * kernel::kSecond;
  bool operator==(const ClientTimeouts&) const = default;
};

/** One GET. */
struct ClientRequest {
  kernel::Address address;
  /** Speaks TLS by this; null for plain HTTP. */
  std::shared_ptr<secure::ClientContext> tls;
  /** Whom the server's certificate must be for: a host name, or a numeric address without brackets. */
  std::string server_name;
  /** From make_get_head(). */
  std::string head;
  /** From the request to the end of the answer; 0 for no bound. */
  kernel::Nanos total = 0;
  /** The body feeds a stream: no size limit, `skip_bytes` counts. Otherwise `max_bytes` counts. */
  bool to_sink = false;
  /** Largest decoded body. */
  std::uint64_t max_bytes = 0;
  /** Bytes of the decoded body that are already there: dropped from a 200 answer; a 206 answer begins there.
   */
  std::uint64_t skip_bytes = 0;
  /** With `to_sink`: the body as it came, whatever its content coding; `skip_bytes` is for others. */
  bool raw = false;
  /** Largest body of an answer other than 2xx that is given to on_body, a longer one fails; 0: discarded. */
  std::uint64_t max_error_bytes = 0;
};

/** How a request ended. */
struct ClientOutcome {
  /** Null when the answer came whole (whatever its status), else a code of daemon/base/errors.ts. */
  const char* code = nullptr;
  /** One sentence for a person, empty without `code`. */
  std::string message;
  /**
   * Position reached in the decoded body: bytes received, those skipped included; an answer 206 counts from
   * where it begins. So this is the `skip_bytes` of a next attempt, if it is more than the one before.
   */
  std::uint64_t bytes = 0;
  /** A kept connection ended without a byte of this answer: the server had closed it; ask again at once. */
  bool reused = false;
};

/**
 * Told about one request after the other. From within any call the client may be paused or cancelled, and
 * from on_end asked for the next request; it must not be destroyed (see kernel::Reactor::dispose).
 */
class ClientHandler {
 public:
  /** The head of the final answer, whatever its status. Valid during the call. */
  virtual void on_head(const ResponseHead& head) noexcept = 0;
  /** A piece of the decoded body of a 2xx answer (see also ClientRequest), at most 64 KiB. After
   * Client::pause() at most the rest of this piece has come. */
  virtual void on_body(codec::Bytes bytes) noexcept = 0;
  /** The request is done. Never called from within Client::request(). */
  virtual void on_end(const ClientOutcome& outcome) noexcept = 0;

 protected:
  ~ClientHandler() = default;
};

/**
 * GETs one after the other over at most one connection, with TLS or without, which is kept while the next
 * request goes to the same address, by the same name, and the server allows it. Bodies are delimited by
 * length, by chunks or by the end of the connection; gzip and deflate are undone. For the reactor's thread
 * only.
 *
 *   idle -> connecting (-> handshaking) -> head -> body -> idle (connection kept or closed)
 */
class Client final : private kernel::Watcher, private kernel::Timer {
 public:
  /** Bodies of answers other than 2xx are read, and discarded, up to this size; longer ones end the
   * connection. */
  static constexpr std::size_t kMaxDiscard = 64 * 1024;

  /** `handler` and `counters` must outlive the client. */
  Client(kernel::Reactor& reactor, const ClientTimeouts& timeouts, ClientHandler& handler,
         UpstreamCounters& counters);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  /** Closes the connection; a running request ends without on_end. */
  ~Client();

  /** Begins a request, not paused; false when one is running. */
  bool request(ClientRequest request);
  /** Ends a running request without on_end and closes the connection. */
  void cancel() noexcept;
  /** Stops reading the body, and with it the server, until resume(). on_end waits too. */
  void pause() noexcept;
  /** Goes on reading; calls to the handler come from a later turn of the reactor. */
  void resume() noexcept;
  [[nodiscard]] bool busy() const noexcept { return state_ != State::idle; }
  [[nodiscard]] bool paused() const noexcept { return paused_; }

 private:
  enum class State : std::uint8_t { idle, connecting, handshaking, head, body };
  /** Runs what must not run within a call from the owner. */
  class Kick final : public kernel::Timer {
   public:
    explicit Kick(Client& client) noexcept : client_(client) {}
    void on_timer(kernel::Nanos) noexcept override { client_.on_kick(); }

   private:
    Client& client_;
  };
  static constexpr std::size_t kReadSize = 64 * 1024;

  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(kernel::Nanos now) noexcept override;
  void on_kick() noexcept;
  void connect_now();
  [[nodiscard]] bool is_kept_for(const ClientRequest& request) const noexcept;
  void on_connected() noexcept;
  void handshake() noexcept;
  void ask() noexcept;
  void send_head() noexcept;
  void read_some() noexcept;
  void take_input(std::size_t size) noexcept;
  void on_eof(bool in_order) noexcept;
  void advance() noexcept;
  void take(const ResponseParser::Step& step) noexcept;
  void take_head() noexcept;
  bool begin_body() noexcept;
  void take_body(codec::Bytes raw) noexcept;
  void inflate_step() noexcept;
  void deliver(codec::Bytes bytes) noexcept;
  void complete() noexcept;
  void fail(const char* code, std::string message) noexcept;
  void fail_later(const char* code, std::string message) noexcept;
  void finish(const ClientOutcome& outcome, bool keep) noexcept;
  void drop() noexcept;
  void interest(std::uint32_t events) noexcept;
  void update_interest() noexcept;
  void set_deadline(kernel::Nanos after) noexcept;
  void arm_timer() noexcept;
  void disarm_timer() noexcept;
  [[nodiscard]] bool sending() const noexcept;
  [[nodiscard]] std::string lateness() const;
  [[nodiscard]] bool reading() const noexcept { return state_ == State::head || state_ == State::body; }
  [[nodiscard]] std::string peer() const { return request_.address.text(); }

  kernel::Reactor& reactor_;
  const ClientTimeouts timeouts_;
  ClientHandler& handler_;
  UpstreamCounters& counters_;
  Kick kick_{*this};

  secure::Transport transport_;
  kernel::Address connected_to_;
  std::shared_ptr<secure::ClientContext> connected_by_;
  std::string connected_as_;
  std::uint32_t watched_ = 0;
  kernel::Nanos deadline_ = 0;
  /** Of the whole request; 0 for none. */
  kernel::Nanos last_moment_ = 0;
  State state_ = State::idle;
  bool paused_ = false;

  ClientRequest request_;
  std::size_t sent_ = 0;
  bool on_kept_connection_ = false;
  bool answer_begun_ = false;
  ClientOutcome pending_failure_;

  ResponseParser parser_;
  std::unique_ptr<Inflater> inflater_;
  codec::Bytes encoded_;
  bool inflater_full_ = false;
  bool inflater_ended_ = false;
  bool encoded_begun_ = false;
  /** The status is none of 2xx. */
  bool refusal_ = false;
  bool discarding_ = false;
  bool ended_ = false;
  std::uint64_t discarded_ = 0;
  std::uint64_t position_ = 0;

  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::array<std::uint8_t, kReadSize> buffer_{};
};

}  // namespace sluice::http
