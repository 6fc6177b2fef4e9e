// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/words.h"

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/catalog/catalog.h"
#include "agent/cli/fields.h"
#include "agent/cli/when.h"
#include "keytrail/destination.h"
#include "keytrail/evidence.h"
#include "keytrail/key.h"

namespace keytrail::cli {

using base::printable;

std::string thousands(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string process_words(const json::object& row) {
  const json::object& actor = object(row, "actor");
  std::string program = text(actor, "program");
  if (program.empty()) program = text(actor, "comm");
  if (program.empty()) program = "?";
  std::int64_t pid = number(actor, "pid");
  const json::array& instances = array(row, "instances");
  if (!instances.empty() && instances.back().is_object()) pid = number(instances.back().get_object(), "pid");
  std::string out = fmt::format("{}[{}]", printable(program), pid);
  if (instances.size() > 1) out += fmt::format(" +{}", instances.size() - 1);
  if (const std::int64_t cut = number(row, "instances_cut"); cut > 0) out += fmt::format(", {} more", cut);
  return out;
}

std::string file_words(const json::object& actor) {
  const json::object& file = object(actor, "exe_file");
  if (number(file, "inode") == 0) return {};
  return fmt::format("inode {} on device {}{}", static_cast<std::uint64_t>(number(file, "inode")),
                     printable(text(file, "device")),
                     flag(file, "deleted") ? ", under no name: deleted, replaced, or only in memory" : "");
}

std::string called_words(const json::object& destination) {
  const std::string provider = text(destination, "provider"), service = text(destination, "service"),
                    action = text(destination, "action"), region = text(destination, "region");
  const std::string host = text(destination, "host"), address = text(destination, "address");
  const std::int64_t port = number(destination, "port");
  std::string place = host.empty() ? address : host;
  if (service.empty()) {
    if (place.empty())
      place = "?";
    else if (port != 0)
      place = (host.empty() && place.contains(':') ? "[" + place + "]" : place) + ":" + std::to_string(port);
    if (!action.empty()) place = action + " " + place;
  } else {
    // "global" and "local" are no places: there the host says more, and without an action the provider does.
    const bool nowhere = region.empty() || region == "global" || region == "local";
    const std::string where = nowhere ? place : region;
    const std::string what = action.empty() && nowhere && !provider.empty() && !where.empty()
                                 ? provider
                                 : service + ":" + (action.empty() ? "?" : action);
    place = what + (where.empty() ? "" : " " + where);
  }
  // A name that nothing bears out is shown with the address that it was claimed at.
  if (flag(destination, "claimed")) {
    const bool proxy = text(destination, "name_source") == to_string(NameSource::kConnectProxy);
    place += (proxy ? " (claimed to the proxy " : " (claimed at ") + address + ")";
  } else if (flag(destination, "ambiguous")) {
    place += " (address shared)";
  }
  return printable(place);
}

std::string used_for_words(std::string_view place) {
  constexpr std::string_view kBetween = " / ";
  const std::size_t first = place.find(kBetween), last = place.rfind(kBetween);
  if (first == std::string_view::npos || first == last) return printable(place);
  const std::string_view provider = place.substr(0, first), region = place.substr(last + kBetween.size());
  const std::string_view service = place.substr(first + kBetween.size(), last - first - kBetween.size());
  if (region != "global" && region != "local") return printable(fmt::format("{} {}", service, region));
  return printable(provider == service ? std::string(provider) : fmt::format("{} {}", provider, service));
}

std::string slot_words(const json::object& slot) {
  const std::string from = text(slot, "from"), place = text(slot, "place"), selector = text(slot, "selector");
  std::string out = from == "environment" ? "env" : from;
  if (!place.empty()) out += " " + place;
  if (!selector.empty()) out += " [" + selector + "]";
  return printable(out);
}

std::string kind_words(std::string_view kind) {
  const catalog::Kind* found = catalog::Catalog::builtin().kind(kind);
  return found == nullptr || found->title.empty() ? printable(kind) : std::string(found->title);
}

std::string lifetime_words(std::string_view lifetime) {
  return explain(from_word<Lifetime>(lifetime).value_or(Lifetime::kUnknown));
}

std::string verb_words(std::string_view evidence) {
  return explain(from_word<Evidence>(evidence).value_or(Evidence::kUnattributed));
}

std::string why_words(const json::object& use) {
  const std::string detail = text(use, "reason_detail"), reason = text(use, "reason");
  if (!detail.empty()) return printable(detail);
  const auto known = from_word<Reason>(reason);
  return known ? explain(*known) : printable(reason);
}

std::string key_words(const json::object& use, std::string_view asked) {
  std::string shown;
  std::size_t count = 0;
  for (const json::value& candidate : array(use, "keys")) {
    if (!candidate.is_object()) continue;
    const std::string id = text(object(candidate.get_object(), "key"), "id");
    if (++count == 1 || (!asked.empty() && id == asked)) shown = id.empty() ? "?" : printable(id);
  }
  if (count == 0) return "?";
  return count == 1 ? shown : fmt::format("{} +{}", shown, count - 1);
}

std::int64_t count_of(const json::object& use) {
  return is_null(use, "requests") ? number(use, "connections") : number(use, "requests");
}

std::string count_words(const json::object& use) {
  return number(use, "connections") == 0 && is_null(use, "requests") ? "-" : thousands(count_of(use));
}

std::string when_words(const json::object& object, Name name, const View& view) {
  const std::int64_t at = time(object, name);
  return at == 0 ? "-" : format_when(at, view.local);
}

std::string time_title(std::string_view title, const View& view) {
  return std::string(title) + (view.local ? "" : " (UTC)");
}

bool is_usual(const json::object& acquisition) {
  const catalog::Catalog& known = catalog::Catalog::builtin();
  const json::object& slot = object(acquisition, "slot");
  const json::object& actor = object(acquisition, "actor");
  const catalog::File* file = text(slot, "from") == "file" ? known.match_file(text(slot, "place")) : nullptr;
  if (file == nullptr || text(acquisition, "type") != "acquisition") return false;
  const auto reader = known.match_reader(text(actor, "exe"), text(actor, "program"), file);
  return reader && reader->expected && reader->role == catalog::ReaderRole::kOwner;
}

bool is_encryption(const json::object& key) { return text(key, "class") == "encryption_key"; }

}  // namespace keytrail::cli
