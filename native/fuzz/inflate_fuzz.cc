// Fuzz target: bytes as a compressed body, in one piece and in several.
#include "fuzz/check.h"
#include "http/inflate.h"

using namespace sluice;
using http::Inflater;

namespace {

/** One body as the client reads it. */
class Body {
 public:
  explicit Body(http::ContentCoding coding) : inflater_(Inflater::create(coding)) { SLUICE_HOLDS(inflater_); }

  /** False when the rest of the body is not wanted. */
  bool take(codec::Bytes bytes) {
    bool full = false;
    while (!bytes.empty() || full) {
      const auto step = inflater_->step(bytes);
      SLUICE_HOLDS(step.consumed <= bytes.size());
      in_ += step.consumed;
      out_.insert(out_.end(), step.output.begin(), step.output.end());
      SLUICE_HOLDS(out_.size() <= Inflater::kFreeOutput + Inflater::kMaxExpansion * (in_ + 1) + 32 * 1024);
      bytes = bytes.subspan(step.consumed);
      full = step.output_full;
      state_ = step.state;
      if (state_ == Inflater::State::corrupt || state_ == Inflater::State::expands) return false;
      SLUICE_HOLDS(step.consumed > 0 || !step.output.empty() || bytes.empty());
    }
    return true;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& out() const noexcept { return out_; }
  [[nodiscard]] Inflater::State state() const noexcept { return state_; }

 private:
  std::unique_ptr<Inflater> inflater_;
  std::vector<std::uint8_t> out_;
  std::uint64_t in_ = 0;
  Inflater::State state_ = Inflater::State::running;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto coding = input.choose(2) == 0 ? http::ContentCoding::gzip : http::ContentCoding::deflate;
  Body whole(coding);
  Body cut(coding);
  whole.take(input.body());
  input.in_pieces(400, [&](codec::Bytes piece) { return cut.take(piece); });
  // Where an expansion or an error is noticed depends on the cuts, what comes before it does not.
  const std::size_t both = std::min(whole.out().size(), cut.out().size());
  SLUICE_HOLDS(std::equal(whole.out().begin(), whole.out().begin() + static_cast<std::ptrdiff_t>(both),
                          cut.out().begin()));
  if (whole.state() == Inflater::State::ended && cut.state() == Inflater::State::ended)
    SLUICE_HOLDS(whole.out().size() == cut.out().size());
  return 0;
}
