// SPDX-License-Identifier: Apache-2.0
// JSON schemas of the records that answers carry, made from their descriptions (include/keytrail/fields.h). Pure; any
// thread.
#pragma once

#include <boost/json/fwd.hpp>

namespace keytrail::serve {

/// Adds the schemas of rows, edges, holdings, summaries and of all that they contain, by name.
void add_record_schemas(boost::json::object& schemas);

}  // namespace keytrail::serve
