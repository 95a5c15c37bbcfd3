#include "http/server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <ctime>
#include <unordered_set>

#include "kernel/notify.h"

namespace sluice::http {

using kernel::bump;
using kernel::gauge;
using kernel::kSecond;

namespace {

constexpr int kBacklog = 4096;
/** Connections taken in one go, so that a burst of arrivals does not hold up departures. */
constexpr int kAcceptsPerTurn = 64;
/** Long answers that go on between two looks at who else has come. */
constexpr int kTurnsAtOnce = 8;
/** Connections that are held until they have read why they are refused; yet more are just closed. */
constexpr std::size_t kMostRefusals = 64;
/** A peer that has vanished is found by probes after this time (seconds) without traffic. */
constexpr int kKeepAliveIdle = 30;
constexpr int kKeepAliveInterval = 10;
constexpr int kKeepAliveProbes = 3;

/** Clients that open a connection for every request are remembered so long, and so many of them. */
constexpr kernel::Nanos kPastKept = 200 * kSecond;
constexpr std::size_t kMostPast = 65536;

/** A client of a stream, as far as one can be told from another without a connection that lasts: by its
 * address. */
std::string segmented_key(const Connection& connection) {
  const std::string remote = connection.remote();
  return remote.substr(0, remote.rfind(':') + 1) + std::to_string(connection.segmented_stream());
}

bool set_int(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

void tune(int fd, int send_buffer) noexcept {
  set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // Slowness is to show here and not in the kernel; and pages that are used again stay in the cache. The
  // kernel doubles the value for its own book-keeping.
  set_int(fd, SOL_SOCKET, SO_SNDBUF, send_buffer / 2);
  set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdle);
  set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval);
  set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

kernel::Result<kernel::Fd> bound_socket(const kernel::Address& address, const std::string& where) {
  kernel::Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return kernel::system_error(where);
  set_int(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(fd.get(), address.get(), address.size()) != 0) return kernel::system_error(where);
  return fd;
}

/** A socket that was handed over: connections that wait in it are served, none is refused. */
kernel::Result<kernel::Fd> taken_socket(kernel::Fd fd, const kernel::Address& address,
                                        const std::string& where) {
  const auto there = kernel::listening_address(fd.get());
  if (!there || there->text() != address.text()) {
    return kernel::Error{"ADDRESS_INVALID", where + ": the socket that was handed over " +
                                                (there ? "listens on " + there->text() : "does not listen")};
  }
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return kernel::system_error(where);
  return fd;
}

}  // namespace

kernel::Result<std::unique_ptr<Server>> Server::open(kernel::Reactor& reactor, const ServerOptions& options,
                                                     Router& router, ListenerCounters& counters) {
  const std::string where = "listening on " + options.address.text();
  auto socket = options.socket < 0 ? bound_socket(options.address, where)
                                   : taken_socket(kernel::Fd(options.socket), options.address, where);
  if (!socket.ok()) return socket.error();
  kernel::Fd fd = std::move(socket.value());
  if (::listen(fd.get(), kBacklog) != 0) return kernel::system_error(where);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return kernel::system_error(where);
  const std::uint16_t port = kernel::Address::from(bound)->port();
  std::unique_ptr<Server> server(new Server(reactor, options, router, counters, std::move(fd), port,
                                            std::make_shared<Commons>(options.clients)));
  if (!options.hold && !reactor.watch(server->socket_.get(), EPOLLIN, *server))
    return kernel::system_error(where);
  reactor.arm(*server, reactor.now() + kSecond);
  return server;
}

std::unique_ptr<Server> Server::annex(kernel::Reactor& reactor, const ServerOptions& options, Router& router,
                                      ListenerCounters& counters, std::shared_ptr<Commons> commons) {
  ServerOptions held = options;
  held.hold = true;
  std::unique_ptr<Server> server(
      new Server(reactor, held, router, counters, kernel::Fd(), 0, std::move(commons)));
  reactor.arm(*server, reactor.now() + kSecond);
  return server;
}

Server::Server(kernel::Reactor& reactor, const ServerOptions& options, Router& router,
               ListenerCounters& counters, kernel::Fd socket, std::uint16_t port,
               std::shared_ptr<Commons> commons)
    : reactor_(reactor),
      options_(options),
      router_(router),
      counters_(counters),
      socket_(std::move(socket)),
      spare_(socket_ ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1),
      held_(options.hold),
      paused_(options.hold),
      port_(port),
      tls_(options.tls),
      commons_(std::move(commons)) {}

Server::~Server() {
  if (!paused_) reactor_.unwatch(socket_.get(), *this);
  for (auto& [id, connection] : connections_) delete connection;
}

void Server::set_limits(const ServerOptions& limits) noexcept {
  options_.max_connections = limits.max_connections;
  options_.header_timeout = limits.header_timeout;
  options_.idle_timeout = limits.idle_timeout;
  options_.stall_timeout = limits.stall_timeout;
  options_.send_buffer = limits.send_buffer;
  options_.header_size = limits.header_size;
  options_.min_rate = limits.min_rate;
  clients().set(limits.clients);
}

void Server::on_ready(std::uint32_t) noexcept {
  for (int i = 0; i < kAcceptsPerTurn; i++)
    if (!accept_one()) return;
}

bool Server::accept_one() noexcept {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  kernel::Fd fd(
      accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    if (errno == EAGAIN) return false;
    if (errno == EMFILE || errno == ENFILE) return turn_away();
    // Whatever else it is concerns one connection only (accept(2)), save want of memory, which lasts.
    if (errno == ENOBUFS || errno == ENOMEM) pause();
    return !paused_;
  }
  const auto remote = kernel::Address::from(peer);
  if (remote) admit(std::move(fd), *remote);
  return true;
}

void Server::admit(kernel::Fd fd, const kernel::Address& remote) noexcept {
  const bool full = commons_->admitted() >= options_.max_connections;
  auto place = full ? std::nullopt : clients().enter(remote, reactor_.now());
  bump(place ? counters_.accepted : full ? counters_.refused : counters_.refused_client);
  // Over TLS a refusal would cost a handshake first.
  if (!place && (tls_ || refusals_ >= kMostRefusals)) return;
  tune(fd.get(), options_.send_buffer);
  Connection* const kept =
      keep(std::make_unique<Connection>(*this, std::move(fd), remote, commons_->next_id()), tls_);
  if (kept == nullptr) return;
  if (place) return kept->seat({commons_, std::move(*place)});
  refusals_++;
  kept->refuse(full);
}

void Server::adopt(Passage& passage) noexcept {
  Connection* const kept = keep(std::make_unique<Connection>(*this, passage), nullptr);
  if (kept != nullptr) kept->resume(passage.stream);
}

/** Null when it could not be started. */
Connection* Server::keep(std::unique_ptr<Connection> connection,
                         const std::shared_ptr<const secure::ServerContext>& tls) noexcept {
  if (!connection->start(tls)) return nullptr;
  Connection* const kept = connection.release();
  connections_.emplace(kept->id(), kept);
  gauge(counters_.connections, connections_.size());
  return kept;
}

/** Descriptors have run out: the spare one is given up to take, and at once close, one connection. */
bool Server::turn_away() noexcept {
  spare_.reset();
  const bool taken = kernel::Fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)).get() >= 0;
  spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (taken) bump(counters_.refused);
  // Somebody else took what was free: asking again and again would only keep the loop busy.
  if (!taken || !spare_) pause();
  return !paused_;
}

void Server::pause() noexcept {
  if (paused_) return;
  paused_ = true;
  reactor_.unwatch(socket_.get(), *this);
}

void Server::go_on() noexcept {
  if (!paused_ || held_) return;
  if (!spare_) spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  paused_ = !reactor_.watch(socket_.get(), EPOLLIN, *this);
}

void Server::serve() noexcept {
  held_ = false;
  go_on();
}

void Server::forget(Connection& connection) noexcept {
  if (connection.segmented_stream() != 0 && past_segmented_.size() < kMostPast)
    past_segmented_[segmented_key(connection)] = {connection.segmented_stream(), connection.segmented_time()};
  if (connection.refused()) refusals_--;
  connections_.erase(connection.id());
  gauge(counters_.connections, connections_.size());
}

bool Server::crowded() noexcept {
  const bool first = std::exchange(last_long_, reactor_.wakeups()) != reactor_.wakeups();
  return !first || !turns_.waiting.empty();
}

void Server::take_turn(Connection& connection) noexcept {
  turns_.reactor = &reactor_;
  turns_.waiting.push_back(connection);
  reactor_.arm(turns_, reactor_.now());
}

void Server::Turns::on_timer(kernel::Nanos now) noexcept {
  for (int i = 0; i < kTurnsAtOnce && !waiting.empty(); i++) waiting.pop_front().on_turn();
  if (!waiting.empty()) reactor->arm(*this, now);
}

void Server::on_timer(kernel::Nanos now) noexcept {
  go_on();
  // A sweep may close a connection, and so change the map.
  swept_.clear();
  for (const auto& [id, connection] : connections_) swept_.push_back(connection);
  for (Connection* connection : swept_) connection->sweep(now);
  std::erase_if(past_segmented_, [&](const auto& past) { return now - past.second.time > kPastKept; });
  reactor_.arm(*this, now + kSecond);
}

void Server::viewers(std::vector<ViewerRow>& out) const {
  for (const auto& [id, connection] : connections_) {
    if (connection->body() == nullptr) continue;
    const auto follower = connection->body()->follower();
    if (!follower) continue;
    out.push_back({id, connection->remote(), connection->user_agent(),
                   reactor_.now() - connection->accepted(), connection->bytes_sent(), *follower});
  }
}

void Server::count_segmented(std::unordered_map<std::uint64_t, std::uint64_t>& counts,
                             kernel::Nanos since) const {
  std::unordered_set<std::string> connected;
  for (const auto& [id, connection] : connections_) {
    if (connection->segmented_stream() == 0 || connection->segmented_time() < since) continue;
    counts[connection->segmented_stream()]++;
    connected.insert(segmented_key(*connection));
  }
  for (const auto& [key, past] : past_segmented_)
    if (past.time >= since && !connected.contains(key)) counts[past.stream]++;
}

const std::string& Server::date() noexcept {
  if (date_.empty() || reactor_.now() - date_time_ >= kSecond) {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 40> text{};
    // RFC 9110 5.6.7 asks for English names; the C locale has them.
    const std::size_t n = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    date_.assign(text.data(), n);
    date_time_ = reactor_.now();
  }
  return date_;
}

}  // namespace sluice::http
