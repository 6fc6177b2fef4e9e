// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/cloud_instance.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "agent/base/http_client.h"
#include "agent/base/small_file.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxAnswer = 4'096;  // bytes; the longest that is asked for has a few hundred
constexpr std::size_t kMaxValue = 255;

/// What of an answer is the value.
enum class Take : std::uint8_t {
  kWhole,
  kLast,     ///< what stands behind the last '/': "projects/12/zones/us-central1-a"
  kProfile,  ///< the ARN of the instance profile in a JSON object
};

struct Value {
  const char* fact;
  const char* path;
  Take take = Take::kWhole;
};

struct Provider {
  std::string_view mode;                        ///< as identity.cloud has it
  const char* name;                             ///< cloud.provider of the conventions
  std::array<const char*, 2> urls;              ///< documented addresses of the link
  std::pair<const char*, const char*> header;   ///< that every request must have; AWS: the token's
  std::pair<const char*, const char*> answers;  ///< that an answer has; null = none
  std::array<Value, 6> values;                  ///< host.id first: without it the rest is not believed
};

constexpr const char* kNone = nullptr;
constexpr Provider kProviders[] = {
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html. Not the instance identity
    // document: some take it for a credential. Nor the name of the role, which stands where its keys are.
    {"aws",
     "aws",
     {"http://169.254.169.254", "http://[fd00:ec2::254]"},
     {"X-aws-ec2-metadata-token", kNone},
     {},
     {{{fact::kHostId, "/latest/meta-data/instance-id"},
       {fact::kHostType, "/latest/meta-data/instance-type"},
       {fact::kCloudRegion, "/latest/meta-data/placement/region"},
       {fact::kCloudZone, "/latest/meta-data/placement/availability-zone"},
       {fact::kCloudAccount, "/latest/meta-data/network/interfaces/macs/{}/owner-id"},
       {fact::kCloudIdentity, "/latest/meta-data/iam/info", Take::kProfile}}}},
    // https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
    {"gcp",
     "gcp",
     {"http://169.254.169.254", "http://[fd20:ce::254]"},
     {"Metadata-Flavor", "Google"},
     {"Metadata-Flavor", "Google"},
     {{{fact::kHostId, "/computeMetadata/v1/instance/id"},
       {fact::kHostType, "/computeMetadata/v1/instance/machine-type", Take::kLast},
       {fact::kCloudZone, "/computeMetadata/v1/instance/zone", Take::kLast},
       {fact::kCloudAccount, "/computeMetadata/v1/project/project-id"},
       {fact::kCloudIdentity, "/computeMetadata/v1/instance/service-accounts/default/email"},
       {kNone, kNone}}}},
    // https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
    {"azure",
     "azure",
     {"http://169.254.169.254", kNone},
     {"Metadata", "true"},
     {},
     {{{fact::kHostId, "/metadata/instance/compute/vmId?api-version=2021-02-01&format=text"},
       {fact::kHostType, "/metadata/instance/compute/vmSize?api-version=2021-02-01&format=text"},
       {fact::kCloudRegion, "/metadata/instance/compute/location?api-version=2021-02-01&format=text"},
       {fact::kCloudZone, "/metadata/instance/compute/zone?api-version=2021-02-01&format=text"},
       {fact::kCloudAccount, "/metadata/instance/compute/subscriptionId?api-version=2021-02-01&format=text"},
       {kNone, kNone}}}},
    // https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm; the word is no credential
    {"oci",
     "oracle_cloud",
     {"http://169.254.169.254", "http://[fd00:c1::a9fe:a9fe]"},
     {"Authorization", "Bearer Oracle"},
     {},
     {{{fact::kHostId, "/opc/v2/instance/id"},
       {fact::kHostType, "/opc/v2/instance/shape"},
       {fact::kCloudRegion, "/opc/v2/instance/canonicalRegionName"},
       {fact::kCloudZone, "/opc/v2/instance/availabilityDomain"},
       {fact::kCloudAccount, "/opc/v2/instance/tenantId"},
       {kNone, kNone}}}},
};

/// A name or number as clouds give them; nothing that is to be shown may be anything else.
bool is_value(std::string_view text) {
  constexpr std::string_view kMarks = "._:/@+=,-";
  return !text.empty() && text.size() <= kMaxValue && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kMarks.contains(c);
  });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  return text;
}

std::string profile_in(std::string_view body) {
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(body, error);
  const boost::json::object* object = error ? nullptr : parsed.if_object();
  const boost::json::value* arn = object == nullptr ? nullptr : object->if_contains("InstanceProfileArn");
  return arn != nullptr && arn->is_string() ? std::string(arn->get_string()) : std::string();
}

/// Empty: it is not what was asked for.
std::string value_in(std::string_view body, Take take) {
  std::string out(trimmed(body));
  if (take == Take::kProfile) out = profile_in(body);
  if (take == Take::kLast) out.erase(0, out.rfind('/') + 1);
  return is_value(out) ? out : std::string();
}

/// One connection to the service.
class Service {
 public:
  Service(const Provider& provider, base::HttpClient& client, std::chrono::milliseconds timeout)
      : provider_(provider),
        client_(client),
        timeout_(timeout),
        header_(provider.header.second ? provider.header.second : "") {}
  ~Service() { ::explicit_bzero(header_.data(), header_.size()); }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// All that the machine is, or why that is not known.
  Result<std::vector<Fact>> ask(std::uint64_t& refused) {
    if (auto opened = open(); !opened) return std::unexpected(opened.error());
    std::vector<Fact> out;
    for (const Value& one : provider_.values) {
      if (one.path == nullptr) continue;
      const Result<std::string> path = path_of(one);
      Result<base::HttpResponse> answer = path ? get(*path) : std::unexpected(path.error());
      const bool first = out.empty();
      const Error::Code failed = answer ? Error::Code::kInvalid : answer.error().code;
      if (!answer && (first || (failed != Error::Code::kInvalid && failed != Error::Code::kTooLarge)))
        return std::unexpected(answer.error());  // what is only missing, or no value, leaves the others as they are
      std::string value = answer ? value_in(answer->body, one.take) : std::string();
      if (value.empty() && first) return fail(Error::Code::kInvalid, "it gives no id of an instance");
      if (value.empty()) {
        if (answer ? !trimmed(answer->body).empty() : failed == Error::Code::kTooLarge) ++refused;
        continue;
      }
      if (first) out.push_back({fact::kCloudProvider, provider_.name, KnownBy::kClaimed});
      out.push_back({one.fact, std::move(value), KnownBy::kClaimed});
    }
    add_region(out);
    return out;
  }

 private:
  /// AWS wants a token first. It is good for seconds only: what the client leaves of it in memory opens nothing.
  Result<void> open() {
    if (provider_.header.second != nullptr) return {};
    Result<base::HttpResponse> answer = send(
        {.method = "PUT", .path = "/latest/api/token", .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "10"}}});
    if (!answer) return std::unexpected(answer.error());
    header_ = trimmed(answer->body);
    ::explicit_bzero(answer->body.data(), answer->body.size());
    if (is_value(header_)) return {};
    return fail(Error::Code::kInvalid, "it gives no IMDSv2 token");
  }

  Result<std::string> path_of(const Value& one) {
    const std::string_view path = one.path;
    const std::size_t gap = path.find("{}");
    if (gap == std::string_view::npos) return std::string(path);
    Result<base::HttpResponse> mac = get("/latest/meta-data/mac");
    if (!mac) return std::unexpected(mac.error());
    const std::string_view text = trimmed(mac->body);
    constexpr std::size_t kMac = 17;
    if (text.size() != kMac || text.find_first_not_of("0123456789abcdef:") != std::string_view::npos)
      return fail(Error::Code::kInvalid, "it gives no address of an interface");
    return std::string(path.substr(0, gap)).append(text).append(path.substr(gap + 2));
  }

  Result<base::HttpResponse> get(const std::string& path) {
    Result<base::HttpResponse> answer = send({.path = path, .headers = {{provider_.header.first, header_}}});
    if (answer && provider_.answers.first != nullptr &&
        answer->header(provider_.answers.first) != provider_.answers.second)
      return fail(Error::Code::kInvalid, "something else answers there");
    return answer;
  }

  Result<base::HttpResponse> send(base::HttpRequest request) {
    request.timeout = request.connect_timeout = timeout_;
    Result<base::HttpResponse> answer = client_.send(request);
    if (!answer && answer.error().code == Error::Code::kTooLarge)
      return fail(Error::Code::kTooLarge, "its answer is too long");
    constexpr unsigned kOk = 200, kMissing = 404;  // Google's default account, AWS's profile
    if (answer && answer->status != kOk)
      return fail(answer->status == kMissing ? Error::Code::kInvalid : Error::Code::kUnavailable,
                  fmt::format("it answers HTTP {}", answer->status));
    return answer;
  }

  /// Google's has none of its own: "us-central1" of "us-central1-a".
  static void add_region(std::vector<Fact>& facts) {
    const auto find = [&](std::string_view name) { return std::ranges::find(facts, name, &Fact::name); };
    const auto zone = find(fact::kCloudZone);
    if (zone == facts.end() || find(fact::kCloudRegion) != facts.end()) return;
    const std::size_t mark = zone->value.rfind('-');
    if (mark != std::string::npos && mark > 0)
      facts.push_back({fact::kCloudRegion, zone->value.substr(0, mark), KnownBy::kClaimed});
  }

  const Provider& provider_;
  base::HttpClient& client_;
  const std::chrono::milliseconds timeout_;
  std::string header_;
};

class CloudInstance final : public IdentitySource {
 public:
  CloudInstance(const Provider& provider, CloudTimes times) : provider_(provider), times_(std::move(times)) {
    if (!times_.urls.empty()) return;
    for (const char* url : provider.urls) {
      if (url != nullptr) times_.urls.emplace_back(url);
    }
  }
  ~CloudInstance() override {
    thread_.request_stop();
    const std::lock_guard lock(mutex_);
    if (client_) client_->cancel();
  }
  CloudInstance(const CloudInstance&) = delete;
  CloudInstance& operator=(const CloudInstance&) = delete;

  void start(IdentitySink& sink) override {
    thread_ = std::jthread([this, &sink](const std::stop_token& stop) { run(stop, sink); });
  }
  [[nodiscard]] std::string remark() const override {
    const std::lock_guard lock(mutex_);
    return remark_;
  }
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override {
    const std::lock_guard lock(mutex_);
    return {{"cloud_answers_refused", refused_}};
  }

 private:
  void run(const std::stop_token& stop, IdentitySink& sink) {
    for (std::size_t tried = 0; !stop.stop_requested(); ++tried) {
      std::string why;
      for (const std::string& url : times_.urls) {
        Result<std::vector<Fact>> facts = ask(stop, url);
        if (facts) {
          tell("");
          return sink.post({kThisMachine, *std::move(facts)});
        }
        why = facts.error().message;
      }
      tell(fmt::format(
          "the metadata service of {} tells nothing ({}): cloud.* and host.* are not known; in a pod it may "
          "take hostNetwork or a hop limit of 2. identity.cloud: off asks no more",
          provider_.mode, why));
      if (tried >= times_.again.size()) return;
      std::unique_lock lock(mutex_);
      wait_.wait_for(lock, stop, times_.again[tried], [] { return false; });
    }
  }

  void tell(std::string remark) {
    const std::lock_guard lock(mutex_);
    remark_ = std::move(remark);
  }

  Result<std::vector<Fact>> ask(const std::stop_token& stop, const std::string& url) {
    auto target = base::HttpTarget::parse(url);
    if (!target) return std::unexpected(target.error());
    auto client = base::HttpClient::create(*std::move(target), {}, kMaxAnswer);
    if (!client) return std::unexpected(client.error());
    {
      const std::lock_guard lock(mutex_);
      client_ = *std::move(client);
      if (stop.stop_requested()) client_->cancel();
    }
    std::uint64_t refused = 0;
    auto facts = Service(provider_, *client_, times_.timeout).ask(refused);
    const std::lock_guard lock(mutex_);
    client_.reset();
    refused_ += refused;
    return facts;
  }

  const Provider& provider_;
  CloudTimes times_;
  mutable std::mutex mutex_;
  std::condition_variable_any wait_;
  std::unique_ptr<base::HttpClient> client_;
  std::string remark_;
  std::uint64_t refused_ = 0;
  std::jthread thread_;
};

}  // namespace

std::string_view cloud_of_machine(const std::string& folder) {
  const auto says = [&](const char* file, std::string_view text) {
    const auto found = base::read_small_file(folder + "/" + file, kMaxAnswer, false);
    return found && trimmed(*found).starts_with(text);
  };
  // As cloud-init's ds-identify tells them.
  if (says("sys_vendor", "Amazon EC2")) return "aws";
  if (says("product_name", "Google Compute Engine")) return "gcp";
  if (says("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77")) return "azure";
  if (says("chassis_asset_tag", "OracleCloud.com")) return "oci";
  return {};
}

std::unique_ptr<IdentitySource> make_cloud_source(std::string_view provider, CloudTimes times) {
  const auto* const found = std::ranges::find(kProviders, provider, &Provider::mode);
  return found == std::end(kProviders) ? nullptr : std::make_unique<CloudInstance>(*found, std::move(times));
}

std::unique_ptr<IdentitySource> cloud_instance(const SourceMeans& means) {
  const std::string& mode = means.config.cloud;
  return make_cloud_source(mode == "auto" ? cloud_of_machine("/sys/class/dmi/id") : std::string_view(mode));
}

}  // namespace keytrail::identify
