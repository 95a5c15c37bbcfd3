// ST 2022-1: parity packets over the columns, or columns and rows, of L x D packets.
#pragma once

#include <memory>
#include <vector>

#include "repair/parity_sum.h"

namespace sluice::repair {

struct ParityOptions {
  /** L: packets of a row, 1 to 100. */
  unsigned columns = 10;
  /** D: packets of a column, 1 to 100; L x D at most 100. */
  unsigned rows = 10;
  /** Whether rows are protected, too. */
  bool row_parity = false;
};

/** Told of each parity packet; what it points to stays until it returns. */
class ParityOutput {
 public:
  virtual void on_parity(const codec::ParityPacket& packet) noexcept = 0;

 protected:
  ~ParityOutput() = default;
};

/**
 * Takes the packets of a stream in sequence. A row's parity follows its last packet; those of the columns
 * follow the last of the matrix, one with each packet after it, so that they do not leave as a burst, and
 * come in time for a playout of little more than a matrix. A gap in the sequence begins a new matrix. Nothing
 * is allocated after it was made.
 */
class ParityEncoder {
 public:
  explicit ParityEncoder(const ParityOptions& options);

  /** Bodies longer than kMostBody are not protected: the matrix begins anew behind them. */
  void push(const ProtectedPacket& packet, ParityOutput& output) noexcept;
  /** Hands out what is waiting; the next packet begins a new matrix. */
  void flush(ParityOutput& output) noexcept;
  [[nodiscard]] const ParityOptions& options() const noexcept { return options_; }

 private:
  void begin(std::int64_t sequence) noexcept;
  void release(ParityOutput& output) noexcept;
  void hand_out(const ParitySum& sum, const codec::ParityScope& scope, ParityOutput& output) const noexcept;

  const ParityOptions options_;
  const unsigned size_;
  /** Of the matrix that is being filled, and of the one before, whose parity is being handed out. */
  std::vector<ParitySum> filling_;
  std::vector<ParitySum> full_;
  ParitySum row_;
  std::int64_t base_ = 0;
  std::int64_t full_base_ = 0;
  /** Packets taken of the present matrix. */
  unsigned taken_ = 0;
  /** Columns of the full one that were handed out. */
  unsigned released_;
};

}  // namespace sluice::repair
