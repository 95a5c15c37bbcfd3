#include "plane/capture_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "codec/mpegts.h"
#include "codec/rtp.h"

namespace sluice::plane {

namespace {

/** A packet of the largest size, and room to read ahead. */
constexpr std::size_t kBuffer = codec::CaptureReader::kMostNeeded + (std::size_t{1} << 18);

}  // namespace

kernel::Result<CaptureFile> CaptureFile::open(const std::string& path) {
  auto file = kernel::File::open(path);
  if (!file.ok()) return file.error();
  return CaptureFile(path, std::move(file.value()));
}

CaptureFile::CaptureFile(std::string path, kernel::File file)
    : path_(std::move(path)), file_(std::move(file)), buffer_(kBuffer) {}

bool CaptureFile::next(codec::CapturePacket& out) noexcept {
  using Step = codec::CaptureReader::Step;
  while (error_ == 0) {
    const Step step = reader_.next(window_, last_, out);
    if (step != Step::more) return step == Step::packet;
    if (!fill(reader_.needed())) return false;
  }
  return false;
}

/** Reads on until the window has `needed` bytes or the file ends; false when reading fails. */
bool CaptureFile::fill(std::size_t needed) noexcept {
  if (!window_.empty()) std::memmove(buffer_.data(), window_.data(), window_.size());
  std::size_t have = window_.size();
  while (have < needed && !last_) {
    const ssize_t n = file_.read(std::span(buffer_).subspan(have));
    if (n < 0) error_ = errno;
    if (n < 0) return false;
    last_ = n == 0;
    have += static_cast<std::size_t>(n);
  }
  window_ = codec::Bytes(buffer_).first(have);
  return true;
}

bool CaptureFile::rewind() noexcept {
  if (!file_.rewind()) return false;
  reader_ = {};
  window_ = {};
  last_ = false;
  return true;
}

std::string CaptureFile::damage() const {
  if (error_ != 0) {
    return path_ + ": at byte " + std::to_string(reader_.offset()) +
           ": expected a readable file, got: " + std::strerror(error_);
  }
  return reader_.damage() ? path_ + ": " + reader_.damage()->text() : std::string();
}

namespace {

UdpFlow::Kind kind_of(codec::Bytes payload) noexcept {
  if (payload.size() >= codec::kTsPacketSize && payload[0] == codec::kTsSync) return UdpFlow::Kind::ts;
  return codec::parse_rtp(payload) ? UdpFlow::Kind::rtp : UdpFlow::Kind::udp;
}

class FlowTable {
 public:
  /** Flows beyond kMostFlows are not listed. */
  void add(const codec::UdpDatagram& d, std::int64_t time_ns) {
    const Key key{d.source, d.destination, d.source_port, d.destination_port};
    auto at = index_.find(key);
    if (at == index_.end()) {
      if (flows_.size() == kMostFlows) return;
      at = index_.emplace(key, flows_.size()).first;
      flows_.push_back({d, kind_of(d.payload), 0, 0, time_ns, time_ns});
      flows_.back().ends.payload = {};
    }
    UdpFlow& flow = flows_[at->second];
    flow.packets++;
    flow.bytes += d.payload.size();
    flow.last_ns = std::max(flow.last_ns, time_ns);
  }
  std::vector<UdpFlow> take() { return std::move(flows_); }

 private:
  using Address = std::array<std::uint8_t, 16>;
  using Key = std::tuple<Address, Address, std::uint16_t, std::uint16_t>;
  std::map<Key, std::size_t> index_;
  std::vector<UdpFlow> flows_;
};

}  // namespace

kernel::Result<CaptureSummary> scan_capture(const std::string& path) {
  auto file = CaptureFile::open(path);
  if (!file.ok()) return file.error();
  CaptureSummary summary;
  FlowTable table;
  codec::CapturePacket packet;
  while (file.value().next(packet)) {
    if (summary.packets++ == 0) summary.first_ns = packet.time_ns;
    summary.bytes += packet.original_length;
    summary.last_ns = std::max(summary.last_ns, packet.time_ns);
    codec::UdpDatagram datagram;
    if (codec::find_udp(packet.data, packet.link_type, datagram) == codec::UdpFind::udp)
      table.add(datagram, packet.time_ns);
  }
  summary.flows = table.take();
  summary.damage = file.value().damage();
  if (summary.packets == 0 && !summary.damage.empty())
    return kernel::Error{"CAPTURE_INVALID", summary.damage};
  return summary;
}

}  // namespace sluice::plane
