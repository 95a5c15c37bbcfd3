// fec-cost arithmetic
// fec-cost encode|decode ours|avx2|isal|bare block:K+M|parity:LxD|parity:LxD+rows MILLISECONDS
//
// CPU of FEC over datagrams of 1316 bytes of payload, as nanoseconds for each packet of media (encode) or for
// each packet that is repaired (decode: all that the block code can repair, or one of a column). `ours` are
// the encoders and decoders of the addon, `avx2` and `isal` the same with this arithmetic in place of the
// fastest that there is; `bare` is ISA-L's ec_encode_data on the same buffers with tables made before, or a
// loop of AVX2's exclusive or. With `arithmetic` alone it tells which the fastest is. The fastest of many
// slices of the time counts: others use the machine, too.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string_view>

#include "fec-work.h"

namespace sluice::bench {
namespace {

/** The arithmetic that `who` names. */
repair::GaloisKernel kernel_of(std::string_view who) {
  const auto kernels = repair::galois_kernels();
  if (who == "ours") return kernels.back();
  const auto kernel = who == "isal" ? repair::GaloisKernel::isal : repair::GaloisKernel::avx2;
  if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
    throw std::runtime_error("no such arithmetic here");
  return kernel;
}

Work encoder(const Code& code, repair::GaloisKernel kernel, const std::shared_ptr<Packets>& packets) {
  auto kept = std::make_shared<Kept>();
  auto next = std::make_shared<std::int64_t>(0);
  if (code.block) {
    auto encoder = std::make_shared<repair::BlockEncoder>(*code.block, kernel);
    return [=, size = std::size_t{code.block->source}] {
      for (std::size_t i = 0; i < size; i++) encoder->push(packets->packet((*next)++), *kept);
      return size;
    };
  }
  auto encoder = std::make_shared<repair::ParityEncoder>(*code.parity);
  return [=, size = std::size_t{code.parity->columns} * code.parity->rows] {
    for (std::size_t i = 0; i < size; i++) encoder->push(packets->packet((*next)++), *kept);
    return size;
  };
}

Work bare_parity_encoder(const repair::ParityOptions& o, const std::shared_ptr<Packets>& packets) {
  auto sums = std::make_shared<std::vector<std::uint8_t>>((o.columns + o.row_parity) * kPayload);
  auto next = std::make_shared<std::int64_t>(0);
  return [=] {
    std::fill(sums->begin(), sums->end(), std::uint8_t{0});
    std::uint8_t* const row = sums->data() + o.columns * kPayload;
    for (unsigned i = 0; i < o.columns * o.rows; i++) {
      const std::uint8_t* const payload = packets->payload((*next)++);
      bare_exclusive_or(sums->data() + i % o.columns * kPayload, payload);
      if (o.row_parity) bare_exclusive_or(row, payload);
    }
    return std::size_t{o.columns} * o.rows;
  };
}

/** All that the code can repair is missing, from the first packet of the block on. */
Work block_decoder(const repair::BlockOptions& o, repair::GaloisKernel kernel, const Packets& packets) {
  auto window = std::make_shared<repair::PacketWindow>(1024, 1500);
  auto repairs = std::make_shared<Repairs>();
  auto decoder = std::make_shared<repair::BlockDecoder>(*window, *repairs, o, kernel);
  auto kept = std::make_shared<Kept>();
  kept->keeps = true;
  repair::BlockEncoder encoder(o);
  for (unsigned i = 0; i < o.source; i++) encoder.push(packets.packet(i), *kept);
  encoder.flush(*kept);
  for (Kept::Symbol& symbol : kept->symbols) symbol.packet.symbol = symbol.bytes;
  for (unsigned i = 0; i < o.source; i++) window->store(i, packets.datagram(i), repair::Origin::received);
  return [=] {
    for (unsigned i = 0; i < o.repair; i++) window->forget(i);
    repairs->count = 0;
    for (const Kept::Symbol& symbol : kept->symbols) decoder->on_repair(symbol.packet, o.source, 0);
    if (repairs->count != o.repair) throw std::runtime_error("a block was not repaired");
    return std::size_t{o.repair};
  };
}

Work parity_decoder(const repair::ParityOptions& o, const Packets& packets) {
  auto window = std::make_shared<repair::PacketWindow>(1024, 1500);
  auto repairs = std::make_shared<Repairs>();
  auto decoder = std::make_shared<repair::ParityDecoder>(*window, *repairs);
  auto kept = std::make_shared<Kept>();
  kept->keeps = true;
  repair::ParityEncoder encoder({o.columns, o.rows, false});
  for (unsigned i = 0; i < o.columns * o.rows; i++) encoder.push(packets.packet(i), *kept);
  encoder.flush(*kept);
  for (unsigned i = 0; i < o.columns * o.rows; i++)
    window->store(i, packets.datagram(i), repair::Origin::received);
  return [=] {
    window->forget(0);
    decoder->on_parity(kept->columns[0], o.columns * o.rows, 0);
    if (!window->has(0)) throw std::runtime_error("a column was not repaired");
    return std::size_t{1};
  };
}

Work bare_parity_decoder(const repair::ParityOptions& o, const std::shared_ptr<Packets>& packets) {
  auto out = std::make_shared<std::vector<std::uint8_t>>(kPayload);
  return [=] {
    std::memcpy(out->data(), packets->payload(0), kPayload);
    for (unsigned i = 1; i < o.rows; i++) bare_exclusive_or(out->data(), packets->payload(i * o.columns));
    return std::size_t{1};
  };
}

#ifdef SLUICE_ISAL
/** ISA-L's part of it, over the packets of a block in place of all else. */
class BareBlock {
 public:
  BareBlock(const repair::BlockOptions& o, std::shared_ptr<Packets> packets)
      : options_(o),
        packets_(std::move(packets)),
        tables_(32 * o.source * o.repair),
        out_(o.repair * kPayload) {
    for (unsigned i = 0; i < o.repair; i++)
      for (unsigned j = 0; j < o.source; j++) rows_.push_back(repair::block_coefficient(o.source, i, j));
    for (unsigned i = 0; i < o.repair; i++)
      for (unsigned j = 0; j < o.repair; j++) square_.push_back(rows_[i * o.source + j]);
    for (unsigned i = 0; i < o.repair; i++) outputs_.push_back(out_.data() + i * kPayload);
    inputs_.resize(o.source);
    prepare();
  }
  /** What is missing is another each time: a matrix is inverted, and tables are made of it. */
  void invert() {
    std::vector<std::uint8_t> left = square_;
    std::vector<std::uint8_t> inverse(left.size());
    if (gf_invert_matrix(left.data(), inverse.data(), static_cast<int>(options_.repair)) != 0)
      throw std::runtime_error("a part of a Cauchy matrix is singular");
    prepare();
  }
  void combine() {
    for (std::uint8_t*& input : inputs_) input = const_cast<std::uint8_t*>(packets_->payload(next_++));
    ec_encode_data(kPayload, static_cast<int>(options_.source), static_cast<int>(options_.repair),
                   tables_.data(), inputs_.data(), outputs_.data());
  }
  void rewind() { next_ = 0; }

 private:
  void prepare() {
    ec_init_tables(static_cast<int>(options_.source), static_cast<int>(options_.repair), rows_.data(),
                   tables_.data());
  }
  const repair::BlockOptions options_;
  const std::shared_ptr<Packets> packets_;
  std::vector<std::uint8_t> rows_;
  std::vector<std::uint8_t> square_;
  std::vector<std::uint8_t> tables_;
  std::vector<std::uint8_t> out_;
  std::vector<std::uint8_t*> inputs_;
  std::vector<std::uint8_t*> outputs_;
  std::int64_t next_ = 0;
};

Work bare_block(const repair::BlockOptions& o, bool encode, const std::shared_ptr<Packets>& packets) {
  auto bare = std::make_shared<BareBlock>(o, packets);
  return [=] {
    if (!encode) bare->rewind();
    if (!encode) bare->invert();
    bare->combine();
    return std::size_t{encode ? o.source : o.repair};
  };
}
#else
Work bare_block(const repair::BlockOptions&, bool, const std::shared_ptr<Packets>&) {
  throw std::runtime_error("without ISA-L there is nothing to compare with");
}
#endif

Work work_of(bool encode, std::string_view who, const Code& code) {
  auto packets = std::make_shared<Packets>();
  if (who == "bare") {
    if (code.block) return bare_block(*code.block, encode, packets);
    return encode ? bare_parity_encoder(*code.parity, packets) : bare_parity_decoder(*code.parity, packets);
  }
  if (encode) return encoder(code, kernel_of(who), packets);
  return code.block ? block_decoder(*code.block, kernel_of(who), *packets)
                    : parity_decoder(*code.parity, *packets);
}

/** Nanoseconds of CPU for each packet, in the fastest slice. */
double fastest(const Work& work, double milliseconds) {
  constexpr double kSlice = 2e6;
  // Looking at the clock costs as much as a small block.
  constexpr int kBetweenLooks = 32;
  double best = std::numeric_limits<double>::infinity();
  const double end = cpu_nanos() + milliseconds * 1e6;
  for (double begin = cpu_nanos(); begin < end;) {
    std::size_t packets = 0;
    double now = begin;
    while (now - begin < kSlice) {
      for (int i = 0; i < kBetweenLooks; i++) packets += work();
      now = cpu_nanos();
    }
    best = std::min(best, (now - begin) / static_cast<double>(packets));
    begin = now;
  }
  return best;
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count == 2 && std::string_view(arguments[1]) == "arithmetic") {
    std::puts(sluice::repair::galois_name(sluice::repair::galois_kernels().back()));
    return 0;
  }
  if (count != 5) {
    std::fputs(
        "usage: fec-cost arithmetic\n       fec-cost encode|decode ours|avx2|isal|bare CODE MILLISECONDS\n",
        stderr);
    return 2;
  }
  try {
    const bool encode = std::string_view(arguments[1]) == "encode";
    const Work work = work_of(encode, arguments[2], read_code(arguments[3]));
    std::printf("%.3f\n", fastest(work, std::atof(arguments[4])));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fec-cost: %s\n", error.what());
    return 1;
  }
}
