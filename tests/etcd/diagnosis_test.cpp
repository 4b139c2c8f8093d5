// Which versions are said to have which lease bugs. What doctor finds on a real server is in admin_test.cpp.
#include "etcd/diagnosis.hpp"

#include <gtest/gtest.h>

namespace holdfast::etcd {
namespace {

TEST(etcd_diagnosis, versions_with_known_lease_bugs_are_named) {
    for (const char* version : {"3.4.23", "3.4.30", "3.5.0", "3.5.12", "3.3.10"}) {
        EXPECT_NE(lease_bugs(version).find("revoke"), std::string::npos) << version;
    }
    for (const char* version : {"3.4.31", "3.4.37", "3.5.13", "3.5.22", "3.6.0", "3.6.4"}) {
        EXPECT_NE(lease_bugs(version).find("renewals"), std::string::npos) << version;
    }
    for (const char* version : {"3.4.38", "3.5.23", "3.6.5", "3.7.0", "4.0.0", "", "new"}) {
        EXPECT_EQ(lease_bugs(version), "") << version;
    }
}

} // namespace
} // namespace holdfast::etcd
