// Admission before a querier, as an interface has them, and what was told.
#pragma once

#include "membership/admission.h"
#include "test/querier_bed.h"

namespace sluice::test {

using membership::Admission;
using membership::AdmissionOptions;
using membership::Channel;
using membership::Denial;

/** Told are: what, the group and the source, such as `held:1/7`. */
class Gate final : private membership::AdmissionHost {
 public:
  explicit Gate(const AdmissionOptions& options, membership::QuerierOptions querier = querier_options())
      : bed(querier), admission(options, *this, bed.deadlines) {
    bed.settled();
  }

  void record(unsigned host, RecordType type, const std::vector<unsigned>& named = {}, unsigned group = 1,
              unsigned version = 3) {
    const auto list = bed.sources(named);
    admission.on_record(bed.family.host(host), {type, bed.family.group(group), codec::SourceList(list)},
                        version, bed.now);
  }
  /** Source 0 is any. */
  [[nodiscard]] Channel channel(unsigned group, unsigned source = 0) const {
    return {bed.family.group(group), source == 0 ? bed.family.any() : bed.family.source(source)};
  }
  void authorise(unsigned group, unsigned source = 0, Nanos until = kNever) {
    admission.authorise(channel(group, source), until, bed.now);
  }
  [[nodiscard]] std::uint64_t denied(Denial why) const { return admission.counters().of(why); }
  [[nodiscard]] std::string told() { return std::exchange(told_, {}); }

  QuerierBed bed;
  Admission admission;
  unsigned passed = 0;
  unsigned refusals = 0;

 private:
  [[nodiscard]] bool has(const Channel& channel) const noexcept override {
    return channel.source.is_any() ? bed.querier.wants_any_source(channel.group)
                                   : bed.querier.forwards(channel.group, channel.source);
  }
  [[nodiscard]] bool has_group(const IpAddress& group) const noexcept override {
    return bed.querier.has(group);
  }
  [[nodiscard]] std::size_t groups() const noexcept override { return bed.querier.groups(); }
  void pass(const IpAddress& host, const codec::GroupRecord& record, unsigned version,
            Nanos now) noexcept override {
    passed++;
    bed.querier.on_record(host, record, version, now);
  }
  void revoked(const IpAddress& group, Nanos now) noexcept override {
    bed.querier.restrict(group, admission, now);
  }
  void allowed(const IpAddress& group, Nanos now) noexcept override { bed.querier.ask(group, now); }
  void refused(const Channel&) noexcept override { refusals++; }
  void held(const IpAddress&, const Channel& channel) noexcept override { tell("held", channel); }
  void admitted(const IpAddress&, const Channel& channel) noexcept override { tell("admitted", channel); }
  void denied(const IpAddress&, const Channel& channel, Denial why) noexcept override {
    static constexpr std::array<const char*, membership::kDenials> names{
        "range", "not-authorised", "held-expired", "hold-limit", "rate", "groups"};
    tell(names[static_cast<std::size_t>(why)], channel);
  }
  void tell(const std::string& what, const Channel& channel) {
    if (!told_.empty()) told_ += ' ';
    told_ += what + ":" + std::to_string(channel.group.bytes()[15]);
    if (!channel.source.is_any()) told_ += "/" + std::to_string(channel.source.bytes()[15]);
  }

  std::string told_;
};

/** Everything is authorised. */
inline AdmissionOptions open_admission() {
  AdmissionOptions options;
  options.open = true;
  return options;
}
/** Nothing is, and joins wait so long. */
inline AdmissionOptions holding_admission(Nanos hold) {
  AdmissionOptions options;
  options.hold = hold;
  return options;
}

}  // namespace sluice::test
