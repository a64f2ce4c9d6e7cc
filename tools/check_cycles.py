#!/usr/bin/env python3
"""Checks that no files of a crate use each other in a circle.

    tools/check_cycles.py crates/server/src

A file uses another one if a `use` of it names something that the other one defines or hands on. Tests
do not count. Prints every circle, and exits with 1 if there are any.
"""

import pathlib
import re
import sys

TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:mod \w+;|use [^;]+;|[^{;]*\{.*?\n\}\n)", re.DOTALL)
COMMENT = re.compile(r"//[^\n]*")
STRING = re.compile(r'"(?:\\.|[^"\\])*"')
USE = re.compile(r"\b(pub(?:\(\w+\))? )?use ([^;]+);")
PATH = re.compile(r"\b(?:crate|super)(?:::\w+)+")


def modules(source):
    """The files below a folder by the path of their module, such as ("access", "keys")."""
    found = {}
    for file in source.rglob("*.rs"):
        path = file.relative_to(source).with_suffix("").parts
        path = path[:-1] if path[-1] in ("mod", "lib") else path
        if "tests" not in path:
            found[path] = file
    return found


def code_of(file):
    text = COMMENT.sub("", file.read_text())
    return TESTS.sub("", STRING.sub('""', text))


def leaves(tree):
    """The paths of a `use`, each with the name that it gets: `a::{b, c as d}` has a::b and a::c."""
    tree = tree.strip()
    if "{" not in tree:
        path, _, alias = (part.strip() for part in tree.partition(" as "))
        yield path.split("::"), alias or path.split("::")[-1]
        return
    start = tree.index("{")
    stem = [part for part in tree[:start].split("::") if part]
    depth, part = 0, ""
    for character in tree[start + 1 : tree.rindex("}")] + ",":
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character != "," or depth > 0:
            part += character
        elif part.strip():
            for path, name in leaves(part):
                yield (stem, name if name != "self" else stem[-1]) if path == ["self"] else (stem + path, name)
            part = ""


def absolute(path, module, known):
    """A path from the root of the crate; `None` if it leads into another crate."""
    path, here = list(path), list(module)
    if path[0] == "crate":
        return tuple(path[1:])
    if path[0] in ("self", "super"):
        while path and path[0] == "super":
            path, here = path[1:], here[:-1]
        return tuple(here + (path[1:] if path[:1] == ["self"] else path))
    return (*here, *path) if (*here, path[0]) in known else None


def uses(files):
    """The files that each file uses."""
    named, handed_on = {}, {}
    for module, file in files.items():
        code = code_of(file)
        named[module], handed_on[module] = set(), {}
        for is_public, tree in USE.findall(code):
            for path, name in leaves(" ".join(tree.split())):
                if target := absolute(path, module, files):
                    named[module].add(target)
                    if is_public:
                        handed_on[module][name] = target
        for path in PATH.findall(USE.sub("", code)):
            named[module].add(absolute(path.split("::"), module, files))

    def home(path, seen=()):
        """The file that defines what a path names."""
        module = next(path[:end] for end in range(len(path), -1, -1) if path[:end] in files)
        rest = path[len(module) :]
        if rest and rest[0] in handed_on[module] and (module, rest[0]) not in seen:
            return home(handed_on[module][rest[0]] + rest[1:], (*seen, (module, rest[0])))
        return module

    return {module: {home(path) for path in paths} - {module} for module, paths in named.items()}


def circles(graph):
    """Groups of modules of which each can be reached from each other (Kosaraju)."""

    def reach(start, edges, seen, order):
        waiting = [(start, iter(edges[start]))]
        seen.add(start)
        while waiting:
            module, rest = waiting[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                order.append(module)
                waiting.pop()
            else:
                seen.add(following)
                waiting.append((following, iter(edges[following])))

    order, seen = [], set()
    for module in graph:
        if module not in seen:
            reach(module, graph, seen, order)
    users = {module: {user for user, used in graph.items() if module in used} for module in graph}
    seen = set()
    for module in reversed(order):
        if module not in seen:
            group = []
            reach(module, users, seen, group)
            if len(group) > 1:
                yield sorted(group)


def main(source):
    files = modules(source)
    graph = uses(files)
    found = list(circles(graph))
    for group in found:
        print("these files use each other in a circle:")
        for module in group:
            others = sorted(str(files[other]) for other in graph[module] if other in group)
            print(f"  {files[module]} uses {', '.join(others)}")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
