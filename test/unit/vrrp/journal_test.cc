#include "vrrp/journal.h"

#include <gtest/gtest.h>

namespace sluice::vrrp {
namespace {

using Kind = SpeakerNote::Kind;
using std::chrono::milliseconds;

config::VrrpInstance instance() {
  config::VrrpInstance out;
  out.name = "VI_1";
  out.interface = "lan";
  return out;
}

std::vector<std::string> lines(const SpeakerNote& note, const std::string& fault = {}) {
  std::vector<std::string> out;
  for (const auto& line : lines_of(note, instance(), fault)) out.push_back(line.text);
  return out;
}

using Lines = std::vector<std::string>;

// The first lines are keepalived's; the last one is ours.
TEST(Journal, SaysHowAnInstanceBecameMaster) {
  SpeakerNote note;
  note.from = State::backup;
  note.state = State::master;
  note.reason = Reason::master_silent;
  note.duration = milliseconds(3'648);
  EXPECT_EQ(lines(note), (Lines{"(VI_1) Receive advertisement timeout", "(VI_1) Entering MASTER STATE",
                                "(VI_1) is MASTER: no advert for 3.648 s"}));
}

TEST(Journal, MarksTheFirstStateOfAll) {
  SpeakerNote note;
  note.from = State::init;
  note.state = State::backup;
  EXPECT_EQ(lines(note), (Lines{"(VI_1) Entering BACKUP STATE (init)", "(VI_1) is BACKUP: started"}));
}

TEST(Journal, NamesTheFault) {
  SpeakerNote note;
  note.from = State::master;
  note.state = State::fault;
  note.reason = Reason::tracker;
  EXPECT_EQ(lines(note, "interface lan is down"),
            (Lines{"(VI_1) Entering FAULT STATE", "(VI_1) is FAULT: interface lan is down"}));
}

TEST(Journal, SaysWhatOtherRoutersWant) {
  SpeakerNote note;
  note.kind = Kind::higher_priority;
  note.state = State::backup;
  note.theirs = 90;
  note.ours = 80;
  note.peer = *base::IpAddress::parse("10.99.0.1");
  EXPECT_EQ(lines(note),
            Lines{"(VI_1) Master received advert from 10.99.0.1 with higher priority 90, ours 80"});
  note.theirs = 80;
  EXPECT_EQ(lines(note), Lines{"(VI_1) Master received advert from 10.99.0.1 with same priority 80 but "
                               "higher IP address than ours"});
  note.kind = Kind::lower_priority;
  note.state = State::master;
  note.theirs = 70;
  EXPECT_EQ(lines(note), Lines{"(VI_1) Received advert from 10.99.0.1 with lower priority 70, ours 80, "
                               "forcing new election"});
  note.kind = Kind::priority_zero;
  note.state = State::backup;
  EXPECT_EQ(lines(note), Lines{"(VI_1) Backup received priority 0 advertisement"});
}

TEST(Journal, NamesTheErrorOfASocket) {
  SpeakerNote note;
  note.kind = Kind::send_error;
  note.error = ENODEV;
  note.peer = *base::IpAddress::parse("224.0.0.18");
  EXPECT_EQ(lines(note), Lines{"(VI_1): send advert error 19 (No such device) to 224.0.0.18"});
}

TEST(Journal, CountsWhatItHeldBack) {
  SpeakerNote note;
  note.kind = Kind::refused;
  note.refusal = Refusal::ttl;
  note.peer = *base::IpAddress::parse("10.99.0.9");
  note.repeated = 17;
  const Lines said = lines(note);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_TRUE(said[0].starts_with("(VI_1) dropped advert from 10.99.0.9: ")) << said[0];
  EXPECT_TRUE(said[0].ends_with(" (17 of them since the last such line)")) << said[0];
}

TEST(Journal, NamesWhoHasOtherAddresses) {
  SpeakerNote note;
  note.kind = Kind::other_addresses;
  note.peer = *base::IpAddress::parse("10.99.0.9");
  EXPECT_EQ(lines(note), Lines{"(VI_1) 10.99.0.9 advertises other addresses than are configured here: give "
                               "both routers the same ones"});
}

}  // namespace
}  // namespace sluice::vrrp
