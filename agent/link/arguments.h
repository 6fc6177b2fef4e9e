// SPDX-License-Identifier: Apache-2.0
// Keys inside the arguments of programs that may be given some (curl -H): the kernel side keeps their bytes, the
// examiner says what they hold. Owns nothing but the questions. Called by Engine at an exec. One thread.
#pragma once

#include "agent/catalog/catalog.h"
#include "agent/link/examinations.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Arguments {
 public:
  Arguments(const catalog::Catalog& catalog, KeyIndex& index, Holders& holders, Examinations& examinations, Uses& uses,
            Outbox& outbox)
      : catalog_(catalog),
        index_(index),
        holders_(holders),
        examinations_(examinations),
        uses_(uses),
        outbox_(outbox) {}

  /// Asks what stands in the arguments that were kept; what was not kept whole may hide a key.
  void on_exec(const InstanceRef& instance, const ExecEvent& event, std::uint64_t time_ns);

 private:
  void on_answer(const ExaminationRef& examination, const SharedList<ArgItem>& args, ArgumentsAnswer& answer);
  void hold_fact(const ExaminationRef& examination, const KeyFact& fact);

  const catalog::Catalog& catalog_;
  KeyIndex& index_;
  Holders& holders_;
  Examinations& examinations_;
  Uses& uses_;
  Outbox& outbox_;
};

}  // namespace keytrail::link
