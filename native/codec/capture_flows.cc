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
  std::size_t llc = 0;
  std::size_t unknown_link = 0;
  /** The last of those. */
  std::uint32_t link_type = 0;
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

void take(FlowGatherer& gatherer, Tally& tally, const CapturePacket& packet) {
  tally.records++;
  if (!is_known_link_type(packet.link_type)) {
    tally.unknown_link++;
    tally.link_type = packet.link_type;
    return;
  }
  const auto link = parse_link(packet.data, packet.link_type);
  if (link && link->is_llc()) tally.llc++;
  UdpDatagram datagram;
  const UdpFind found = find_udp(packet.data, packet.link_type, datagram);
  if (found == UdpFind::cut) tally.cut++;
  if (found == UdpFind::fragment) tally.fragments++;
  if (found != UdpFind::udp) return;
  tally.datagrams++;
  gatherer.add(datagram, packet.time_ns);
}

CaptureError empty_error(const Tally& tally) {
  std::string message = "expected MPEG-TS over UDP or RTP, got " + std::to_string(tally.records) +
                        " packets with " + std::to_string(tally.datagrams) +
                        " whole UDP datagrams, none of them MPEG-TS";
  if (tally.cut > 0)
    message += "; " + std::to_string(tally.cut) + " packets were cut (capture with snap length 0)";
  if (tally.fragments > 0) message += "; " + std::to_string(tally.fragments) + " were IP fragments";
  if (tally.llc > 0) message += "; " + std::to_string(tally.llc) + " were IEEE 802.3 with LLC";
  if (tally.unknown_link > 0) {
    message += "; " + std::to_string(tally.unknown_link) + " were of link type " +
               std::to_string(tally.link_type) + ", which is not looked into";
  }
  return {"CAPTURE_EMPTY", std::move(message)};
}

}  // namespace

std::variant<CaptureFlows, CaptureError> read_capture_flows(Bytes file) {
  CaptureReader reader;
  FlowGatherer gatherer;
  Tally tally;
  CapturePacket packet;
  while (reader.next(file, true, packet) == CaptureReader::Step::packet) take(gatherer, tally, packet);
  CaptureFlows result{gatherer.finish(), reader.damage()};
  if (!result.flows.empty()) return result;
  if (result.damage) return CaptureError{"CAPTURE_INVALID", result.damage->text()};
  return empty_error(tally);
}

}  // namespace sluice::codec
