"""What the documents point at must be there: relative links, and files and folders that are named as `code`.

    paths_test.py SOURCE_FOLDER

Prints what is missing, and exits with 1 if anything is.
"""

import pathlib
import re
import sys

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\s]+)`")
# A word is taken for a path of ours when it begins with one of these.
TOPS = ("include/", "src/", "tests/", "docs/", "examples/", "bench/", "scripts/", "cmake/", ".ci/")


def named_paths(file, text):
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(line):
            if "://" not in target and not target.startswith("mailto:"):
                yield number, target, file.parent / target
        for word in CODE.findall(line):
            if word.startswith(TOPS) and not set(word) & set("*<>{}$"):
                yield number, word, None


def main():
    source = pathlib.Path(sys.argv[1])
    files = sorted([*source.glob("*.md"), *(source / "docs").rglob("*.md"), *(source / "examples").rglob("*.md")])
    missing, count = [], 0
    for file in files:
        for number, shown, path in named_paths(file, file.read_text(encoding="utf-8")):
            count += 1
            if not (path or source / shown).exists():
                missing.append(f"{file.relative_to(source)}:{number}: {shown} is not there")
    for each in missing:
        print(each)
    print(f"{len(files)} documents, {count} paths, {len(missing)} missing")
    return 1 if missing or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
