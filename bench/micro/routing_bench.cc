// What the pure steps around classification cost: framing a reply, noting a batch in the ledger, deciding, a turn of the
// session machine. "allocs" is operator new per iteration.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/micro/allocations.h"
#include "parser/wire/encode.h"
#include "parser/wire/frame.h"
#include "routing/decide.h"
#include "routing/reply_ledger.h"
#include "routing/session_machine.h"

namespace waypost {
namespace {

void Report(benchmark::State& state, std::uint64_t before) {
  state.counters["allocs"] = benchmark::Counter(static_cast<double>(Allocations() - before), benchmark::Counter::kAvgIterations);
}

// The reply to a SELECT of one row: T, D, C, Z.
void FrameReply(benchmark::State& state) {
  std::string wire;
  MessageBuilder(wire, 'T').U16(1).CString("abalance").Raw(AsBytes(std::string(18, '\0')));
  MessageBuilder(wire, 'D').U16(1).U32(1).Byte('0');
  AppendCommandComplete(wire, "SELECT 1");
  AppendReadyForQuery(wire, 'I');
  const auto before = Allocations();
  for (auto _ : state) {
    auto input = AsBytes(wire);
    FrameHeader header;
    while (NextHeader(input, header) == FrameStatus::kHeader) input = input.subspan(header.body_bytes);
    benchmark::DoNotOptimize(input);
  }
  Report(state, before);
}

void LedgerOfQuery(benchmark::State& state) {
  Ledger ledger;
  ledger.Sent('Q', Reply::kForward);
  for (const char type : {'T', 'D', 'C', 'Z'}) ledger.OnReply(type);
  const auto before = Allocations();
  for (auto _ : state) {
    ledger.Sent('Q', Reply::kForward);
    for (const char type : {'T', 'D', 'C', 'Z'}) benchmark::DoNotOptimize(ledger.OnReply(type));
  }
  Report(state, before);
}

void DecideRead(benchmark::State& state) {
  ClusterView view;
  const TimePoint now{};
  for (int i = 0; i < 3; ++i) {
    auto& server = view.servers.emplace_back();
    server.up = true;
    server.role = i == 0 ? Role::kPrimary : Role::kReplica;
    server.eligible = i > 0;
  }
  view.primary = 0;
  BatchFacts batch;
  batch.cls = Class::kRead;
  const std::vector<std::uint32_t> outstanding(3);
  Load load{outstanding, 0};
  const auto before = Allocations();
  for (auto _ : state) {
    ++load.turn;
    benchmark::DoNotOptimize(Decide(batch, {}, view, {}, load, now));
  }
  Report(state, before);
}

void MachineRound(benchmark::State& state) {
  State session = Idle{};
  const auto before = Allocations();
  for (auto _ : state) {
    for (const Event& event : {Event(BatchReady{}), Event(Leased{}), Event(BatchDone{})}) session = Advance(session, event).next;
    benchmark::DoNotOptimize(session);
  }
  Report(state, before);
}

BENCHMARK(FrameReply);
BENCHMARK(LedgerOfQuery);
BENCHMARK(DecideRead);
BENCHMARK(MachineRound);

}  // namespace
}  // namespace waypost

BENCHMARK_MAIN();
