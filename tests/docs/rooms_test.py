"""The rooms of the source tree: who may include whom (docs/architecture.md, "The rooms").

    rooms_test.py SOURCE_FOLDER

Checks every #include of include/ and src/. Prints each line that breaks a rule, and exits with 1 if there is one.
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# The headers of the system, which every room but the public one may include.
SYSTEM = re.compile(r"^(sys|linux|netinet|arpa)/[a-z_0-9]+\.h$|^[a-z_0-9]+\.h$")
STANDARD = re.compile(r"^[a-z_0-9]+$")

# room: the rooms whose headers it may include beside its own and the public ones, and the libraries of others.
ROOMS = {
    "include/holdfast": ([], []),
    "src/core": ([], ["boost/url/"]),
    "src/local": (["core"], []),
    "src/etcd": (["core"], ["grpc/", "grpcpp/", "google/protobuf/", "holdfast_etcd.pb.h", "nlohmann/json.hpp",
                          "sanitizer/tsan_interface.h"]),
    "src/redis": (["core"], ["boost/asio", "hiredis/", "openssl/", "nlohmann/json.hpp"]),
    "src/cli": (["cli"], ["CLI/", "nlohmann/json.hpp"]),
}
# Files outside of a room, with all they may include of ours.
LOOSE_FILES = {"src/stores.cpp": ["core/factory.hpp"]}
# The one public header that is for users of somebody else's library.
OPTIONAL = {"include/holdfast/asio.hpp": "boost/asio/"}
# Libraries that show in these files only, so that no other file pays for their headers.
SHOWN_IN = {
    "grpcpp/": ("src/etcd/rpc", "src/etcd/grpc_"),
    "boost/url/": ("src/core/url_hosts.cpp",),
    "hiredis/": ("src/redis/resp.cpp",),
}
SOURCES = {".cpp", ".hpp"}


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1] == "<", found[2]


def why_not(source, room, file, in_angles, name):
    """The rule that this include breaks, or None."""
    for prefix, files in SHOWN_IN.items():
        if name.startswith(prefix) and not str(file).startswith(files):
            return f"{prefix} shows in {', '.join(files)} only"
    if name.startswith("holdfast/"):
        return None if (source / "include" / name).is_file() else "there is no such public header"
    if in_angles and STANDARD.match(name):
        return None
    if str(file) in OPTIONAL and name.startswith(OPTIONAL[str(file)]):
        return None
    if ".." in name:
        return "a header of another folder is named from src/ on"
    rooms, libraries = ROOMS[room]
    if any(name.startswith(library) for library in libraries):
        return None
    if room == "include/holdfast":
        return "a public header includes the standard library and other public headers only"
    if in_angles:
        return None if SYSTEM.match(name) else f"{room} does not use this library"
    if (source / file.parent / name).is_file():
        return None
    if name.split("/")[0] in rooms and (source / "src" / name).is_file():
        return None
    others = "".join(f", those of src/{each}" for each in rooms if f"src/{each}" != room)
    return f"{room} includes its own headers{others} and the public ones"


def why_not_loose(file, name):
    if name in LOOSE_FILES[str(file)] or STANDARD.match(name) or name.startswith("holdfast/"):
        return None
    return f"{file} may include only {LOOSE_FILES[str(file)]}"


def main():
    source = pathlib.Path(sys.argv[1])
    files = sorted(
        path.relative_to(source)
        for top in ("include", "src")
        for path in (source / top).rglob("*")
        if path.suffix in SOURCES
    )
    problems = []
    seen = dict.fromkeys(ROOMS, 0)
    for file in files:
        room = next((each for each in ROOMS if file.is_relative_to(each)), None)
        if room is None and str(file) not in LOOSE_FILES:
            problems.append(f"{file}: is in none of the rooms {', '.join(ROOMS)}")
            continue
        for number, in_angles, name in includes(source / file):
            if room is None:
                reason = why_not_loose(file, name)
            else:
                seen[room] += 1
                reason = why_not(source, room, file, in_angles, name)
            if reason:
                problems.append(f"{file}:{number}: includes {name}: {reason}")
    # A rule over nothing would always hold.
    problems += [f"{room}: no include was found there; has it moved?" for room, count in seen.items() if count == 0]
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {sum(seen.values())} includes, {len(problems)} against the rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
