#include "codec/capture_flows.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "codec/mpegts.h"
#include "codec/rtp.h"

namespace sluice::codec {

namespace {

struct Piece {
  std::int64_t sequence = 0;
  Bytes ts;
};

struct Gathering {
  CaptureFlow flow;
  std::vector<Piece> pieces;
  std::int64_t first_ns = 0;
};

/** What was looked at, for the message when nothing is found. */
struct Tally {
  std::size_t records = 0;
  std::size_t datagrams = 0;
  std::size_t fragments = 0;
  std::size_t cut = 0;
};

bool is_ts(Bytes payload) noexcept {
  if (payload.empty() || payload.size() % kTsPacketSize != 0) return false;
  for (std::size_t at = 0; at < payload.size(); at += kTsPacketSize) {
    if (payload[at] != kTsSync) return false;
  }
  return true;
}

class FlowGatherer {
 public:
  void add(const UdpDatagram& datagram, std::int64_t time_ns) {
    if (is_ts(datagram.payload)) {
      Gathering& g = find(datagram, time_ns, false, 0);
      g.pieces.push_back({static_cast<std::int64_t>(g.pieces.size()), datagram.payload});
      return;
    }
    const auto rtp = parse_rtp(datagram.payload);
    if (!rtp || !is_ts(rtp->payload)) return;
    Gathering& g = find(datagram, time_ns, true, rtp->header.ssrc);
    const std::int64_t reference = g.pieces.empty() ? rtp->header.sequence : g.pieces.back().sequence;
    g.pieces.push_back({extend_sequence(reference, rtp->header.sequence), rtp->payload});
  }

  std::vector<CaptureFlow> finish() {
    std::vector<CaptureFlow> flows;
    flows.reserve(gatherings_.size());
    for (Gathering& g : gatherings_) flows.push_back(assemble(g));
    return flows;
  }

 private:
  Gathering& find(const UdpDatagram& d, std::int64_t time_ns, bool rtp, std::uint32_t ssrc) {
    const Key key{d.source, d.destination, d.source_port, d.destination_port, rtp, ssrc};
    const auto [at, added] = index_.try_emplace(key, gatherings_.size());
    if (added) {
      Gathering& g = gatherings_.emplace_back();
      g.flow.ends = d;
      g.flow.ends.payload = {};
      g.flow.rtp = rtp;
      g.first_ns = time_ns;
    }
    Gathering& g = gatherings_[at->second];
    g.flow.duration_ns = std::max<std::int64_t>(g.flow.duration_ns, time_ns - g.first_ns);
    return g;
  }

  static CaptureFlow assemble(Gathering& g) {
    auto& pieces = g.pieces;
    // All pieces point into the same file: the earlier of two duplicates comes first.
    const auto before = [](const Piece& a, const Piece& b) {
      return a.sequence != b.sequence ? a.sequence < b.sequence : a.ts.data() < b.ts.data();
    };
    const auto same = [](const Piece& a, const Piece& b) { return a.sequence == b.sequence; };
    std::sort(pieces.begin(), pieces.end(), before);
    pieces.erase(std::unique(pieces.begin(), pieces.end(), same), pieces.end());
    std::size_t size = 0;
    for (const Piece& piece : pieces) size += piece.ts.size();
    g.flow.ts.reserve(size);
    for (const Piece& piece : pieces) g.flow.ts.insert(g.flow.ts.end(), piece.ts.begin(), piece.ts.end());
    g.flow.packets = pieces.size();
    return std::move(g.flow);
  }

  using Address = std::array<std::uint8_t, 16>;
  using Key = std::tuple<Address, Address, std::uint16_t, std::uint16_t, bool, std::uint32_t>;
  std::map<Key, std::size_t> index_;
  std::vector<Gathering> gatherings_;
};

CaptureError empty_error(const Tally& tally) {
  std::string message = "expected MPEG-TS over UDP or RTP, got " + std::to_string(tally.records) +
                        " packets with " + std::to_string(tally.datagrams) +
                        " whole UDP datagrams, none of them MPEG-TS";
  if (tally.cut > 0)
    message += "; " + std::to_string(tally.cut) + " packets were cut (capture with snap length 0)";
  if (tally.fragments > 0) message += "; " + std::to_string(tally.fragments) + " were IP fragments";
  return {"CAPTURE_EMPTY", std::move(message)};
}

}  // namespace

std::variant<std::vector<CaptureFlow>, CaptureError> read_capture_flows(Bytes file) {
  PcapReader reader(file);
  FlowGatherer gatherer;
  Tally tally;
  while (const auto record = reader.next()) {
    tally.records++;
    UdpDatagram datagram;
    const UdpFind found = find_udp(record->data, reader.link_type(), datagram);
    if (found == UdpFind::cut) tally.cut++;
    if (found == UdpFind::fragment) tally.fragments++;
    if (found != UdpFind::udp) continue;
    tally.datagrams++;
    gatherer.add(datagram, record->time_ns);
  }
  if (const auto& e = reader.error()) {
    return CaptureError{"CAPTURE_INVALID", "at byte " + std::to_string(e->offset) + ": expected " +
                                               e->expected + ", got " + e->got.data()};
  }
  std::vector<CaptureFlow> flows = gatherer.finish();
  if (flows.empty()) return empty_error(tally);
  return flows;
}

}  // namespace sluice::codec
