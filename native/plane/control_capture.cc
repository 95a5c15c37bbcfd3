#include "plane/control_capture.h"

#include <algorithm>
#include <utility>

#include "kernel/control_filter.h"
#include "kernel/file.h"
#include "plane/captured_frame.h"

namespace sluice::plane {

namespace {

/** Twice as many as a routing table can have. */
constexpr std::size_t kMostInterfaces = 64;
/** Messages fit into a packet of the link; PIM registers of jumbo frames do, too. */
constexpr std::uint32_t kSnap = 16'384;
/** Of each socket: some 10,000 reports. */
constexpr int kReceiveBuffer = 8 << 20;
constexpr std::size_t kPiece = std::size_t{256} << 10;
/** A frame is in its socket's buffer so long after its time stamp, but for a machine that is overloaded: it
 * is stamped before it waits for a CPU. */
constexpr std::int64_t kSettled = 20'000'000;
static_assert(kMostInterfaces * 2 * codec::CaptureWriter::kMostHeader < kPiece);
static_assert(kPiece > 2 * (kSnap + codec::CaptureWriter::kMostHeader));

}  // namespace

kernel::Result<std::unique_ptr<ControlCapture>> ControlCapture::open(const ControlCaptureOptions& options) {
  if (options.interfaces.empty() || options.interfaces.size() > kMostInterfaces)
    return kernel::Error{"USAGE", "capture of control messages: expected 1 to 64 interfaces"};
  std::vector<Source> sources;
  std::optional<kernel::Error> failure;
  for (const std::string& name : options.interfaces) {
    auto socket = kernel::PacketRx::open({name, false, kSnap, kReceiveBuffer, kernel::control_filter()});
    if (socket.ok())
      sources.push_back({name, std::move(socket.value())});
    else
      failure = std::move(socket.error());
  }
  if (sources.empty()) return std::move(*failure);
  return std::unique_ptr<ControlCapture>(new ControlCapture(options, std::move(sources)));
}

ControlCapture::ControlCapture(const ControlCaptureOptions& options, std::vector<Source> sources)
    : sources_(std::move(sources)),
      writer_(codec::CaptureFormat::pcapng, kSnap),
      max_packets_(options.max_packets),
      max_bytes_(std::max(options.max_bytes, kLeastBytes)),
      buffer_(kPiece) {
  begin(options.application);
}

void ControlCapture::begin(const std::string& application) noexcept {
  codec::CaptureHeader header;
  header.snaplen = kSnap;
  header.application = application;
  for (std::size_t i = 0; i < sources_.size(); i++) {
    header.link_type = link_type_of(sources_[i].socket->layer());
    header.interface_name = sources_[i].name;
    const auto room = codec::MutableBytes(buffer_).subspan(used_);
    used_ +=
        i == 0 ? codec::CaptureWriter::begin(header, room) : codec::CaptureWriter::interface(header, room);
  }
}

codec::Bytes ControlCapture::read() noexcept {
  // What comes while this reads might be older than what it has written of another socket.
  take(std::min(until_, kernel::wall_now() - kSettled));
  return piece();
}

void ControlCapture::stop() noexcept {
  until_ = std::min(until_, kernel::wall_now());
}

codec::Bytes ControlCapture::finish() noexcept {
  if (std::exchange(finished_, true)) return {};
  take(until_);
  full_ = true;
  for (std::uint32_t i = 0; i < sources_.size(); i++) {
    const codec::CaptureStatistics statistics{kernel::wall_now(), sources_[i].packets,
                                              sources_[i].socket->drops()};
    used_ += writer_.end(statistics, codec::MutableBytes(buffer_).subspan(used_), i);
  }
  return piece();
}

/** Writes frames up to this time, as long as there is room for the end of the file behind them. */
void ControlCapture::take(std::int64_t until) noexcept {
  for (Source& source : sources_) source.dry = false;
  const std::size_t end = sources_.size() * codec::CaptureWriter::kMostHeader;
  while (!full_ && used_ + kSnap + codec::CaptureWriter::kMostHeader + end <= kPiece) {
    Source* const source = earliest();
    if (source == nullptr || source->frames.front().wall > until) return;
    write(*source);
    source->frames = source->frames.subspan(1);
  }
}

/** The socket whose next frame is the oldest; null when none has one. */
ControlCapture::Source* ControlCapture::earliest() noexcept {
  Source* found = nullptr;
  for (Source& source : sources_) {
    if (source.frames.empty() && !source.dry) {
      source.frames = source.socket->receive();
      source.dry = !source.socket->more();
    }
    if (source.frames.empty()) continue;
    if (found == nullptr || source.frames.front().wall < found->frames.front().wall) found = &source;
  }
  return found;
}

void ControlCapture::write(Source& source) noexcept {
  const kernel::Frame& frame = source.frames.front();
  const CapturedFrame captured(frame, source.socket->layer());
  const auto interface = static_cast<std::uint32_t>(&source - sources_.data());
  const std::size_t size =
      writer_.packet(frame.wall, captured.original_length(), captured.head(), captured.rest(),
                     codec::MutableBytes(buffer_).subspan(used_), interface);
  full_ = written_ + used_ + size > max_bytes_;
  if (full_) return;
  used_ += size;
  source.packets++;
  counters_.packets++;
  counters_.bytes += captured.original_length();
  full_ = counters_.packets == max_packets_;
}

codec::Bytes ControlCapture::piece() noexcept {
  const codec::Bytes out = codec::Bytes(buffer_).first(std::exchange(used_, 0));
  written_ += out.size();
  return out;
}

ControlCaptureCounters ControlCapture::counters() noexcept {
  counters_.dropped = 0;
  for (const Source& source : sources_) counters_.dropped += source.socket->drops();
  return counters_;
}

}  // namespace sluice::plane
