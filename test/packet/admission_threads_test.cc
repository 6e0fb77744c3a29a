// Limits and the queue with workers that really run at the same time.
#include <array>
#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "dp/admission.h"
#include "test/packet/world.h"

namespace sluice::test {
namespace {

constexpr Family F = Family::v4;
constexpr unsigned kWorkers = 4;
constexpr std::uint32_t kMaxconn = 5;
constexpr unsigned kConnections = 10'000;  // of each worker

/// What the servers see: connections at one time, never more of them than sluice counts.
struct ServerSide {
  std::array<std::atomic<std::uint32_t>, 3> open{};
  std::atomic<std::uint32_t> most{0};
  std::atomic<std::uint64_t> served{0};

  void begin(unsigned server) {
    const std::uint32_t now_open = open[server].fetch_add(1) + 1;
    std::uint32_t before = most.load();
    while (before < now_open && !most.compare_exchange_weak(before, now_open)) {
    }
    ++served;
  }
  void end(unsigned server) { --open[server]; }
};

/// One worker and its clients, in a thread of their own.
class Thread {
 public:
  Thread(Balancer& b, unsigned id, ServerSide& servers)
      : b_(b), w_(b.worker(id)), id_(id), servers_(servers) {}

  void run() {
    for (unsigned n = 0; n < kConnections; ++n) {
      const unsigned client = n * kWorkers + id_;
      (void)send(from_client<F>(Net<F>::client(client), Net<F>::vip()).tcp(7, kPort, SYN).seq(1).bytes(),
                 client);
      if (open_.size() > 2 + n % 3) end_one();
      serve_queue();
    }
    while (!open_.empty() || w_.syns.queued() != 0) {
      if (!open_.empty()) end_one();
      serve_queue();
    }
  }

 private:
  struct Open {
    unsigned client, server;
  };
  dp::Packet frame(const Bytes& bytes, std::uint16_t in_port) {
    buffer_.assign(Balancer::kHeadroom, std::byte{});
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    dp::Packet p;
    p.bytes = std::span(buffer_).subspan(Balancer::kHeadroom);
    p.frame_length = static_cast<std::uint32_t>(bytes.size());
    p.headroom = Balancer::kHeadroom;
    p.in_port = in_port;
    return p;
  }
  void note(const dp::Packet& p, unsigned client) {
    if (p.verdict != Verdict::forward) return;
    const unsigned server = number_of_server<F>(see(p.bytes).dst);
    servers_.begin(server);
    open_.push_back({client, server});
  }
  Verdict send(const Bytes& bytes, unsigned client) {
    dp::Packet p = frame(bytes, 0);
    dp::process_burst({&p, 1}, dp::Origin::worker, b_.snapshot(), w_, b_.now());
    note(p, client);
    return p.verdict;
  }
  void end_one() {
    const Open o = open_.front();
    open_.pop_front();
    servers_.end(o.server);
    dp::Packet p =
        frame(from_client<F>(Net<F>::client(o.client), Net<F>::vip()).tcp(7, kPort, RST).seq(2).bytes(), 0);
    dp::process_burst({&p, 1}, dp::Origin::worker, b_.snapshot(), w_, b_.now());
    EXPECT_EQ(p.verdict, Verdict::forward);
  }
  void serve_queue() {
    for (int budget = 0; budget < 8; ++budget) {
      const dp::DueSyn due = dp::next_due(b_.snapshot(), w_, b_.now());
      if (due.slot == dp::kNoIndex) return;
      const auto& syn = w_.syns.at(due.slot);
      const unsigned client = syn.key<F>().src.value.host() - Net<F>::client(0).value.host();
      const auto bytes = syn.bytes();
      dp::Packet p = frame(Bytes(bytes.begin(), bytes.end()), syn.in_port);
      dp::run_stored(p, due, b_.snapshot(), w_, b_.now());
      note(p, client);
    }
  }

  Balancer& b_;
  dp::WorkerState& w_;
  unsigned id_;
  ServerSide& servers_;
  std::deque<Open> open_;
  Bytes buffer_;
};

TEST(AdmissionThreads, LimitHoldsAndEverybodyIsServed) {
  Balancer::Options options;
  options.workers = kWorkers;
  options.limits.half_open_per_worker = 40'000;
  options.limits.flows_per_worker = 50'000;
  Balancer b(options);
  auto service = web<F>(3);
  service.syn_cookies = config::SynCookies::off;  // thousands wait on purpose
  service.source_ports = {1'024, 65'535};
  for (auto& server : service.servers) server.maxconn = kMaxconn;
  b.configure({service});
  ServerSide servers;
  std::vector<std::thread> threads;
  for (unsigned id = 0; id < kWorkers; ++id) {
    threads.emplace_back([&, id] { Thread(b, id, servers).run(); });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(servers.most.load(), kMaxconn) << "reached, and never exceeded";
  EXPECT_EQ(servers.served.load(), std::uint64_t{kWorkers} * kConnections);
  EXPECT_EQ(b.load().open.taken(), 0U);
  EXPECT_EQ(b.load().services[0].waiting.taken(), 0U);
}

}  // namespace
}  // namespace sluice::test
