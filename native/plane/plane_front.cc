// Verbs of the plane for the viewers' front: listeners, routes, the access log.
#include "plane/plane.h"

namespace sluice::plane {

using kernel::Error;
using kernel::Result;

/** The listener's server on every loop: the first accepts, the others take what is answered there. */
Result<Added> Plane::listen(const http::ServerOptions& options, Nanos viewer_lag, Listening& opened) {
  // Nobody comes before there is a server on every loop.
  http::ServerOptions held = options;
  held.hold = true;
  std::shared_ptr<http::Commons> commons;
  auto added = add<ListenerEntry>(
      first(), 0, [&](Handle handle, std::uint32_t slot) -> Result<std::unique_ptr<ListenerEntry>> {
        auto server = http::Server::open(first().reactor(), held, first().routes(),
                                         counters_.as<http::ListenerCounters>(slot));
        if (!server.ok()) return server.error();
        opened = {server.value()->port(), server.value()->socket(), {slot}};
        commons = server.value()->commons();
        server.value()->set_access_log(access_log_.get());
        server.value()->set_send_off(send_off(handle));
        return std::make_unique<ListenerEntry>(std::move(server.value()));
      });
  if (!added.ok()) return added;
  const Handle listener = added.value().handle;
  for (std::size_t i = 1; i < workers_.size(); i++) {
    if (auto failure = add_annex(*workers_[i], listener, held, commons)) {
      remove(listener);
      return std::move(*failure);
    }
  }
  const auto& annexes = places_[listener].annexes;
  opened.slots.insert(opened.slots.end(), annexes.begin(), annexes.end());
  set_viewer_lag(viewer_lag);
  if (!options.hold) serve(listener);
  return added;
}

std::optional<Error> Plane::add_annex(Worker& worker, Handle listener, const http::ServerOptions& options,
                                      const std::shared_ptr<http::Commons>& commons) {
  const auto slot = counters_.take();
  if (!slot) return table_full();
  places_[listener].annexes.push_back(*slot);
  worker.call([&] {
    auto server = http::Server::annex(worker.reactor(), options, worker.routes(),
                                      counters_.as<http::ListenerCounters>(*slot), commons);
    server->set_access_log(access_log_.get());
    server->set_send_off(send_off(listener));
    worker.put(listener, std::make_unique<ListenerEntry>(std::move(server)));
  });
  return std::nullopt;
}

/** Called on any loop. A connection that arrives where its listener has just gone is closed. */
http::SendOff Plane::send_off(Handle listener) {
  return [this, listener](std::uint32_t loop, std::unique_ptr<http::Passage> passage) {
    Worker& worker = *workers_[loop];
    worker.post([&worker, listener, arriving = std::shared_ptr<http::Passage>(std::move(passage))] {
      if (auto* const entry = worker.find<ListenerEntry>(listener)) entry->it->adopt(*arriving);
    });
  };
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
  first().call([&] { access_log_.swap(next); });
  on_each_loop([&](Worker& worker) {
    worker.each<ListenerEntry>([&](ListenerEntry& entry) { entry.it->set_access_log(access_log_.get()); });
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
  if (find(listener, Entry::Kind::listener) == nullptr) return false;
  on_each_loop([&](Worker& worker) {
    worker.find<ListenerEntry>(listener)->it->set_limits(limits);
    worker.routes().set_viewer_lag(viewer_lag);
  });
  return true;
}

bool Plane::serve(Handle listener) {
  return with<ListenerEntry>(listener, [](ListenerEntry& entry) {
    entry.it->serve();
    return true;
  });
}

void Plane::set_route(const std::string& path, const Route& route) {
  const auto stream = stream_of(route);
  const Place* const at = stream ? find(*stream, Entry::Kind::stream) : nullptr;
  on_each_loop([&](Worker& worker) {
    const bool elsewhere = at != nullptr && at->worker != &worker;
    worker.routes().set(path, route, elsewhere ? std::optional(at->worker->index()) : std::nullopt);
  });
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
