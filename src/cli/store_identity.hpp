// Which store a URL means, so that two spellings of one store are seen to be one.
//
// Pure, except that the default folder of the local store is that of the user, and that links in a folder's
// path are followed.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::cli {

/// The URL without its credentials, with the scheme's usual port, the name of this machine for its loopback
/// address, and without what can be left out. Aliases that only a name server knows are not seen through.
std::string store_identity(std::string_view url);

} // namespace holdfast::cli
