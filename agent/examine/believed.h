// SPDX-License-Identifier: Apache-2.0
// What of a question is believed. The worker says what a file is; the warden says where it found it. Where the catalog
// knows that place, its entry says what is read there, as what. Elsewhere the content says it; else, where the program
// that opened the file was told to by name (the opener saw that itself), the worker may. What only the worker says
// gives ids. In: a question, the file's bytes. Out: hints for the parsers. Thread: the examiner's only one.
#pragma once

#include <string>
#include <string_view>

#include "agent/catalog/catalog.h"
#include "agent/examine/facts.h"
#include "keytrail/role_abi.h"

namespace keytrail::examine {

struct Belief {
  std::string kinds;  ///< owned here, `hints` refers to it
  Hints hints;
  bool bare = false;  ///< Found::bare
};

/// Fills `out`, which keeps views into `asked`. `scratch` is wiped.
void believe(const role::Examine& asked, std::string_view bytes, const catalog::Catalog& catalog, ExaminerState& state,
             Arena& scratch, Belief& out);

/// Kind, class, lifetime and whether it can be guessed: as the catalog has them where it knows the kind, else as said.
void believe_kind(const role::Hints& said, const catalog::Catalog& catalog, Hints& out);

}  // namespace keytrail::examine
