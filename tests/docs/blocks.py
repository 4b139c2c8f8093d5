"""The code blocks of a Markdown file.

    blocks.py README.md FOLDER

writes its C++ blocks as block-LINE.cpp into FOLDER (a file whose text stays the same is not touched) and prints their
names, so that CMake can compile them. A C++ block is a whole program, compiled as it stands but for one thing: the
URLs of stores, which become those of the test. Compilers speak of the lines of the Markdown file.
"""

import dataclasses
import pathlib
import re
import sys
import textwrap

FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*(.*)$")
INDENTED = re.compile(r"^( {4}|\t)")
# The stores that the text speaks of, and the variables in which the test names its own.
STORES = {
    "local:": "README_LOCAL_URL",
    "etcd://127.0.0.1:2379": "README_ETCD_URL",
    "redis://127.0.0.1:6379": "README_REDIS_URL",
}


@dataclasses.dataclass(frozen=True)
class Block:
    language: str
    line: int  # of its first line of code
    text: str

    @property
    def first(self):
        return next((line for line in self.text.splitlines() if line.strip()), "").strip()

    def __str__(self):
        return f"line {self.line} ({self.language}: {self.first})"


def read_blocks(path):
    """All code blocks. Raises ValueError for one that is never closed, or that has no fence and so no language."""
    found, opened = [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None:
            if fence:
                opened = (fence[1], fence[2].strip(), number + 1, [])
            elif INDENTED.match(line) and line.strip():
                raise ValueError(f"{path}: line {number} is indented as code is; put code between fences")
        elif fence and fence[1].startswith(opened[0]) and not fence[2]:
            found.append(Block(opened[1], opened[2], textwrap.dedent("\n".join(opened[3])) + "\n"))
            opened = None
        else:
            opened[3].append(line)
    if opened is not None:
        raise ValueError(f"{path}: the block that begins in line {opened[2]} has no end")
    return found


def program(block, markdown):
    """The C++ source of a block."""
    text = block.text
    for url, variable in STORES.items():
        text = text.replace(f'"{url}"', f'std::getenv("{variable}")')
    return f'#include <cstdlib>\n#line {block.line} "{markdown}"\n{text}'


def main():
    markdown, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    programs = [each for each in read_blocks(markdown) if each.language == "cpp"]
    wanted = {f"block-{each.line}.cpp": program(each, markdown) for each in programs}
    for old in folder.glob("block-*.cpp"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
