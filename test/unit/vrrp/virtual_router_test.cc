#include "vrrp/virtual_router.h"

#include <gtest/gtest.h>

#include "test/unit/vrrp/router_fixture.h"

namespace sluice::test {
namespace {

constexpr Parameters kV3Params{.version = 3, .priority = 100, .advert_int = 250ms};

/// So many 256ths.
constexpr Duration parts(Duration whole, int n) {
  return whole * n / 256;
}

// Timers.

TEST(VirtualRouterTimers, Rfc3768_6_1_SkewTimeOfVersion2IsOfASecond) {
  EXPECT_EQ(vrrp::skew_time(2, 90, 5s), parts(1s, 166));
  EXPECT_EQ(vrrp::skew_time(2, 255, 1s), parts(1s, 1));
}

TEST(VirtualRouterTimers, Rfc9568_6_1_SkewTimeOfVersion3IsOfTheMastersInterval) {
  EXPECT_EQ(vrrp::skew_time(3, 90, 5s), parts(5s, 166));
  EXPECT_EQ(vrrp::skew_time(3, 254, 10ms), parts(10ms, 2));
}

TEST(VirtualRouterTimers, Rfc9568_6_1_MasterDownIsThreeIntervalsAndSkew) {
  EXPECT_EQ(vrrp::master_down_interval(2, 90, 1s, 3), 3s + 648'437'500ns) << "keepalived: 3.648 s";
  EXPECT_EQ(vrrp::master_down_interval(3, 100, 250ms, 3), 750ms + parts(250ms, 156));
}

TEST(VirtualRouterTimers, KeepalivedDownTimerAdvertsTakesThePlaceOfThree) {
  EXPECT_EQ(vrrp::master_down_interval(2, 90, 1s, 5), 5s + 648'437'500ns);
}

TEST(VirtualRouterTimers, TheLongestIntervalDoesNotOverflow) {
  EXPECT_EQ(vrrp::master_down_interval(3, 1, 40'950ms, 100), 40'950ms * 100 + parts(40'950ms, 255));
  EXPECT_EQ(vrrp::master_down_interval(2, 1, 255s, 100), 255s * 100 + parts(1s, 255));
}

// Start.

TEST(VirtualRouterInit, DoesNothingBeforeStart) {
  Router router;
  router.hear(200).hear(0).handle(vrrp::Timeout{}).wait(100s);
  EXPECT_EQ(router.state(), State::init);
  EXPECT_EQ(router.did(), "");
  EXPECT_FALSE(router->deadline());
}

TEST(VirtualRouterInit, Rfc9568_6_4_1_StartsAsBackupAndWaitsMasterDown) {
  Router router;
  router.start();
  EXPECT_EQ(router.did(), "init -> backup (started)");
  EXPECT_EQ(router.next(), 3s + parts(1s, 156));
  router.wait(*router.next() - 1ns);
  EXPECT_EQ(router.state(), State::backup);
  router.wait(1ns);
  EXPECT_EQ(router.did(), "send 100, take, announce full, backup -> master (silent)");
}

TEST(VirtualRouterInit, Rfc9568_6_4_1_TheOwnerStartsAsMaster) {
  Router router({.priority = 255, .start_as_master = true});
  router.start();
  EXPECT_EQ(router.did(), "send 255, take, announce full, init -> master (owner)");
}

TEST(VirtualRouterInit, KeepalivedStateMasterWaitsAllTheSameBelow255) {
  Router router({.priority = 254, .start_as_master = true});
  EXPECT_EQ(router.start().did(), "init -> backup (started)");
}

TEST(VirtualRouterInit, KeepalivedPriority255WithStateBackupWaits) {
  Router router({.priority = 255});
  EXPECT_EQ(router.start().did(), "init -> backup (started)");
  EXPECT_EQ(router.next(), 3s + parts(1s, 1));
}

TEST(VirtualRouterInit, AFaultAtTheStartIsAFault) {
  Router router;
  EXPECT_EQ(router.start(true).did(), "init -> fault (tracker)");
  EXPECT_FALSE(router.next());
}

TEST(VirtualRouterInit, StartupDelayComesBeforeMasterDown) {
  Router router({.startup_delay = 10s});
  EXPECT_EQ(router.start().did(), "init -> backup (startup_delay)");
  EXPECT_EQ(router.next(), 10s);
  router.wait(10s);
  EXPECT_EQ(router.did(), "backup -> backup (started)");
  EXPECT_EQ(router.next(), router->master_down());
}

TEST(VirtualRouterInit, StartupDelayHoldsTheOwnerToo) {
  Router router({.priority = 255, .start_as_master = true, .startup_delay = 10s});
  EXPECT_EQ(router.start().did(), "init -> backup (startup_delay)");
  EXPECT_EQ(router.wait(10s).did(), "send 255, take, announce full, backup -> master (owner)");
}

TEST(VirtualRouterInit, PriorityZeroDoesNotEndTheStartupDelay) {
  Router router({.startup_delay = 10s});
  router.start().did();
  router.hear(0).wait(9s);
  EXPECT_EQ(router.state(), State::backup);
  EXPECT_EQ(router.next(), 1s);
}

TEST(VirtualRouterInit, ASecondStartDoesNothing) {
  Router router;
  router.start_master();
  EXPECT_EQ(router.start(true).did(), "");
  EXPECT_EQ(router.state(), State::master);
}

// Backup.

class Backup : public testing::Test {
 protected:
  static Router backup(const Parameters& parameters = {}) {
    Router router(parameters);
    router.start().did();
    return router;
  }
};

TEST_F(Backup, Rfc9568_6_4_2_AHigherPriorityRestartsMasterDown) {
  Router router = backup();
  router.wait(3s).hear(101);
  EXPECT_EQ(router.next(), router->master_down());
  EXPECT_EQ(router.did(), "");
}

TEST_F(Backup, Rfc9568_6_4_2_TheSamePriorityRestartsMasterDownWhateverTheAddress) {
  for (const bool higher : {false, true}) {
    Router router = backup();
    router.wait(3s).hear(100, 1s, higher);
    EXPECT_EQ(router.next(), router->master_down());
  }
}

TEST_F(Backup, Rfc9568_6_4_2_ALowerPriorityIsDiscardedWhenItPreempts) {
  Router router = backup();
  router.wait(3s).hear(99);
  EXPECT_EQ(router.did(), "tell lower 99");
  EXPECT_EQ(router.next(), router->master_down() - 3s);
}

TEST_F(Backup, Rfc9568_6_4_2_ALowerPriorityRestartsMasterDownWithoutPreempt) {
  Router router = backup({.preempt = false});
  router.wait(3s).hear(1);
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Backup, Rfc9568_6_4_2_PriorityZeroUsesSkewTime) {
  Router router = backup(kV3Params);
  router.hear(200, 500ms).did();
  router.hear(0, 500ms);
  EXPECT_EQ(router.did(), "tell zero");
  EXPECT_EQ(router.next(), parts(500ms, 156)) << "of the master's interval";
  router.wait(1s);
  EXPECT_EQ(router.did().substr(0, 75),
            "send 100, take, announce full, backup -> master (stopped by its master), se");
}

TEST_F(Backup, Rfc3768_6_4_2_PriorityZeroUsesSkewTime) {
  Router router = backup({.priority = 80});
  router.hear(90).wait(200ms).hear(0);
  EXPECT_EQ(router.next(), parts(1s, 176)) << "keepalived: 0.69 s";
}

TEST_F(Backup, PriorityZeroOfTheMasterIsForgottenWhenAnotherIsHeard) {
  Router router = backup();
  router.hear(0).wait(100ms).hear(120);
  EXPECT_EQ(router.next(), router->master_down());
  router.did();
  router.wait(router->master_down());
  EXPECT_EQ(router->reason(), Reason::master_silent);
}

TEST_F(Backup, Rfc9568_6_4_2_AdoptsTheMastersInterval) {
  Router router = backup(kV3Params);
  router.hear(200, 2s);
  EXPECT_EQ(router.did(), "tell interval");
  EXPECT_EQ(router->master_advert_int(), 2s);
  EXPECT_EQ(router.next(), 6s + parts(2s, 156));
  EXPECT_EQ(router.hear(200, 2s).did(), "") << "told once";
  EXPECT_EQ(router.hear(200, 250ms).did(), "") << "as configured";
}

TEST_F(Backup, Rfc9568_6_4_2_ADiscardedAdvertsIntervalIsNotAdopted) {
  Router router = backup(kV3Params);
  router.hear(99, 2s);
  EXPECT_EQ(router->master_advert_int(), 250ms);
}

TEST_F(Backup, Version2KeepsItsOwnInterval) {
  Router router = backup();
  router.hear(200, 5s);
  EXPECT_EQ(router->master_advert_int(), 1s);
}

TEST_F(Backup, AnIntervalOfNothingDoesNotMakeItMasterAtOnce) {
  Router router = backup(kV3Params);
  router.hear(200, 0ms);
  EXPECT_GE(*router.next(), 30ms);
}

TEST_F(Backup, AsMasterItGoesByItsOwnIntervalAgain) {
  Router router = backup(kV3Params);
  router.hear(200, 2s).wait(router->master_down());
  EXPECT_EQ(router.state(), State::master);
  EXPECT_EQ(router->master_advert_int(), 250ms);
  EXPECT_EQ(router.next(), 250ms);
}

TEST_F(Backup, KeepalivedPreemptDelayBeginsWithALowerPriorityAdvert) {
  Router router = backup({.preempt_delay = 10s});
  router.wait(3s).hear(90);
  EXPECT_EQ(router.did(), "tell preempt delay");
  for (int i = 0; i < 9; ++i) {
    router.wait(1s).hear(90);
    EXPECT_EQ(router.did(), "");
    EXPECT_EQ(router.next(), router->master_down());
  }
  // The delay is over: from now on such adverts are discarded, and the last timer runs out.
  EXPECT_EQ(router.wait(1s).hear(90).did(), "tell lower 90");
  EXPECT_EQ(router.next(), router->master_down() - 1s);
  router.wait(1s).hear(90).wait(1s).hear(90).wait(1s);
  EXPECT_EQ(router.state(), State::master);
}

TEST_F(Backup, KeepalivedPreemptDelayDoesNotCountWhenNobodyIsHeard) {
  Router router = backup({.preempt_delay = 1'000s});
  router.wait(4s);
  EXPECT_EQ(router.state(), State::master);
}

TEST_F(Backup, KeepalivedPreemptDelayDoesNotPutOffADeadMastersSuccession) {
  Router router = backup({.preempt_delay = 1'000s});
  router.hear(90).wait(4s);
  EXPECT_EQ(router.state(), State::master);
}

TEST_F(Backup, KeepalivedPreemptDelayIsForgottenWhenAHigherPriorityIsHeard) {
  Router router = backup({.preempt_delay = 5s});
  router.hear(90).wait(2s).hear(110).wait(1s).did();
  EXPECT_EQ(router.hear(90).did(), "tell preempt delay") << "and begins anew";
  for (int i = 0; i < 4; ++i) router.wait(1s).hear(90);
  EXPECT_EQ(router.state(), State::backup);
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Backup, TheOwnerPreemptsWhateverIsConfigured) {
  Router router = backup({.priority = 255, .preempt = false});
  router.wait(2s).hear(254);
  EXPECT_EQ(router.next(), router->master_down() - 2s);
}

TEST_F(Backup, AnEarlyTimeoutDoesNothing) {
  Router router = backup();
  EXPECT_EQ(router.wait(3s).handle(vrrp::Timeout{}).did(), "");
  EXPECT_EQ(router.state(), State::backup);
}

TEST_F(Backup, WhatTrackersTakeAwayCountsInElectionAndSkew) {
  Router router = backup();
  router.handle(vrrp::PriorityChanged{60}).hear(99);
  EXPECT_EQ(router.did(), "");
  EXPECT_EQ(router.next(), 3s + parts(1s, 196));
}

// Master.

class Master : public testing::Test {
 protected:
  static Router master(const Parameters& parameters = {}) {
    Router router(parameters);
    router.start_master();
    EXPECT_EQ(router.state(), State::master);
    return router;
  }
};

TEST_F(Master, Rfc9568_6_4_3_SendsEachInterval) {
  Router router = master({.announce_delay = 0s});
  EXPECT_EQ(router.next(), 1s);
  EXPECT_EQ(router.wait(3s).did(), "send 100, send 100, send 100");
}

TEST_F(Master, KeepsStepThoughServedLate) {
  Router router = master({.announce_delay = 0s});
  router.sleep(1'300ms).handle(vrrp::Timeout{});
  EXPECT_EQ(router.did(), "send 100");
  EXPECT_EQ(router.next(), 700ms);
}

TEST_F(Master, SendsOnceAfterALongSleepAndAnnouncesAnew) {
  Router router = master({.announce_delay = 0s});
  router.sleep(60s).handle(vrrp::Timeout{});
  EXPECT_EQ(router.did(), "send 100, announce full");
  EXPECT_EQ(router.next(), 1s);
}

TEST_F(Master, AShortSleepIsNoReasonToAnnounce) {
  Router router = master({.announce_delay = 0s});
  router.sleep(2'900ms).handle(vrrp::Timeout{});
  EXPECT_EQ(router.did(), "send 100");
}

TEST_F(Master, Rfc9568_6_4_3_AnswersPriorityZeroAtOnce) {
  Router router = master();
  router.wait(300ms).did();
  EXPECT_EQ(router.hear(0).did(), "tell zero, send 100");
  EXPECT_EQ(router.next(), 1s) << "Adver_Timer is reset";
}

TEST_F(Master, Rfc9568_6_4_3_GivesWayToAHigherPriority) {
  Router router = master();
  EXPECT_EQ(router.hear(101).did(), "tell higher 101, release, master -> backup (higher)");
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Master, Rfc9568_6_4_3_GivesWayToTheSamePriorityOfAHigherAddress) {
  Router router = master();
  EXPECT_EQ(router.hear(100, 1s, true).did(), "tell higher 100, release, master -> backup (equal)");
}

TEST_F(Master, Rfc9568_6_4_3_AssertsItselfAgainstTheSamePriorityOfALowerAddress) {
  Router router = master();
  router.wait(300ms).did();
  EXPECT_EQ(router.hear(100, 1s, false).did(), "tell lower 100, send 100, announce lower_priority");
}

TEST_F(Master, Rfc9568_6_4_3_AnswersALowerPriorityAtOnce) {
  Router router = master();
  router.wait(300ms).did();
  EXPECT_EQ(router.hear(99).did(), "tell lower 99, send 100, announce lower_priority");
  EXPECT_EQ(router.next(), 1s);
}

TEST_F(Master, AnswersAFloodAtAPaceOfItsOwn) {
  Router router = master({.announce_delay = 0s, .lower_prio_announce_delay = 0s});
  for (int i = 0; i < 1'000; ++i) router.wait(1ms).hear(i % 2 == 0 ? 99 : 0);
  const std::string did = router.did();
  std::size_t sent = 0, bursts = 0;
  for (std::size_t at = 0; (at = did.find("send", at)) != std::string::npos; ++at) ++sent;
  for (std::size_t at = 0; (at = did.find("announce", at)) != std::string::npos; ++at) ++bursts;
  EXPECT_EQ(sent, 100U);
  EXPECT_EQ(bursts, 2U);
}

TEST_F(Master, AnAnswerThatIsTooSoonIsGivenAMomentLater) {
  Router router = master({.announce_delay = 0s});
  router.wait(1s).did();
  EXPECT_EQ(router.wait(4ms).hear(0).did(), "tell zero");
  EXPECT_EQ(router.next(), 6ms);
  EXPECT_EQ(router.wait(6ms).did(), "send 100");
}

TEST_F(Master, KeepalivedLowerPrioNoAdvertOnlyAnnounces) {
  Router router = master({.lower_prio_no_advert = true});
  router.wait(300ms).did();
  EXPECT_EQ(router.hear(99).did(), "tell lower 99, announce lower_priority");
  EXPECT_EQ(router.next(), 700ms);
}

TEST_F(Master, KeepalivedHigherPrioSendAdvertSendsOnceMore) {
  Router router = master({.higher_prio_send_advert = true});
  EXPECT_EQ(router.hear(101).did(), "tell higher 101, send 100, release, master -> backup (higher)");
  EXPECT_EQ(router.next(), router->master_down()) << "no Adver_Timer is left";
}

TEST_F(Master, Rfc9568_6_4_3_AdoptsTheIntervalOfWhomItGivesWayTo) {
  Router router = master(kV3Params);
  EXPECT_EQ(router.hear(200, 1s).did(), "tell higher 200, release, master -> backup (higher), tell interval");
  EXPECT_EQ(router.next(), 3s + parts(1s, 156));
}

TEST_F(Master, OfTwoOwnersTheLowerAddressGivesWay) {
  Router router({.priority = 255, .start_as_master = true});
  router.start().wait(300ms).did();
  EXPECT_EQ(router.hear(255, 1s, false).did(), "tell lower 255, send 255, announce lower_priority");
  EXPECT_EQ(router.hear(255, 1s, true).did(), "tell higher 255, release, master -> backup (equal)");
  EXPECT_EQ(router.next(), router->master_down()) << "and does not come back at once";
}

TEST_F(Master, KeepalivedAnnouncesAgainAfterTheDelay) {
  Router router = master();
  EXPECT_EQ(router.wait(5s).did(), "send 100, send 100, send 100, send 100, send 100, announce full");
  EXPECT_EQ(router.wait(1s).did(), "send 100") << "once";
}

TEST_F(Master, KeepalivedRefreshesAnnouncements) {
  Router router = master({.advert_int = 10s, .announce_delay = 0s, .announce_refresh = 4s});
  EXPECT_EQ(router.wait(9s).did(), "announce refresh, announce refresh");
}

TEST_F(Master, AnnouncesAgainAfterALowerPriorityAdvert) {
  Router router = master({.advert_int = 10s, .announce_delay = 0s, .lower_prio_announce_delay = 2s});
  router.wait(100ms).hear(50).did();
  EXPECT_EQ(router.wait(2s).did(), "announce lower_priority");
}

TEST_F(Master, AStreamOfLowerPriorityAdvertsDoesNotPutTheSecondBurstOff) {
  Router router = master({.advert_int = 100s, .announce_delay = 5s});
  for (int i = 0; i < 4; ++i) router.wait(1s).hear(50);
  router.did();
  EXPECT_EQ(router.wait(1s).did(), "announce full");
}

TEST_F(Master, NoTimerOfTheMasterOutlivesIt) {
  Router router = master({.announce_refresh = 1s});
  router.hear(200).did();
  for (int i = 0; i < 20; ++i) router.wait(1s).hear(200);
  EXPECT_EQ(router.did(), "");
}

TEST_F(Master, TrackersLowerWhatItSends) {
  Router router = master({.announce_delay = 0s});
  router.handle(vrrp::PriorityChanged{70});
  EXPECT_EQ(router.wait(1s).did(), "send 70");
  EXPECT_EQ(router.hear(71).state(), State::backup);
}

TEST_F(Master, KeepalivedTrackersStayWithin1And254) {
  Router router = master({.announce_delay = 0s});
  EXPECT_EQ(router.handle(vrrp::PriorityChanged{0})->effective_priority(), 1);
  EXPECT_EQ(router.handle(vrrp::PriorityChanged{255})->effective_priority(), 254);
}

TEST_F(Master, KeepalivedTrackersDoNotTouchAnOwner) {
  Router router({.priority = 255, .start_as_master = true});
  EXPECT_EQ(router.start().handle(vrrp::PriorityChanged{40})->effective_priority(), 255);
}

// Fault, yield, stop.

TEST_F(Master, AFaultGivesTheAddressesUpBeforePriorityZeroIsSent) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{true}).did(), "release, send 0, master -> fault (tracker)");
  EXPECT_FALSE(router.next());
  EXPECT_EQ(router.hear(1).hear(0).wait(100s).did(), "");
}

TEST_F(Master, RecoversFromAFaultAsABackup) {
  Router router = master();
  router.handle(vrrp::FaultChanged{true}).wait(10s).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "fault -> backup (recovered)");
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Master, ARepeatedFaultIsToldOnce) {
  Router router = master();
  router.handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{true}).did(), "");
}

TEST_F(Master, ARecoveryWithoutAFaultDoesNothing) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "");
  EXPECT_EQ(router.state(), State::master);
}

TEST_F(Master, AnOwnerThatRecoversIsMasterAtOnce) {
  Router router({.priority = 255, .start_as_master = true});
  router.start().handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(),
            "send 255, take, announce full, fault -> master (owner)");
}

TEST_F(Backup, AFaultOfABackupSendsNothing) {
  Router router = backup();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{true}).did(), "backup -> fault (tracker)");
}

TEST_F(Backup, StartupDelayCountsAgainWhenTheLinkCameUp) {
  Router router = backup({.startup_delay = 10s});
  router.wait(10s).handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false, true}).did(), "fault -> backup (startup_delay)");
  EXPECT_EQ(router.next(), 10s);
  router.wait(4s).handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false, false}).did(), "fault -> backup (startup_delay)");
  EXPECT_EQ(router.next(), 6s) << "it has gone on to count";
  router.wait(6s).handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false, false}).did(), "fault -> backup (recovered)")
      << "but a script does not begin it";
}

TEST_F(Backup, StartupDelayCountsFromTheStartThoughThatWasAFault) {
  Router router({.startup_delay = 10s});
  router.start(true).wait(4s).did();  // as with `sluice run`: the data plane is not there yet
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "fault -> backup (startup_delay)");
  EXPECT_EQ(router.next(), 6s);
}

TEST_F(Master, YieldsUntilItIsResumed) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::Yield{}).did(), "release, send 0, master -> backup (yielded)");
  EXPECT_TRUE(router->yielded());
  EXPECT_EQ(router.hear(1).hear(0).wait(1'000s).did(), "") << "also when nobody else is there";
  EXPECT_EQ(router.handle(vrrp::Resume{}).did(), "backup -> backup (resumed)");
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Master, ASecondYieldDoesNothing) {
  Router router = master();
  router.handle(vrrp::Yield{}).did();
  EXPECT_EQ(router.handle(vrrp::Yield{}).did(), "");
}

TEST_F(Master, ResumeWithoutYieldDoesNothing) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::Resume{}).did(), "");
  EXPECT_EQ(router.state(), State::master);
}

TEST_F(Master, AnOwnerThatIsResumedIsMasterAtOnce) {
  Router router({.priority = 255, .start_as_master = true});
  router.start().handle(vrrp::Yield{}).did();
  EXPECT_EQ(router.handle(vrrp::Resume{}).did(), "send 255, take, announce full, backup -> master (owner)");
}

TEST_F(Backup, AYieldOutlastsAFault) {
  Router router = backup();
  router.handle(vrrp::Yield{}).handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "fault -> backup (yielded)");
  EXPECT_EQ(router.wait(100s).did(), "");
}

TEST_F(Backup, AYieldBeforeTheStartHolds) {
  Router router;
  router.handle(vrrp::Yield{});
  EXPECT_EQ(router.start().did(), "init -> backup (yielded)");
  EXPECT_FALSE(router.next());
}

TEST_F(Backup, AYieldedOneStillLearnsTheMastersInterval) {
  Router router = backup(kV3Params);
  router.handle(vrrp::Yield{}).hear(1, 2s);
  EXPECT_EQ(router->master_advert_int(), 2s);
  EXPECT_FALSE(router.next());
}

TEST_F(Backup, AResumeDuringTheStartupDelayWaitsForIt) {
  Router router = backup({.startup_delay = 10s});
  router.handle(vrrp::Yield{}).wait(2s).did();
  EXPECT_EQ(router.handle(vrrp::Resume{}).did(), "backup -> backup (startup_delay)");
  EXPECT_EQ(router.next(), 8s);
}

TEST_F(Backup, AYieldedOnesStartupDelayPasses) {
  Router router = backup({.startup_delay = 10s});
  router.handle(vrrp::Yield{}).wait(20s).did();
  EXPECT_FALSE(router.next());
  EXPECT_EQ(router.handle(vrrp::Resume{}).did(), "backup -> backup (resumed)");
}

TEST_F(Master, Rfc9568_6_4_3_StopSendsPriorityZero) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::Stop{}).did(), "release, send 0, master -> init (stopped)");
  EXPECT_FALSE(router.next());
  EXPECT_EQ(router.hear(1).handle(vrrp::FaultChanged{true}).wait(100s).did(), "");
}

TEST_F(Backup, Rfc9568_6_4_2_StopSendsNothing) {
  Router router = backup();
  EXPECT_EQ(router.handle(vrrp::Stop{}).did(), "backup -> init (stopped)");
  EXPECT_FALSE(router.next());
}

TEST_F(Backup, MayBeStartedAgain) {
  Router router = backup();
  router.handle(vrrp::Stop{}).did();
  EXPECT_EQ(router.start().did(), "init -> backup (started)");
}

// Sync groups.

TEST_F(Backup, InAGroupOnlyWantsToBeMaster) {
  Router router = backup({.in_group = true});
  EXPECT_EQ(router.wait(100s).did(), "");
  EXPECT_TRUE(router->wants_master());
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::master}).did(),
            "send 100, take, announce full, backup -> master (silent)");
  EXPECT_FALSE(router->wants_master());
}

TEST_F(Backup, InAGroupWantsNoMoreWhenAMasterIsHeard) {
  Router router = backup({.in_group = true});
  router.wait(4s).hear(50);
  EXPECT_TRUE(router->wants_master()) << "that one would not be obeyed";
  router.hear(150);
  EXPECT_FALSE(router->wants_master());
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Backup, FollowsItsGroupBeforeItsOwnTimer) {
  Router router = backup({.in_group = true});
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::master}).did(),
            "send 100, take, announce full, backup -> master (group)");
}

TEST_F(Backup, DoesNotFollowItsGroupWhileYielded) {
  Router router = backup({.in_group = true});
  router.handle(vrrp::Yield{}).did();
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::master}).did(), "");
}

TEST_F(Backup, AnOwnerInAGroupWantsToBeMasterAtOnce) {
  Router router = backup({.priority = 255, .start_as_master = true, .in_group = true});
  EXPECT_EQ(router.state(), State::backup);
  EXPECT_TRUE(router->wants_master());
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::master})->reason(), Reason::owner);
}

TEST_F(Master, FollowsItsGroupDownWithPriorityZero) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::backup}).did(),
            "release, send 0, master -> backup (group)");
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Master, FollowsItsGroupIntoFaultAndBack) {
  Router router = master();
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::fault}).did(), "release, send 0, master -> fault (group)");
  EXPECT_FALSE(router->faulty());
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::backup}).did(), "fault -> backup (recovered)");
}

TEST_F(Master, StaysInFaultUntilItselfAndItsGroupAreWell) {
  Router router = master();
  router.handle(vrrp::GroupBecame{State::fault}).handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "fault -> fault (group)");
  router.handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::GroupBecame{State::backup}).did(), "");
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "fault -> backup (recovered)");
}

// Reload.

TEST_F(Master, AReloadLeavesItMaster) {
  Router router = master({.announce_delay = 0s});
  EXPECT_EQ(router.handle(vrrp::Reconfigure{{.priority = 120, .announce_delay = 0s}}).did(), "");
  EXPECT_EQ(router.state(), State::master);
  EXPECT_EQ(router.wait(1s).did(), "send 120");
}

TEST_F(Master, AReloadKeepsWhatTrackersTook) {
  Router router = master();
  router.handle(vrrp::PriorityChanged{80}).handle(vrrp::Reconfigure{{.priority = 150}});
  EXPECT_EQ(router->effective_priority(), 130);
}

TEST_F(Master, AShorterIntervalBeginsAtOnce) {
  Router router = master({.version = 3, .advert_int = 10s, .announce_delay = 0s});
  router.handle(vrrp::Reconfigure{{.version = 3, .advert_int = 100ms}});
  EXPECT_EQ(router.next(), 100ms);
}

TEST_F(Backup, ReloadsInARowDoNotPutTheTakeoverOff) {
  Router router = backup();
  const Duration down = router->master_down();
  for (int i = 0; i < 3; ++i) router.wait(1s).handle(vrrp::Reconfigure{{.advert_int = 1s}});
  EXPECT_EQ(router.next(), down - 3s);
  router.handle(vrrp::Reconfigure{{.advert_int = 2s}});
  EXPECT_EQ(router.next(), down) << "three seconds more to wait";
}

TEST_F(Backup, AReloadKeepsTheIntervalLearned) {
  Router router = backup(kV3Params);
  router.hear(200, 2s).handle(vrrp::Reconfigure{{.version = 3, .advert_int = 500ms}});
  EXPECT_EQ(router->master_advert_int(), 2s);
}

TEST_F(Backup, AReloadWaitsAsLongAsItsMasterNeeds) {
  Router router = backup(kV3Params);
  router.hear(200, kV3Params.advert_int);
  const Duration down = router->master_down();
  router.handle(vrrp::Reconfigure{{.version = 3, .advert_int = 100ms}});
  EXPECT_EQ(router->master_advert_int(), kV3Params.advert_int) << "though it was as ours until now";
  EXPECT_EQ(router.next(), down);
  router.hear(200, 100ms);  // it was reloaded, too
  EXPECT_LT(router.next(), 500ms);
}

TEST_F(Backup, AReloadWhileNobodyIsHeardIsOfOurInterval) {
  Router router = backup(kV3Params);
  router.handle(vrrp::Reconfigure{{.version = 3, .advert_int = 100ms}});
  EXPECT_EQ(router->master_advert_int(), 100ms);
  EXPECT_LT(router.next(), 500ms);
}

TEST_F(Backup, OutOfTheGroupItsFaultIsForgotten) {
  Router router = backup({.in_group = true});
  router.handle(vrrp::GroupBecame{State::fault}).did();
  EXPECT_EQ(router.handle(vrrp::Reconfigure{{}}).did(), "fault -> backup (recovered)");
  EXPECT_EQ(router.next(), router->master_down());
}

TEST_F(Backup, OutOfTheGroupItsOwnFaultStays) {
  Router router = backup({.in_group = true});
  router.handle(vrrp::GroupBecame{State::fault}).handle(vrrp::FaultChanged{true}).did();
  EXPECT_EQ(router.handle(vrrp::Reconfigure{{}}).state(), State::fault);
  EXPECT_EQ(router.handle(vrrp::FaultChanged{false}).did(), "fault -> backup (recovered)");
}

TEST_F(Backup, OutOfTheGroupTheWaitingMemberIsMaster) {
  Router router = backup({.in_group = true});
  router.wait(10s);
  EXPECT_EQ(router.handle(vrrp::Reconfigure{{}}).did(),
            "send 100, take, announce full, backup -> master (silent)");
}

}  // namespace
}  // namespace sluice::test
