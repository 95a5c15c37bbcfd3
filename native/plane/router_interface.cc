#include "plane/router_interface.h"

namespace sluice::plane {

using codec::IpAddress;
using kernel::Nanos;
using membership::Channel;
using membership::WantedSources;

RouterInterface::RouterInterface(const RouterInterfaceOptions& options, RouterInterfaceOwner& owner,
                                 membership::Deadlines& deadlines)
    : options_(options),
      owner_(owner),
      deadlines_(deadlines),
      admission_(options.admission, *this, deadlines) {
  membership::QuerierHost& acts = *this;
  if (options.querier) querier_.emplace(*options.querier, acts, deadlines);
}

void RouterInterface::up(unsigned index, kernel::Vif vif, const IpAddress& own, Nanos now) {
  index_ = index;
  vif_ = vif;
  own_ = own;
  if (!querier_) return;
  querier_->start(own, now);
  for (const Channel& channel : statics_) querier_->add_static(channel.group, channel.source);
}

void RouterInterface::readdress(const IpAddress& own, Nanos now) {
  if (own == own_) return;
  own_ = own;
  if (querier_) querier_->readdress(own, now);
}

void RouterInterface::down_hosts() {
  if (!querier_) return;
  querier_->stop();
  for (const Channel& channel : statics_) querier_->remove_static(channel.group, channel.source);
}

void RouterInterface::down() {
  down_hosts();
  index_ = 0;
}

void RouterInterface::on_query(const IpAddress& from, const codec::MembershipQuery& query,
                               Nanos now) noexcept {
  if (querier_) querier_->on_query(from, query, now);
}

void RouterInterface::on_report(const IpAddress& host, const codec::MembershipReport& report,
                                Nanos now) noexcept {
  counters_.reports++;
  if (!querier_) return;
  for (const codec::GroupRecord& record : report.records)
    if (records_.take(now))
      admission_.on_record(host, record, report.version, now);
    else
      counters_.too_many++;
}

bool RouterInterface::wants(const IpAddress& source, const IpAddress& group) const noexcept {
  return is_up() && querier_ && querier_->forwards(group, source);
}

bool RouterInterface::forwards(const IpAddress& source, const IpAddress& group) const noexcept {
  return wants(source, group) && (options_.always_forwards || !querier_->election().yields());
}

WantedSources RouterInterface::wanted(const IpAddress& group) const {
  WantedSources out;
  if (!is_up() || !querier_) return out;
  out.excludes = querier_->wants_any_source(group);
  querier_->each_source(group, [&](const IpAddress& source, bool forwarded) {
    if (forwarded != out.excludes) out.sources.push_back(source);
  });
  std::ranges::sort(out.sources);
  return out;
}

void RouterInterface::reconfigure(const RouterInterfaceOptions& options, Nanos now) {
  const membership::AdmissionOptions admission = options_.admission;
  options_ = options;
  options_.admission = admission;
  if (querier_ && options.querier) return querier_->configure(*options.querier, now);
  if (is_up()) down_hosts();
  querier_.reset();
  if (!options.querier) return;
  membership::QuerierHost& acts = *this;
  querier_.emplace(*options.querier, acts, deadlines_);
  if (is_up()) up(index_, vif_, own_, now);
}

void RouterInterface::configure(const membership::AdmissionOptions& options, Nanos now) {
  options_.admission = options;
  admission_.configure(options, now);
  if (querier_) querier_->restrict(admission_, now);
  owner_.rights_changed(*this);
}

void RouterInterface::add_static(const Channel& channel) {
  if (statics_.insert(channel).second && is_up() && querier_)
    querier_->add_static(channel.group, channel.source);
}

void RouterInterface::remove_static(const Channel& channel) {
  if (statics_.erase(channel) != 0 && is_up() && querier_)
    querier_->remove_static(channel.group, channel.source);
}

void RouterInterface::send(const codec::MembershipQuery& query) noexcept {
  owner_.send_query(*this, query);
}

void RouterInterface::changed(const IpAddress& group) noexcept {
  owner_.members_changed(*this, group);
}

void RouterInterface::elected() noexcept {
  owner_.querier_changed(*this);
}

bool RouterInterface::has(const Channel& channel) const noexcept {
  if (!querier_) return false;
  return channel.source.is_any() ? querier_->wants_any_source(channel.group)
                                 : querier_->forwards(channel.group, channel.source);
}

bool RouterInterface::has_group(const IpAddress& group) const noexcept {
  return querier_ && querier_->has(group);
}

std::size_t RouterInterface::groups() const noexcept {
  return querier_ ? querier_->groups() : 0;
}

void RouterInterface::pass(const IpAddress& host, const codec::GroupRecord& record, unsigned version,
                           Nanos now) noexcept {
  if (querier_) querier_->on_record(host, record, version, now);
}

void RouterInterface::revoked(const IpAddress& group, Nanos now) noexcept {
  if (querier_) querier_->restrict(group, admission_, now);
}

void RouterInterface::allowed(const IpAddress& group, Nanos now) noexcept {
  if (querier_) querier_->ask(group, now);
}

void RouterInterface::refused(const Channel& channel) noexcept {
  owner_.rights_ended(*this, channel);
}

void RouterInterface::held(const IpAddress& host, const Channel& channel) noexcept {
  owner_.join_held(*this, host, channel);
}

void RouterInterface::admitted(const IpAddress& host, const Channel& channel) noexcept {
  owner_.join_admitted(*this, host, channel);
}

void RouterInterface::denied(const IpAddress& host, const Channel& channel, membership::Denial why) noexcept {
  owner_.join_denied(*this, host, channel, why);
}

}  // namespace sluice::plane
