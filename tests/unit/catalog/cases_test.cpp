// SPDX-License-Identifier: Apache-2.0
// Every row of cases.tsv and accept_cases.tsv, asked of the agent's own matcher.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "agent/catalog/account.h"
#include "agent/catalog/catalog.h"

namespace keytrail::catalog {
namespace {

struct Row {
  int line = 0;
  std::vector<std::string> cells;
};

std::vector<Row> rows(const std::string& name) {
  std::ifstream in(std::string(KEYTRAIL_CASES) + "/" + name);
  std::vector<Row> out;
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    if (text.empty() || text.starts_with('#')) continue;
    Row row{.line = line};
    for (std::size_t start = 0; start != std::string::npos;) {
      const std::size_t tab = text.find('\t', start);
      row.cells.push_back(text.substr(start, tab == std::string::npos ? tab : tab - start));
      start = tab == std::string::npos ? tab : tab + 1;
    }
    row.cells.resize(std::max<std::size_t>(row.cells.size(), 6));
    out.push_back(row);
  }
  return out;
}

std::string class_of(std::string_view kind) {
  const Kind* found = Catalog::builtin().kind(kind);
  return found == nullptr ? "-" : to_string(found->key_class);
}

std::string triple(std::string_view a, std::string_view b, std::string_view c) {
  return std::string(a) + " " + std::string(b) + " " + std::string(c);
}

/// "169.254.169.254:80" or "[fd00:ec2::254]:80".
SocketAddress address(const std::string& text) {
  SocketAddress out;
  const std::size_t colon = text.rfind(':');
  out.port = static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1)));
  out.v6 = text.starts_with('[');
  const std::string host = out.v6 ? text.substr(1, colon - 2) : text.substr(0, colon);
  inet_pton(out.v6 ? AF_INET6 : AF_INET, host.c_str(), out.address.data());
  return out;
}

/// <40:a> stands for 40 times a.
std::string expanded(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t end = text.find('>', i);
    const std::size_t colon = text.find(':', i);
    if (text[i] == '<' && end != std::string::npos && colon != std::string::npos && colon + 2 == end) {
      out.append(std::stoul(text.substr(i + 1)), text[colon + 1]);
      i = end;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string env_use(EnvUse use) {
  switch (use) {
    case EnvUse::kIdentifier:
      return "identifier";
    case EnvUse::kSecret:
      return "secret";
    case EnvUse::kPointer:
      return "pointer";
    case EnvUse::kDestination:
      return "destination";
    case EnvUse::kSelector:
      return "selector";
  }
  return "?";
}

constexpr const char* kNothing = "- - -";

std::string answer(const std::string& question, const std::string& input) {
  const Catalog& catalog = Catalog::builtin();
  if (question == "host") {
    const auto found = catalog.match_host(input);
    return found ? triple(found->provider, found->service, found->region) : kNothing;
  }
  if (question == "path") {
    const File* found = catalog.match_file(input);
    return found != nullptr ? triple(found->id, found->provider, class_of(found->kind)) : kNothing;
  }
  if (question == "env") {
    const Env* found = catalog.match_env(input);
    return found != nullptr ? triple(found->provider, env_use(found->use), class_of(found->kind)) : kNothing;
  }
  if (question == "format") {
    const auto found = catalog.match_format(expanded(input));
    return triple(found ? *found : "-", "", "");
  }
  if (question == "account") {
    const std::string found = account_of(input);
    return triple(found.empty() ? "-" : found, "", "");
  }
  if (question == "metadata") {
    const std::size_t space = input.find(' ');
    const auto found = catalog.match_metadata(address(input.substr(0, space)), {}, input.substr(space + 1));
    return found ? triple(found->id, found->provider, class_of(found->kind)) : kNothing;
  }
  return "unknown question " + question;
}

TEST(Cases, EveryRowIsAnsweredAsExpected) {
  const std::vector<Row> all = rows("cases.tsv");
  ASSERT_GT(all.size(), 200U);
  for (const Row& row : all) {
    EXPECT_EQ(answer(row.cells[0], row.cells[1]), triple(row.cells[2], row.cells[3], row.cells[4]))
        << "cases.tsv:" << row.line << " " << row.cells[0] << " " << row.cells[1] << " " << row.cells[5];
  }
}

TEST(Cases, EveryDestinationTakesAndGivesWhatIsExpected) {
  const Catalog& catalog = Catalog::builtin();
  const std::vector<Row> all = rows("accept_cases.tsv");
  ASSERT_GT(all.size(), 200U);
  for (const Row& row : all) {
    const std::string& where = row.cells[0];
    const std::string& expected = row.cells[2];
    const auto endpoint =
        where.starts_with("env:") ? catalog.bound_endpoint(where.substr(4)) : catalog.match_host(where);
    const std::string about = "accept_cases.tsv:" + std::to_string(row.line) + " " + where + " " + row.cells[1];
    ASSERT_TRUE(endpoint.has_value()) << about;
    const std::string kind = row.cells[1] == "-" ? "" : row.cells[1];
    const bool accepted = kind.empty() ? endpoint->anonymous != Anonymous::kNever : catalog.accepts(*endpoint, kind);
    if (expected.starts_with("issuer:")) {
      const auto given = catalog.issues(*endpoint, kind);
      EXPECT_NE(std::ranges::find(given, expected.substr(7)), given.end()) << about;
    } else {
      EXPECT_EQ(accepted, expected == "accepted") << about;
    }
  }
}

}  // namespace
}  // namespace keytrail::catalog
