// Verbs of the plane for the viewers' front: listeners, routes, the access log.
#include "plane/plane.h"

namespace sluice::plane {

using kernel::Error;
using kernel::Result;

Result<Added> Plane::listen(const http::ServerOptions& options, Nanos viewer_lag, Listening& opened) {
  auto added = add<ListenerEntry>(
      first(), 0, [&](Handle, std::uint32_t slot) -> Result<std::unique_ptr<ListenerEntry>> {
        auto server = http::Server::open(first().reactor(), options, first().routes(),
                                         counters_.as<http::ListenerCounters>(slot));
        if (!server.ok()) return server.error();
        opened = {server.value()->port(), server.value()->socket()};
        server.value()->set_access_log(access_log_.get());
        return std::make_unique<ListenerEntry>(std::move(server.value()));
      });
  if (added.ok()) set_viewer_lag(viewer_lag);
  return added;
}

void Plane::set_viewer_lag(Nanos lag) {
  on_each_loop([&](Worker& worker) { worker.routes().set_viewer_lag(lag); });
}

std::optional<Error> Plane::set_access_log(const std::optional<http::AccessLogOptions>& options) {
  if (!open_) return std::nullopt;
  std::unique_ptr<http::AccessLog> next;
  if (options) {
    auto opened = http::AccessLog::open(*options, counters_.as<http::AccessLogCounters>(access_log_slot_));
    if (!opened.ok()) return opened.error();
    next = std::move(opened.value());
  }
  // What it replaces is written to the end here, where waiting for a disk holds up no packet.
  first().call([&] {
    access_log_.swap(next);
    first().each<ListenerEntry>([&](ListenerEntry& entry) { entry.it->set_access_log(access_log_.get()); });
  });
  return std::nullopt;
}

std::optional<Error> Plane::set_certificates(Handle listener,
                                             const std::vector<secure::ServerCertificate>& certificates) {
  std::optional<Error> failure;
  const bool known = with<ListenerEntry>(listener, [&](ListenerEntry& entry) {
    if (!entry.it->tls()) return false;
    auto tls = secure::ServerContext::create(certificates, entry.it->tls()->tickets());
    if (tls.ok())
      entry.it->set_tls(std::move(tls.value()));
    else
      failure = std::move(tls.error());
    return true;
  });
  return known ? failure : unknown(listener);
}

bool Plane::set_limits(Handle listener, const http::ServerOptions& limits, Nanos viewer_lag) {
  const bool known = with<ListenerEntry>(listener, [&](ListenerEntry& entry) {
    entry.it->set_limits(limits);
    return true;
  });
  if (known) set_viewer_lag(viewer_lag);
  return known;
}

bool Plane::serve(Handle listener) {
  return with<ListenerEntry>(listener, [](ListenerEntry& entry) {
    entry.it->serve();
    return true;
  });
}

void Plane::set_route(const std::string& path, const Route& route) {
  on_each_loop([&](Worker& worker) { worker.routes().set(path, route); });
}

void Plane::delete_route(const std::string& path) {
  on_each_loop([&](Worker& worker) { worker.routes().erase(path); });
}

std::vector<http::ViewerRow> Plane::viewers() {
  std::vector<http::ViewerRow> rows;
  on_each_loop([&](Worker& worker) {
    worker.each<ListenerEntry>([&](const ListenerEntry& entry) { entry.it->viewers(rows); });
  });
  return rows;
}

}  // namespace sluice::plane
