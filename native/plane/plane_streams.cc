// Verbs of the plane for streams and what is attached to them, and for what measures, records and plays.
#include "plane/plane.h"

#include "plane/repair_ports.h"

namespace sluice::plane {

using kernel::Result;

namespace {

/** An entry that holds what was opened, or why it was not. */
template <class E, class T>
Result<std::unique_ptr<E>> holding(Result<std::unique_ptr<T>> opened) {
  if (!opened.ok()) return std::move(opened.error());
  return std::make_unique<E>(std::move(opened.value()));
}

/** Whether the kernel lets us send numbers in IP options. */
bool may_number(const kernel::UdpTx& socket, bool v6) noexcept {
  std::array<std::uint8_t, codec::kNumberOptionSize> option;
  codec::write_number_option(v6, 0, option.data());
  return socket.may_send_options(option);
}

/** Where packets are sent that many have lost. */
kernel::UdpTxOptions resent_to(kernel::UdpTxOptions media) {
  const auto stepped = [](std::uint16_t port) { return static_cast<std::uint16_t>(port + kResentPortStep); };
  media.destination = media.destination.with_port(stepped(media.destination.port()));
  if (media.source_port != 0) media.source_port = stepped(media.source_port);
  return media;
}

}  // namespace

Result<Added> Plane::add_stream(const StreamOptions& options) {
  auto worker = place(options.loop);
  if (!worker.ok()) return worker.error();
  Worker& w = *worker.value();
  if (auto refused = memory_.take("the ring of `" + options.name + "`", options.ring_bytes)) return *refused;
  auto added =
      add<StreamEntry>(w, 0, [&](Handle handle, std::uint32_t slot) -> Result<std::unique_ptr<StreamEntry>> {
        auto& counters = counters_.as<StreamCounters>(slot);
        auto entry = std::make_unique<StreamEntry>(on_event_, handle, counters);
        auto stream = Stream::create(w.reactor(), options, counters, w.counters(), *entry);
        if (!stream.ok()) return stream.error();
        entry->stream = std::move(stream.value());
        return entry;
      });
  if (!added.ok()) {
    memory_.give_back(options.ring_bytes);
    return added;
  }
  places_[added.value().handle].bytes = options.ring_bytes;
  w.placed();
  return added;
}

bool Plane::splice_stream(Handle stream) {
  return with<StreamEntry>(stream, [](StreamEntry& entry) {
    entry.stream->splice();
    return true;
  });
}

Result<bool> Plane::trust(const std::string& authorities) {
  auto trusting = secure::ClientContext::create({authorities, false});
  if (!trusting.ok()) return trusting.error();
  auto insecure = secure::ClientContext::create({"", true});
  if (!insecure.ok()) return insecure.error();
  trusting_ = std::move(trusting.value());
  insecure_ = std::move(insecure.value());
  return true;
}

Result<Added> Plane::open_upstream(Handle stream, const http::ClientTimeouts& timeouts) {
  return attach<UpstreamEntry>(
      stream,
      [&](Handle handle, std::uint32_t slot, Worker& w, Stream& s) -> Result<std::unique_ptr<UpstreamEntry>> {
        auto entry = std::make_unique<UpstreamEntry>(on_event_, handle);
        entry->upstream = std::make_unique<Upstream>(w.reactor(), s, timeouts,
                                                     counters_.as<http::UpstreamCounters>(slot), *entry);
        return entry;
      });
}

bool Plane::request(Handle upstream, UpstreamRequest request) {
  return with<UpstreamEntry>(
      upstream, [&](UpstreamEntry& entry) { return entry.upstream->request(std::move(request)); });
}

Result<Added> Plane::add_input(Handle stream, const UdpInputOptions& options) {
  UdpInputOptions coalescing = options;
  // Several datagrams with one time stamp are as good here: the stream's clock is recovered from the PCR.
  coalescing.socket.coalesce = true;
  return attach<InputEntry>(stream, [&](Handle, std::uint32_t slot, Worker& w, Stream& s) {
    return holding<InputEntry>(Input::open(w.reactor(), coalescing, s, counters_.as<InputCounters>(slot)));
  });
}

Result<Added> Plane::add_sender(Handle stream, const SenderOptions& options) {
  return attach<SenderEntry>(
      stream,
      [&](Handle, std::uint32_t slot, Worker& worker, Stream& s) -> Result<std::unique_ptr<SenderEntry>> {
        auto socket = kernel::UdpTx::open(options.socket);
        if (!socket.ok()) return socket.error();
        const bool v6 = options.socket.destination.family() == AF_INET6;
        if (options.numbering == codec::Numbering::option && !may_number(socket.value(), v6))
          return kernel::system_error("numbers in IP options, for which a process needs CAP_NET_RAW");
        auto& counters = counters_.as<SenderCounters>(slot);
        auto sender = std::make_unique<Sender>(s, std::move(socket.value()), options.batching, counters,
                                               options.numbering, v6);
        if (!options.cname.empty()) {
          auto reports = SenderReports::open(worker.reactor(), s, options.socket, options.cname, counters);
          if (!reports.ok()) return reports.error();
          sender->keep(std::move(reports.value()));
        }
        auto parity = ParitySender::open(s, options.socket, options.parity, counters);
        if (!parity.ok()) return parity.error();
        sender->keep(std::move(parity.value()));
        if (options.retransmission) {
          RetransmissionOptions answering = *options.retransmission;
          if (options.socket.destination.is_multicast()) answering.group = resent_to(options.socket);
          auto server = RetransmissionServer::open(worker.reactor(), s, answering, counters);
          if (!server.ok()) return server.error();
          sender->keep(std::move(server.value()));
        }
        return std::make_unique<SenderEntry>(std::move(sender));
      });
}

std::optional<kernel::Error> Plane::set_parity(Handle sender, const ParitySenderOptions& options) {
  std::optional<kernel::Error> failure;
  const bool known = with<SenderEntry>(sender, [&](SenderEntry& entry) {
    failure = entry.it->parity()->change(options);
    return true;
  });
  return known ? failure : unknown(sender);
}

Result<Added> Plane::add_receiver(const ReceiverOptions& options) {
  return add<ReceiverEntry>(first(), 0, [&](Handle, std::uint32_t slot) {
    return holding<ReceiverEntry>(
        Receiver::open(first().reactor(), options, counters_.as<InputCounters>(slot)));
  });
}

Result<Added> Plane::add_capture(const PacketCaptureOptions& options) {
  return add<CaptureEntry>(first(), 0, [&](Handle handle, std::uint32_t slot) {
    return holding<CaptureEntry>(PacketCapture::open(first().reactor(), options,
                                                     counters_.as<CaptureCounters>(slot),
                                                     end_handler(Event::Type::capture_end, handle)));
  });
}

Result<Added> Plane::add_replay(const ReplayOptions& options) {
  return add<ReplayEntry>(first(), 0, [&](Handle handle, std::uint32_t slot) {
    return holding<ReplayEntry>(CaptureReplay::open(first().reactor(), options,
                                                    counters_.as<ReplayCounters>(slot),
                                                    end_handler(Event::Type::replay_end, handle)));
  });
}

}  // namespace sluice::plane
