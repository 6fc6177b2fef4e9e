// SPDX-License-Identifier: Apache-2.0
// Parts of the questions that rows and edges share. Bound by position; nothing from outside is ever part of the text.
//   ?1 key ('' = any)  ?2 follow the chain  ?3 workloads (see workload_numbers)  ?4 lifetimes as bits or -1  ?5 key
//   kind ?6 provider  ?7 service  ?8 host
#pragma once

#define KEYTRAIL_CHAIN                                                                                                 \
  "WITH RECURSIVE chain(key_id) AS (SELECT ?1 UNION SELECT key_id FROM key WHERE fingerprint = ?1 AND ?1 != '' UNION " \
  "SELECT k.key_id FROM chain c JOIN key k ON k.parent = c.key_id WHERE ?2 AND c.key_id != '') "
#define KEYTRAIL_HAS_KEY(column)                                                                                     \
  "(?1 = '' OR " column                                                                                              \
  " IN (SELECT c.keyset FROM candidate c JOIN key k ON k.id = c.key WHERE k.key_id IN (SELECT key_id FROM chain))) " \
  "AND "                                                                                                             \
  "(?5 = '' OR " column                                                                                              \
  " IN (SELECT c.keyset FROM candidate c JOIN key k ON k.id = c.key WHERE k.kind = ?5)) AND "                        \
  "(?4 < 0 OR " column                                                                                               \
  " IN (SELECT c.keyset FROM candidate c JOIN key k ON k.id = c.key WHERE ?4 >> k.lifetime & 1)) "
#define KEYTRAIL_HAS_WORKLOAD(column) "(?3 = '' OR " column " IN (SELECT value FROM json_each(?3))) "
#define KEYTRAIL_HAS_DESTINATION(column)                                                            \
  "((?6 = '' AND ?7 = '' AND ?8 = '') OR " column                                                   \
  " IN (SELECT id FROM destination WHERE (?6 = '' OR provider = ?6) AND (?7 = '' OR service = ?7) " \
  "AND (?8 = '' OR host = ?8))) "
