#include "swarm/arrivals.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sealcast::swarm {
namespace {

constexpr Instant k_start{1s};

// Numbers that a report says have come, and its first.
struct Told {
  std::uint16_t begin;
  std::vector<std::uint16_t> received;
};
Told told(Arrivals& arrivals, Instant now = k_start) {
  auto report = arrivals.report(now, 1, 2);
  Told out{report.begin, {}};
  for (std::size_t i = 0; i < report.reports.size(); ++i)
    if (report.reports[i].received) out.received.push_back(static_cast<std::uint16_t>(report.begin + i));
  return out;
}

TEST(Arrivals, AReportIsDueAfterThirtyTwoPacketsOrFiveMilliseconds) {
  Arrivals arrivals;
  EXPECT_EQ(arrivals.deadline(), k_never);
  EXPECT_FALSE(arrivals.pending());
  for (std::uint16_t n = 0; n < 31; ++n) (void)arrivals.record(k_start + Duration(n), n, true);
  EXPECT_EQ(arrivals.deadline(), k_start + 5ms);
  (void)arrivals.record(k_start, 31, true);
  EXPECT_EQ(arrivals.deadline(), Instant::min());
  (void)told(arrivals);
  EXPECT_EQ(arrivals.deadline(), k_never);
  (void)arrivals.record(k_start + 1s, 32, true);
  EXPECT_EQ(arrivals.deadline(), k_start + 1s + 5ms);
}

TEST(Arrivals, AReportRepeatsTheLastSixtyFourOfTheOneBefore) {
  Arrivals arrivals;
  for (std::uint16_t n = 100; n < 300; ++n) (void)arrivals.record(k_start, n, true);
  (void)told(arrivals);
  (void)arrivals.record(k_start, 301, true);
  auto t = told(arrivals);
  EXPECT_EQ(t.begin, 300 - 64);
  EXPECT_EQ(t.received.size(), 65u);
  EXPECT_EQ(t.received.back(), 301);
}

TEST(Arrivals, WhatComesLateIsReportedThough) {
  Arrivals arrivals;
  (void)arrivals.record(k_start, 100, true);
  for (std::uint16_t n = 102; n < 400; ++n) (void)arrivals.record(k_start, n, true);
  (void)told(arrivals);
  EXPECT_EQ(arrivals.record(k_start, 101, true), Arrival::taken);
  auto t = told(arrivals);
  EXPECT_LE(t.begin, 101);
  EXPECT_TRUE(std::find(t.received.begin(), t.received.end(), 101) != t.received.end());
}

TEST(Arrivals, WhatOvertookTheFirstIsReported) {
  Arrivals arrivals;
  (void)arrivals.record(k_start, 1000, true);
  EXPECT_EQ(arrivals.record(k_start, 990, true), Arrival::taken);
  EXPECT_EQ(told(arrivals).received, (std::vector<std::uint16_t>{990, 1000}));
}

TEST(Arrivals, NumbersGoOnBehindTheirEnd) {
  Arrivals arrivals;
  for (std::uint16_t n = 65534; n != 2; ++n) EXPECT_EQ(arrivals.record(k_start, n, true), Arrival::taken);
  EXPECT_EQ(told(arrivals).received, (std::vector<std::uint16_t>{65534, 65535, 0, 1}));
}

TEST(Arrivals, ANumberThatIsThereAlreadyIsTold) {
  Arrivals arrivals;
  (void)arrivals.record(k_start, 5, true);
  EXPECT_EQ(arrivals.record(k_start, 5, true), Arrival::again);
  EXPECT_EQ(arrivals.record(k_start, 5, false), Arrival::again);
}

TEST(Arrivals, TheStayIsCountedFromTheArrivalAndHasAnEnd) {
  Arrivals arrivals;
  (void)arrivals.record(k_start, 1, true);
  (void)arrivals.record(k_start + 100ms, 2, true);
  auto report = arrivals.report(k_start + 200ms, 1, 2);
  auto last = report.reports.size() - 1;
  EXPECT_EQ(report.reports[last].arrival_offset, 102);  // of 1/1024 s
  EXPECT_EQ(report.reports[last - 1].arrival_offset, 204);
  (void)arrivals.record(k_start + 1h, 3, true);
  report = arrivals.report(k_start + 2h, 1, 2);
  EXPECT_EQ(report.reports.back().arrival_offset, 0x1ffe);
}

TEST(Arrivals, AReportHasAtMost1024Lines) {
  Arrivals arrivals;
  for (std::uint32_t n = 0; n < 5000; ++n) (void)arrivals.record(k_start, static_cast<std::uint16_t>(n), true);
  auto report = arrivals.report(k_start, 1, 2);
  EXPECT_EQ(report.reports.size(), rtp::k_max_feedback_reports);
  EXPECT_EQ(static_cast<std::uint16_t>(report.begin + report.reports.size() - 1), 4999);
}

TEST(Arrivals, WhatIsTooOldIsTakenAndNotReported) {
  Arrivals arrivals;
  for (std::uint32_t n = 0; n < 5000; ++n) (void)arrivals.record(k_start, static_cast<std::uint16_t>(n), true);
  (void)told(arrivals);
  EXPECT_EQ(arrivals.record(k_start, 5000 - 2100, true), Arrival::taken);
  EXPECT_EQ(arrivals.record(k_start, 5000 - 2100, true), Arrival::taken);
  EXPECT_FALSE(arrivals.pending());
}

TEST(Arrivals, AJumpIsBelievedWhenTheNextNumberFollows) {
  Arrivals arrivals;
  EXPECT_EQ(arrivals.record(k_start, 100, false), Arrival::taken);
  for (int far : {20000, 700, 65000})
    EXPECT_EQ(arrivals.record(k_start, static_cast<std::uint16_t>(far), false), Arrival::implausible);
  auto report = arrivals.report(k_start, 1, 2);
  EXPECT_EQ(static_cast<std::uint16_t>(report.begin + report.reports.size() - 1), 100);
  EXPECT_EQ(arrivals.record(k_start, 612, false), Arrival::taken);
  EXPECT_EQ(arrivals.record(k_start, 20000, false), Arrival::implausible);
  EXPECT_EQ(arrivals.record(k_start, 20001, false), Arrival::taken);
  EXPECT_EQ(arrivals.record(k_start, 20000 + 3000, true), Arrival::taken);  // authentic
}

}  // namespace
}  // namespace sealcast::swarm
