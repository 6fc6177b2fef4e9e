// SPDX-License-Identifier: Apache-2.0
// What a file that was read tells of other places: another file where the key of its entry lies (`tokenFile` of a
// kubeconfig), a variable that it stands in (`${NAME}` of an .npmrc). The program reads that place right after, mostly
// before the kernel side can watch it: so the examiner looks there, and who read the one holds what is in the other,
// `possible` unless that read was seen, too. Called by Opens. One thread.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "agent/link/examinations.h"
#include "agent/link/facts.h"
#include "agent/link/found.h"
#include "agent/link/outbox.h"
#include "agent/link/uses.h"

namespace keytrail::link {

/// Notes the address that an option or flag says in a variable's place (`--endpoint-url`); false when it is none. Where
/// there is no room for it, something of the receivers is not known.
bool note_told_address(const Examination& by, const KeyFact& fact, const catalog::Catalog& catalog, Outbox& outbox);

class Pointers {
 public:
  Pointers(const catalog::Catalog& catalog, Examinations& examinations, Facts& facts, Found& found, Uses& uses,
           Outbox& outbox)
      : catalog_(catalog), examinations_(examinations), facts_(facts), found_(found), uses_(uses), outbox_(outbox) {}

  /// A file that was read, at `path`.
  struct Teller {
    const catalog::File& file;
    std::string path;
    std::uint32_t mnt_ns = 0;
    std::string scope;      ///< of the file: see SlotChange
    int depth = 0;          ///< how many files led to it: includes
    FileIdentity identity;  ///< as it was read
  };
  /// `fact`: an entry without a key of this file, which says where that is; `by`: its examination, with the readers.
  void follow(const Examination& by, const Teller& teller, const KeyFact& fact);

  /// What a file told of this path, to this process or to another; nullptr: nothing.
  [[nodiscard]] const catalog::File* file_of(const Instance& instance, std::string_view path);

 private:
  /// What a question about a place is for.
  struct Asked {
    ExaminationRef examination;
    const catalog::File* file = nullptr;  ///< what lies there
    ToldPlace place;
    std::uint32_t mnt_ns = 0;
    std::string scope;
    int depth = 0;
    bool include = false;  ///< more of the same: where there is none, nothing is missing
    std::string teller;    ///< the path of the file that says so
    FileIdentity teller_file;
    Room room;
  };
  void look(Asked asked);
  void on_file(const Asked& asked, FileAnswer& answer);
  void ask_variable(Asked asked, const std::string& name);
  void on_variable(const Asked& asked, const std::string& name, EnvironmentAnswer& answer);
  [[nodiscard]] static Facts::Place place_of(const Asked& asked, From from, std::string name, How how);
  void give_up(const Asked& asked);

  static constexpr std::size_t kMaxKnown = 1'024;

  const catalog::Catalog& catalog_;
  Examinations& examinations_;
  Facts& facts_;
  Found& found_;
  Uses& uses_;
  Outbox& outbox_;
  base::LruMap<std::string, const catalog::File*> known_{kMaxKnown};  ///< by place: where keys were found so
};

}  // namespace keytrail::link
