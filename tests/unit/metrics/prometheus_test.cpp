// SPDX-License-Identifier: Apache-2.0
#include "exporters/metrics/prometheus.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/http_client.h"

namespace keytrail::metrics {
namespace {

using ::testing::HasSubstr;

class OneMetric final : public MetricSource {
 public:
  std::vector<Metric> collect() override {
    Metric out{.name = "keytrail.uses", .unit = "{use}", .help = "Uses\\ of\nkeys."};
    out.points.push_back({.labels = {{"keytrail.key.kind", "a\"b\\c\nd"}}, .value = 1234567});
    out.points.push_back({.labels = {}, .value = 2, .overflow = true});
    return {out,
            {.name = "keytrail.history.size",
             .unit = "By",
             .help = "Size.",
             .kind = Metric::Kind::kGauge,
             .points = {{.value = 0.5}}}};
  }
};

TEST(Prometheus, TheTextIsAsTheFormatAsks) {
  OneMetric source;
  EXPECT_EQ(prometheus_text(source.collect()),
            "# HELP keytrail_uses_total Uses\\\\ of\\nkeys.\n"
            "# TYPE keytrail_uses_total counter\n"
            "keytrail_uses_total{keytrail_key_kind=\"a\\\"b\\\\c\\nd\"} 1234567\n"
            "keytrail_uses_total{otel_metric_overflow=\"true\"} 2\n"
            "# HELP keytrail_history_size_bytes Size.\n"
            "# TYPE keytrail_history_size_bytes gauge\n"
            "keytrail_history_size_bytes 0.5\n");
}

Result<base::HttpResponse> get(const PrometheusPort& port, const std::string& path, const std::string& method = "GET") {
  auto client = base::HttpClient::create(*base::HttpTarget::parse("http://127.0.0.1:" + std::to_string(port.port())),
                                         {}, 1U << 20U);
  return (*client)->send({.method = method, .path = path, .headers = {}, .body = {}, .on_body = {}});
}

TEST(Prometheus, MetricsAreServedAndNothingElse) {
  OneMetric source;
  const auto port = PrometheusPort::listen("127.0.0.1:0", source);
  ASSERT_TRUE(port) << port.error().message;
  const auto answer = get(**port, "/metrics");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200U);
  EXPECT_EQ(answer->header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(answer->body, prometheus_text(source.collect()));
  EXPECT_EQ(get(**port, "/metrics?x=1")->status, 200U);
  EXPECT_EQ(get(**port, "/")->status, 404U);
  EXPECT_EQ(get(**port, "/metrics", "POST")->status, 405U);
}

TEST(Prometheus, AClientThatSaysNothingHoldsUpNeitherOthersForLongNorStop) {
  OneMetric source;
  auto port = PrometheusPort::listen("127.0.0.1:0", source);
  ASSERT_TRUE(port);
  const base::UniqueFd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons((*port)->port());
  ASSERT_EQ(::connect(silent.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  EXPECT_EQ(get(**port, "/metrics")->status, 200U);
  const base::UniqueFd again(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(again.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  const auto begin = std::chrono::steady_clock::now();
  port->reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

TEST(Prometheus, AnAddressThatCannotBeUsedIsAnError) {
  OneMetric source;
  for (const char* address : {"", "9477", "localhost:9477", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999"}) {
    const auto port = PrometheusPort::listen(address, source);
    ASSERT_FALSE(port) << address;
    EXPECT_THAT(port.error().message, HasSubstr("prometheus.listen"));
  }
}

TEST(Prometheus, AnAddressThatIsTakenIsTriedAgain) {
  OneMetric source;
  auto first = PrometheusPort::listen("127.0.0.1:0", source);
  ASSERT_TRUE(first);
  const auto second =
      PrometheusPort::listen("127.0.0.1:" + std::to_string((*first)->port()), source, std::chrono::milliseconds(10));
  ASSERT_TRUE(second);
  EXPECT_THAT((*second)->problem(), HasSubstr("Address already in use"));
  first->reset();
  for (int i = 0; i < 2000 && !(*second)->problem().empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_EQ((*second)->problem(), "");
  EXPECT_EQ(get(**second, "/metrics")->status, 200U);
}

}  // namespace
}  // namespace keytrail::metrics
