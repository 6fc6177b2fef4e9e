// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/answer.h"

#include <string>
#include <utility>

#include "agent/base/log.h"
#include "agent/serve/row_json.h"

namespace keytrail::serve {

namespace json = boost::json;

namespace {

std::string_view code_of(unsigned status) {
  switch (status) {
    case 403:
      return "refused";
    case 404:
      return "not_found";
    case 405:
      return "method";
    case 413:
    case 431:
      return "too_large";
    case 500:
      return "internal";
    case 503:
      return "unavailable";
    default:
      return "invalid";
  }
}

}  // namespace

std::string error_body(unsigned status, std::string_view message, std::string_view code) {
  json::object error{
      {"status", status}, {"code", code.empty() ? code_of(status) : code}, {"message", base::printable(message)}};
  return json::serialize(json::object{{"schema", "1.0"}, {"error", std::move(error)}}) + "\n";
}

ApiAnswer failed(unsigned status, std::string_view message, std::string_view code) {
  ApiAnswer answer;
  answer.status = status;
  answer.body = error_body(status, message, code);
  return answer;
}

ApiAnswer failed(const Error& error) {
  switch (error.code) {
    case Error::Code::kInvalid:
      return failed(400, error.message);
    case Error::Code::kRefused:  // of a question only a secret is refused
      return failed(400, error.message, kSecret);
    case Error::Code::kNotFound:
    case Error::Code::kGone:
      return failed(404, error.message);
    case Error::Code::kTooLarge:
      return failed(413, error.message);
    case Error::Code::kUnavailable:
      return failed(503, error.message);
    case Error::Code::kSystem:
      break;
  }
  return failed(500, error.message);
}

ApiAnswer envelope(const Target& target, const HistoryFilter& filter, json::array rows, json::object coverage,
                   bool complete, std::uint64_t cursor, std::size_t more, const Known& known,
                   std::optional<json::object> cannot_tell, std::optional<json::array> undecided) {
  json::object parameters;
  for (const auto& [name, value] : target.parameters)
    parameters[base::printable(name)] = base::printable(value);
  std::string path;
  for (const std::string& segment : target.path)
    path += "/" + base::printable(segment);
  ApiAnswer answer;
  if (known.key.value_or(false)) answer.known_keys.push_back(filter.key);
  for (const auto& [is_known, reason] :
       {std::pair(known.key, "unknown_key"), std::pair(known.workload, "unknown_workload")}) {
    if (is_known.value_or(true)) continue;
    complete = false;
    json::value& why = coverage["why"];
    if (!why.is_array()) why = json::array();
    why.get_array().emplace_back(reason);
  }
  json::object body{{"schema", "1.0"},
                    {"asked",
                     {{"path", path},
                      {"parameters", std::move(parameters)},
                      {"since", time_or_null(filter.from_ns)},
                      {"until", time_or_null(filter.to_ns)},
                      {"limit", filter.limit}}},
                    {"rows", std::move(rows)},
                    {"coverage", std::move(coverage)},
                    {"complete", complete},
                    {"more", more},
                    {"cursor", cursor == 0 ? json::value() : json::value(std::to_string(cursor))}};
  if (known.key) body["key_known"] = *known.key;
  if (known.workload) body["workload_known"] = *known.workload;
  if (undecided) {
    body["complete"] = complete && undecided->empty();
    body["undecided"] = *std::move(undecided);
  }
  if (cannot_tell) body["cannot_tell"] = *std::move(cannot_tell);
  answer.body = json::serialize(body) + "\n";
  return answer;
}

}  // namespace keytrail::serve
