// SPDX-License-Identifier: Apache-2.0
// Settings of PHP sources: literals that stand under a key's name, nothing that is computed.
#include <gmock/gmock.h>

#include "fixture.h"

namespace keytrail::examine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Lines = std::vector<std::string>;

struct Php : ::testing::Test {
  /// "[selector] login@host PASSWORD?" of each key: which of the given secrets it is, by number or fingerprint.
  Lines keys(const std::string& text) {
    bench.other_kind = "generic.secret";
    found = bench.parse("configuration", text, "mysql.password", true, KeyClass::kPassword);
    Lines out;
    for (const KeyFact& fact : found.keys)
      out.push_back("[" + fact.selector + "] " + (fact.key.id.empty() ? "$" + fact.variable : fact.key.kind) + " " +
                    fact.key.principal + "@" + fact.host);
    return out;
  }
  Bench bench;
  Found found;
};

TEST_F(Php, ConstantsOfWordPress) {
  EXPECT_THAT(keys("<?php\n/* it's a comment */\ndefine( 'DB_NAME', 'wp' );\ndefine('DB_USER', 'bob');\n"
                   "define( \"DB_PASSWORD\", 'Xq7vT2mN8s\\'K4' ); // don't\n# isn't\ndefine('DB_HOST', 'db:3306');\n"
                   "$table_prefix = 'wp_';\nif ( ! defined( 'ABSPATH' ) ) { define( 'ABSPATH', __DIR__ . '/' ); }\n"),
              ElementsAre("[] mysql.password bob@db:3306"));
}

TEST_F(Php, ArraysOfLaravel) {
  EXPECT_THAT(
      keys("<?php\n\nuse Illuminate\\Support\\Str;\n\nreturn [\n 'default' => env('DB_CONNECTION', 'mysql'),\n"
           " 'connections' => [\n  'mysql' => [\n   'url' => env('DB_URL'),\n   'username' => 'bob',\n"
           "   'password' => 'Xq7vT2mN8sK4',\n   'options' => extension_loaded('pdo_mysql') ? array_filter([\n"
           "     PDO::MYSQL_ATTR_SSL_CA => env('MYSQL_ATTR_SSL_CA'),\n   ]) : [],\n   'host' => 'db.test',\n  ],\n"
           "  'pgsql' => array('username' => 'eve', 'password' => getenv('PG_PW') ?: 'x', 'host' => 'pg.test'),\n"
           " ],\n];\n"),
      ElementsAre("[mysql] mysql.password bob@db.test", "[pgsql] $PG_PW eve@pg.test"));
}

TEST_F(Php, VariablesAndMembers) {
  EXPECT_THAT(
      keys("<?php\n$databases['default']['default'] = array ('username' => 'u', 'password' => 'Xq7vT2mN8sK4');\n"
           "class JConfig { public $dbpassword = 'Zq7vT2mN8sK4'; const API_TOKEN = 'tok-0123456789abcdefXYZ'; }\n"),
      ElementsAre("[dbpassword] mysql.password @", "[API_TOKEN] generic.secret @", "[default] mysql.password u@"));
}

TEST_F(Php, AKnownKeyIsOneWhateverItIsCalled) {
  EXPECT_THAT(keys("<?php return ['t' => 'ghp_0123456789abcdefghijABCDEFGHIJ012345', 'u' => 'no key of any kind'];"),
              ElementsAre("[] github.token @"));
}

TEST_F(Php, WhatIsComputedIsNoKey) {
  for (const char* text :
       {"$password = 'a' . $b . 'cdefghijkl';", "$password = \"abc$def-ghijklm\";", "$password = f('Xq7vT2mN8sK4');",
        "$password == 'Xq7vT2mN8sK4';", "define('PASSWORD');", "x('password', 'Xq7vT2mN8sK4');",
        "$password = <<<'E'\nit's\n  E;", "/* $password = 'Xq7vT2mN8sK4'; */", "?> $password = 'Xq7vT2mN8sK4'; <p>"})
    EXPECT_THAT(keys("<?php " + std::string(text)), IsEmpty()) << text;
}

TEST_F(Php, AQuoteInAHereDocumentOrPageDoesNotTurnTheRestAround) {
  EXPECT_THAT(keys("<?php $a = <<<END\nit's\nEND;\n?>\n<p>don't</p>\n<?php $password = 'Xq7vT2mN8sK4';"),
              ElementsAre("[] mysql.password @"));
}

TEST_F(Php, HostileSourcesEnd) {
  std::string deep = "<?php $password = ";
  deep.append(20'000, '[');
  EXPECT_THAT(keys(deep), IsEmpty());
  EXPECT_EQ(found.unread, role::Unread::kUnknownFormat);
  for (const char* text : {"<?php", "<?php '", "<?php define(", "<?php $a[", "<?php $a = [", "<?php <<<", "<?php /*",
                           "<?php ?>", "<?php $a = ['b' => ", "<?php return", "<?php $a = env(", "<?php $a = \"\\"})
    EXPECT_THAT(keys(text), IsEmpty()) << text;
}

}  // namespace
}  // namespace keytrail::examine
