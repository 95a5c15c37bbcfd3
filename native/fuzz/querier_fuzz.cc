// Fuzz target: what hosts, other routers, policy and time do to an interface, a few bytes each; whatever they
// do, nothing that is not allowed is forwarded, what is counted is what is there, limits hold, and all of it
// ends.
#include "fuzz/check.h"
#include "membership/admission.h"
#include "membership/querier.h"

using namespace sluice;
using codec::IpAddress;
using codec::RecordType;
using membership::Nanos;

namespace {

constexpr unsigned kGroups = 4;
constexpr unsigned kSources = 6;

IpAddress address(bool v4, unsigned v4_prefix, unsigned first, unsigned second, unsigned number) {
  if (v4) return IpAddress::v4(v4_prefix + number);
  std::array<std::uint8_t, 16> bytes{};
  bytes[0] = static_cast<std::uint8_t>(first);
  bytes[1] = static_cast<std::uint8_t>(second);
  bytes[15] = static_cast<std::uint8_t>(number);
  return IpAddress::v6(bytes.data());
}

class Interface final : membership::QuerierHost, membership::AdmissionHost {
 public:
  Interface(const membership::QuerierOptions& querier, const membership::AdmissionOptions& admission)
      : v4_(querier.v4),
        limits_(querier.limits),
        querier_(querier, *this, deadlines_),
        admission_(admission, *this, deadlines_) {
    querier_.start(host(9), now_);
  }

  /** An event of three bytes: what, of whom, and of what. */
  void take(std::uint8_t what, std::uint8_t who, std::uint8_t which) {
    const IpAddress group = this->group(which);
    const auto list = sources(which >> 2);
    switch (what % 8) {
      case 0:
        return pass((Nanos{1} << who % 40) - 1);
      case 1:
        return hear(who, group, (what & 8) != 0 ? codec::SourceList() : codec::SourceList(list), what);
      case 2:
        return admission_.authorise({group, named(who)}, now_ + (Nanos{1} << (what >> 3) * 2), now_);
      case 3:
        return admission_.revoke({group, named(who)}, now_);
      case 4:
        return (what & 8) != 0 ? querier_.forget(host(who % 4), now_)
                               : querier_.forget(host(who % 4), group, now_);
      default:
        admission_.on_record(who % 5 == 4 ? IpAddress::any(v4_) : host(who % 4),
                             {static_cast<RecordType>(1 + what / 8 % 6), group, codec::SourceList(list)},
                             1 + who / 8 % (v4_ ? 3U : 2U), now_);
    }
  }
  void check() const {
    std::size_t hosts = 0;
    std::size_t sources = 0;
    querier_.each_group(now_, [&](const membership::GroupView& view) {
      hosts += view.hosts.size();
      sources += view.sources.size();
      for (const auto& one : view.hosts) sources += one.sources.size();
      check(view);
    });
    SLUICE_HOLDS(hosts == querier_.hosts());
    SLUICE_HOLDS(sources == querier_.sources());
    SLUICE_HOLDS(querier_.groups() <= limits_.groups);
    SLUICE_HOLDS(hosts <= limits_.hosts);
    SLUICE_HOLDS(sources <= limits_.sources);
    SLUICE_HOLDS(admission_.held() <= admission_.options().most_held);
  }
  /** Nobody says anything any more: nothing stays but our own queries and the authorisations. */
  void end() {
    pass(2000 * membership::kSecond);
    SLUICE_HOLDS(querier_.groups() == 0);
    SLUICE_HOLDS(querier_.sources() == 0);
    SLUICE_HOLDS(querier_.hosts() == 0);
    SLUICE_HOLDS(admission_.held() == 0);
    SLUICE_HOLDS(deadlines_.size() == 1 + admission_.authorised());
  }

 private:
  [[nodiscard]] IpAddress group(unsigned which) const {
    return address(v4_, 0xef000100, 0xff, 0x1e, which % kGroups);
  }
  [[nodiscard]] IpAddress source(unsigned which) const {
    return address(v4_, 0x0a000001, 0x20, 0x01, which + 1);
  }
  [[nodiscard]] IpAddress host(unsigned which) const {
    return address(v4_, 0xc0000201, 0xfe, 0x80, which + 1);
  }
  /** Any source, or one. */
  [[nodiscard]] IpAddress named(unsigned which) const {
    return which % 3 == 0 ? IpAddress::any(v4_) : source(which % kSources);
  }
  [[nodiscard]] std::vector<IpAddress> sources(unsigned bits) const {
    std::vector<IpAddress> made;
    for (unsigned i = 0; i < kSources; i++)
      if ((bits >> i & 1U) != 0) made.push_back(source(i));
    return made;
  }

  void pass(Nanos time) {
    const Nanos end = now_ + time;
    for (int runs = 0; deadlines_.next() <= end && runs < 1000; runs++) {
      now_ = std::max(now_, deadlines_.next());
      deadlines_.run(now_);
      check();
    }
    now_ = std::max(now_, end);
    deadlines_.run(now_);
  }
  void hear(unsigned who, const IpAddress& group, const codec::SourceList& list, unsigned what) {
    codec::MembershipQuery query;
    query.version = static_cast<std::uint8_t>(1 + who / 16 % (v4_ ? 3 : 2));
    query.group = (what & 16) != 0 ? IpAddress::any(v4_) : group;
    query.max_response_ms = 1U << who % 16;
    query.suppress = (what & 32) != 0;
    query.robustness = static_cast<std::uint8_t>(what >> 5);
    query.interval_s = what >> 3;
    if (!query.group.is_any()) query.sources = list;
    querier_.on_query(host(who % 16), query, now_);
  }
  void check(const membership::GroupView& view) const {
    const IpAddress any = IpAddress::any(v4_);
    SLUICE_HOLDS(view.excludes || !view.sources.empty());
    SLUICE_HOLDS(view.sources.size() <= limits_.sources_per_group);
    SLUICE_HOLDS(view.hosts.size() <= limits_.hosts_per_group);
    SLUICE_HOLDS(view.excludes == querier_.wants_any_source(view.group));
    SLUICE_HOLDS(!view.excludes || admission_.allows(view.group, any));
    for (const auto& one : view.sources) {
      SLUICE_HOLDS(one.forwarded || view.excludes);
      SLUICE_HOLDS(one.forwarded == querier_.forwards(view.group, one.address));
      SLUICE_HOLDS(!one.forwarded || admission_.allows(view.group, one.address));
    }
    for (const auto& one : view.hosts) SLUICE_HOLDS(one.excludes || !one.sources.empty());
  }

  void send(const codec::MembershipQuery& query) noexcept override {
    SLUICE_HOLDS(query.group.is_v4() == v4_);
    SLUICE_HOLDS(query.sources.size() <= querier_.options().sources_of_a_query());
    SLUICE_HOLDS(query.sources.empty() || !query.group.is_any());
  }
  void changed(const IpAddress& group) noexcept override { SLUICE_HOLDS(group.is_multicast()); }
  bool has(const membership::Channel& channel) const noexcept override {
    return channel.source.is_any() ? querier_.wants_any_source(channel.group)
                                   : querier_.forwards(channel.group, channel.source);
  }
  bool has_group(const IpAddress& group) const noexcept override { return querier_.has(group); }
  std::size_t groups() const noexcept override { return querier_.groups(); }
  void pass(const IpAddress& host, const codec::GroupRecord& record, unsigned version,
            Nanos now) noexcept override {
    querier_.on_record(host, record, version, now);
  }
  void revoked(const IpAddress& group, Nanos now) noexcept override {
    querier_.restrict(group, admission_, now);
  }
  void allowed(const IpAddress& group, Nanos now) noexcept override { querier_.ask(group, now); }
  void refused(const membership::Channel& channel) noexcept override {
    SLUICE_HOLDS(!admission_.allows(channel.group, channel.source));
  }
  void held(const IpAddress&, const membership::Channel&) noexcept override {}
  void admitted(const IpAddress&, const membership::Channel&) noexcept override {}
  void denied(const IpAddress&, const membership::Channel&, membership::Denial) noexcept override {}

  bool v4_;
  membership::QuerierLimits limits_;
  Nanos now_ = membership::kSecond;
  membership::Deadlines deadlines_;
  membership::Querier querier_;
  membership::Admission admission_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  membership::QuerierOptions querier;
  querier.v4 = input.choose(2) == 0;
  querier.version = static_cast<std::uint8_t>(1 + input.choose(querier.v4 ? 3 : 2));
  querier.robustness = static_cast<std::uint8_t>(1 + input.choose(3));
  querier.immediate_leave = static_cast<membership::ImmediateLeave>(input.choose(3));
  querier.query_sources = 2;
  querier.limits = {3, 4, 4 + input.choose(20), 1 + input.choose(8), 2};
  membership::AdmissionOptions admission;
  admission.hold = static_cast<Nanos>(input.choose(2)) * membership::kSecond;
  admission.most_held = 3;
  admission.groups = input.choose(3);
  Interface interface(querier, admission);
  const fuzz::Block& body = input.body();
  for (std::size_t i = 0; i + 2 < body.size() && i < 3000; i += 3) {
    interface.take(body[i], body[i + 1], body[i + 2]);
    interface.check();
  }
  interface.end();
  return 0;
}
