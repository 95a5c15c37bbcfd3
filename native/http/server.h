// A listening socket of the viewers' front and its connections.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/access_log.h"
#include "http/connection.h"
#include "http/passage.h"
#include "kernel/counter.h"
#include "kernel/result.h"

namespace sluice::http {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_LISTENER_COUNTERS(X)                                                                             \
  X(accepted) X(connections) X(refused) X(requests) X(responses2xx) X(responses3xx) X(responses4xx) X(responses5xx) \
  X(bytes_out) X(header_timeouts) X(stalled) X(malformed) X(tls_handshakes) X(tls_resumed) X(tls_failures)           \
  X(refused_client) X(limited_client) X(limited_all) X(too_slow)
// clang-format on

/** In the order of LISTENER_COUNTERS in daemon/plane/contract-counters.ts. */
struct ListenerCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
  SLUICE_LISTENER_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

struct ServerOptions {
  kernel::Address address;
  /** A socket that already listens on the address, to be taken over and owned; -1 opens one. */
  int socket = -1;
  /** Connections wait in the socket until Server::serve. */
  bool hold = false;
  std::size_t max_connections = 4096;
  kernel::Nanos header_timeout = 10 * kernel::kSecond;
  kernel::Nanos idle_timeout = 60 * kernel::kSecond;
  kernel::Nanos stall_timeout = 60 * kernel::kSecond;
  int send_buffer = 512 * 1024;
  /** Bytes of a request's head. */
  std::size_t header_size = RequestParser::kMaxHead;
  /** Bytes a second that a viewer takes at least, over any `stall_timeout` in which it is waited for; not of
   * one that follows a stream. 0 for none. */
  std::uint64_t min_rate = 0;
  ClientLimitOptions clients;
  /** Null for plain HTTP. */
  std::shared_ptr<const secure::ServerContext> tls;
};

/** One viewer as `sluice show viewers` tells. */
struct ViewerRow {
  std::uint64_t id = 0;
  std::string remote;
  std::string user_agent;
  kernel::Nanos connected = 0;
  std::uint64_t bytes = 0;
  FollowerState follower;
};

/**
 * Accepts and owns connections. On the loop thread. The servers of one listener share its Commons: the one
 * that listens, and on each other loop one that takes what is handed over to it.
 */
class Server final : private kernel::Watcher, private kernel::Timer {
 public:
  /** ADDRESS_IN_USE, or SYSTEM_CALL with a sentence that names the address; ADDRESS_INVALID for a handed-over
   * socket that listens elsewhere, which is closed. */
  static kernel::Result<std::unique_ptr<Server>> open(kernel::Reactor& reactor, const ServerOptions& options,
                                                      Router& router, ListenerCounters& counters);
  /** One that does not listen, for the connections of another's that are answered on this loop. */
  static std::unique_ptr<Server> annex(kernel::Reactor& reactor, const ServerOptions& options, Router& router,
                                       ListenerCounters& counters, std::shared_ptr<Commons> commons);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /** New certificates, for the connections to come. Not for a listener without TLS. */
  void set_tls(std::shared_ptr<const secure::ServerContext> tls) noexcept { tls_ = std::move(tls); }
  [[nodiscard]] const std::shared_ptr<const secure::ServerContext>& tls() const noexcept { return tls_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /** Takes the limits and nothing else of the options; connections that are open keep their send buffer, the
   * size of their heads and the deadline they wait for. */
  void set_limits(const ServerOptions& limits) noexcept;
  /** Begins to accept, where that was held. */
  void serve() noexcept;
  /** The listening socket; it stays the server's. */
  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  /** Where requests are logged from now on, or null; outlives the server or is taken away before. */
  void set_access_log(AccessLog* log) noexcept { access_log_ = log; }
  /** What it has in common with the others of its listener. */
  [[nodiscard]] const std::shared_ptr<Commons>& commons() const noexcept { return commons_; }
  /** How connections get to other loops; not needed where the router never names one. */
  void set_send_off(SendOff send_off) { send_off_ = std::move(send_off); }
  /** Takes over a connection, and answers its request. */
  void adopt(Passage& passage) noexcept;
  void viewers(std::vector<ViewerRow>& out) const;
  /** Counts clients that fetched of a stream since `since`: connections that are open, and addresses whose
   * are closed. */
  void count_segmented(std::unordered_map<std::uint64_t, std::uint64_t>& counts, kernel::Nanos since) const;

  // For connections.
  [[nodiscard]] kernel::Reactor& reactor() noexcept { return reactor_; }
  [[nodiscard]] const ServerOptions& options() const noexcept { return options_; }
  [[nodiscard]] ListenerCounters& counters() noexcept { return counters_; }
  [[nodiscard]] Router& router() noexcept { return router_; }
  [[nodiscard]] ClientLimits& clients() noexcept { return commons_->clients(); }
  [[nodiscard]] AccessLog* access_log() noexcept { return access_log_; }
  /** IMF-fixdate of this second (RFC 9110 5.6.7). */
  [[nodiscard]] const std::string& date() noexcept;
  void forget(Connection& connection) noexcept;
  void send_off(std::uint32_t loop, std::unique_ptr<Passage> passage) { send_off_(loop, std::move(passage)); }
  /** Whether others with long answers have come, too: called once for each such answer, when it begins. */
  [[nodiscard]] bool crowded() noexcept;
  /** on_turn() once new requests have been looked at, after those who wait already. */
  void take_turn(Connection& connection) noexcept;

 private:
  /** Gives turns to connections in the order in which they asked. */
  class Turns final : public kernel::Timer {
   public:
    void on_timer(kernel::Nanos now) noexcept override;
    objects::List<Connection> waiting;
    kernel::Reactor* reactor = nullptr;
  };
  Server(kernel::Reactor& reactor, const ServerOptions& options, Router& router, ListenerCounters& counters,
         kernel::Fd socket, std::uint16_t port, std::shared_ptr<Commons> commons);
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(kernel::Nanos now) noexcept override;
  bool accept_one() noexcept;
  void admit(kernel::Fd fd, const kernel::Address& remote) noexcept;
  Connection* keep(std::unique_ptr<Connection> connection,
                   const std::shared_ptr<const secure::ServerContext>& tls) noexcept;
  bool turn_away() noexcept;
  void pause() noexcept;
  void go_on() noexcept;

  kernel::Reactor& reactor_;
  ServerOptions options_;
  Router& router_;
  ListenerCounters& counters_;
  kernel::Fd socket_;
  /** Given up to accept, and at once close, a connection when descriptors have run out. */
  kernel::Fd spare_;
  /** Not accepting until serve(). */
  bool held_;
  /** Not accepting until the next second. */
  bool paused_;
  const std::uint16_t port_;
  std::shared_ptr<const secure::ServerContext> tls_;
  const std::shared_ptr<Commons> commons_;
  SendOff send_off_;
  AccessLog* access_log_ = nullptr;
  std::unordered_map<std::uint64_t, Connection*> connections_;
  /** Used by on_timer() only; a member so that its memory is. */
  std::vector<Connection*> swept_;
  Turns turns_;
  /** The wake-up of the loop in which a long answer last began. */
  std::uint64_t last_long_ = 0;
  /** Of the connections, those that are there to read why they are refused. */
  std::size_t refusals_ = 0;
  struct PastFetch {
    std::uint64_t stream = 0;
    kernel::Nanos time = 0;
  };
  /** Last fetches of connections that have closed. */
  std::unordered_map<std::string, PastFetch> past_segmented_;
  std::string date_;
  kernel::Nanos date_time_ = 0;
};

}  // namespace sluice::http
