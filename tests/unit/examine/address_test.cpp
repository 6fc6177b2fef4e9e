// SPDX-License-Identifier: Apache-2.0
// Host and port of what holds a secret, and never a part of that secret.
#include "agent/examine/address.h"

#include <gtest/gtest.h>

#include <string>

namespace keytrail::examine {
namespace {

struct Case {
  const char *value, *address;
};

TEST(Address, OfUrlsAndConnectionStrings) {
  for (const Case& one :
       {Case{"redis://:secret@cache:6379/0", "redis://cache:6379"},
        Case{"rediss://robot:secret@cache.example/0", "rediss://cache.example:6379"},
        Case{"postgres://ada:pa%40ss@db.example/x?sslmode=disable", "postgres://db.example:5432"},
        Case{"postgresql+psycopg://ada:x@db/app", "postgresql+psycopg://db:5432"},
        Case{"jdbc:mysql://db:3307/x?user=ada&password=secret", "jdbc:mysql://db:3307"},
        Case{"jdbc:sqlserver://db;user=ada;password=secret", "jdbc:sqlserver://db:1433"},
        Case{"mongodb://ada:x@a:27017,b:27018,c/db", "mongodb://a:27017,b:27018,c:27017"},
        Case{"amqps://ada:x@[fd00::1]/v", "amqps://[fd00::1]:5671"},
        Case{"https://0123456789abcdef@o1.ingest.sentry.io/42", "https://o1.ingest.sentry.io:443"},
        Case{"http://a:9200,http://ada:x@b:9201", "http://a:9200,b:9201"},
        Case{"https://proxy.example|direct", "https://proxy.example:443"},
        Case{"unknown://ada:x@host/y", "unknown://host"},
        Case{"Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=abc=",
             "sb://ns.servicebus.windows.net"},
        Case{"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=k;BlobEndpoint=http://127.0.0.1:10000/a;",
             "http://127.0.0.1:10000"},
        Case{"Server=tcp:db.example,1433;User ID=ada;Password=x", "db.example:1433"},
        Case{"host=db.example port=5433 user=ada password=secret", "db.example:5433"},
        Case{"ada:secret@tcp(db.example:3307)/app", "db.example:3307"}}) {
    EXPECT_EQ(address_of(one.value), one.address) << one.value;
  }
}

TEST(Address, NothingIsSaidWhereASecretMayStand) {
  for (const char* value : {"",
                            "secret",
                            "redis://",
                            "redis://:secret@/0",
                            "postgres://ada:pa/ss@db/app",
                            "postgres://ada:1/2@db/app",
                            "postgres://ada:1?2@db/app",
                            "postgres://ada:1#2@db/app",
                            "postgres://a:p@ss/w@db/app",
                            "mongodb+srv://a:b@c.d/e",
                            "jdbc:sqlserver://db;user=ada;password=a@b",
                            "redis://:pa@ss word@host",
                            "redis://:pa@ss|word@host",
                            "://x@y",
                            "password=secret",
                            "sqlite:///var/lib/app.db",
                            "ada:secret@host",
                            "https://host:99999/",
                            "https://ho st/",
                            "unix:///run/x.sock"}) {
    EXPECT_EQ(address_of(value), "") << value;
  }
}

TEST(Address, IsShort) {
  std::string hosts = "mongodb://ada:x@";
  for (int i = 0; i < 100; ++i)
    hosts += "replica-" + std::to_string(i) + ".example:27017,";
  EXPECT_LE(address_of(hosts + "last/db").size(), 126U);
}

}  // namespace
}  // namespace keytrail::examine
