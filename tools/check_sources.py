#!/usr/bin/env python3
"""Checks what may not come into the repository unnoticed.

    tools/check_sources.py

- Unsafe code: every crate but the kernels forbids it.
- Secrets: no file holds a private key or the token of a service.
- Large files: none but the demo model.
- Packages of npm that a visitor would load: none; those of web/ are only for the build. None of them
  runs a program when it is installed.

Prints every fault, and exits with 1 if there are any.
"""

import json
import pathlib
import re
import subprocess
import sys

MAX_BYTES = 1_000_000
LARGE = {"crates/banter/assets/banter-demo.gguf"}
MAY_BE_UNSAFE = {"crates/kernels"}
FORBIDS_UNSAFE = re.compile(r"^#!\[(forbid\(unsafe_code\)|cfg_attr\(.*forbid\(unsafe_code\)\))\]", re.MULTILINE)
SECRETS = [
    re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"),
    re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
    re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b"),
    re.compile(rb"\bnpm_[A-Za-z0-9]{36}\b"),
    re.compile(rb"\bsk-[A-Za-z0-9]{40,}\b"),
    re.compile(rb"\bpypi-[A-Za-z0-9_-]{60,}\b"),
]


def faults_of_file(path, content):
    """What is wrong with a file of the repository."""
    if len(content) > MAX_BYTES and path not in LARGE:
        yield f"{path}: expected at most {MAX_BYTES} bytes, found {len(content)}"
    if any(secret.search(content) for secret in SECRETS):
        yield f"{path}: expected no secret, found what looks like one; revoke it and take it out"


def faults_of_crate(folder, roots):
    """What is wrong with a crate, whose root files have these texts."""
    if folder in MAY_BE_UNSAFE:
        return
    if not any(FORBIDS_UNSAFE.search(root) for root in roots):
        yield f"{folder}: expected #![forbid(unsafe_code)] in its root, found none"


def faults_of_packages(package, lock):
    """What is wrong with the packages of web/."""
    if package.get("dependencies"):
        yield f"web/package.json: expected no dependencies, found {sorted(package['dependencies'])}"
    for name, entry in lock["packages"].items():
        if entry.get("hasInstallScript"):
            yield f"web/package-lock.json: {name}: expected no script at its installation, found one"


def tracked():
    """The paths of the repository's files that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout
    paths = [pathlib.Path(path) for path in listed.decode().split("\0") if path]
    return [path for path in paths if path.is_file()]


def main():
    faults = []
    for path in tracked():
        faults += faults_of_file(path.as_posix(), path.read_bytes())
    for manifest in sorted(pathlib.Path("crates").glob("*/Cargo.toml")):
        sources = (manifest.parent / "src" / name for name in ("lib.rs", "main.rs"))
        roots = [source.read_text(encoding="utf-8") for source in sources if source.is_file()]
        faults += faults_of_crate(manifest.parent.as_posix(), roots)
    package, lock = (
        json.loads(pathlib.Path("web", name).read_text(encoding="utf-8"))
        for name in ("package.json", "package-lock.json")
    )
    faults += faults_of_packages(package, lock)
    print("\n".join(faults), end="\n" if faults else "")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
