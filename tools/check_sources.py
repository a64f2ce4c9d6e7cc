#!/usr/bin/env python3
"""Checks what may not come into the repository unnoticed.

    tools/check_sources.py           prints every fault, and exits with 1 if there are any
    tools/check_sources.py --write   writes tools/build-code.txt anew; read what has changed in it

- Unsafe code: every crate but the kernels forbids it.
- Secrets: no file holds a private key or the token of a service.
- Large files: none but the demo model.
- Packages of npm that a visitor would load: none; those of web/ are only for the build. None of them
  runs a program when it is installed.
- Other people's code that runs while banter is built, in build scripts and procedural macros: only that
  of the packages in tools/build-code.txt.
- Hosts in the built pages: only those that are a name, a link or an example. Nothing is loaded from them.
- Arithmetic of a release: sums that do not fit end in a panic, but in the kernels.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

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

BUILD_CODE = pathlib.Path("tools/build-code.txt")
BUILT_PAGES = "crates/server/assets/"
HOST = re.compile(rb"https?://([A-Za-z0-9.-]+)")
NAMED_HOSTS = {b"www.w3.org", b"svelte.dev", b"github.com", b"chat.example.com"}
RUNS_IN_BUILDS = {"custom-build": "build script", "proc-macro": "macro"}
# Their arithmetic wraps on purpose, and is compared with the plain definition in every test.
MAY_WRAP = "banter-kernels"


def faults_of_file(path, content):
    """What is wrong with a file of the repository."""
    if len(content) > MAX_BYTES and path not in LARGE:
        yield f"{path}: expected at most {MAX_BYTES} bytes, found {len(content)}"
    if any(secret.search(content) for secret in SECRETS):
        yield f"{path}: expected no secret, found what looks like one; revoke it and take it out"
    if path.startswith(BUILT_PAGES):
        for host in sorted(set(HOST.findall(content)) - NAMED_HOSTS):
            yield f"{path}: expected no address of others, found {host.decode()}"


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


def build_code(metadata):
    """The packages of others that run code during a build, as lines."""
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    others = (package for package in metadata["packages"] if package["source"] and package["id"] in used)
    return sorted(
        f"{package['name']} {package['version']} {RUNS_IN_BUILDS[kind]}"
        for package in others
        for target in package["targets"]
        for kind in target["kind"]
        if kind in RUNS_IN_BUILDS
    )


def faults_of_build_code(found, listed):
    """What differs between the packages that run code during a build and those in the list."""
    advice = "read what it does, and run tools/check_sources.py --write"
    for line in sorted(set(found) - set(listed)):
        yield f"{BUILD_CODE}: expected no other code in builds, found {line}; {advice}"
    for line in sorted(set(listed) - set(found)):
        yield f"{BUILD_CODE}: expected {line}, found that it is not used; {advice}"


def faults_of_profiles(workspace):
    """What is wrong with how a release is compiled."""
    release = workspace["profile"]["release"]
    checked = [("release", release.get("overflow-checks"), True)]
    for name, package in release.get("package", {}).items():
        if "overflow-checks" in package:
            checked.append((f"release.package.{name}", package["overflow-checks"], name != MAY_WRAP))
    for profile, found, expected in checked:
        if found is not expected:
            yield f"Cargo.toml: profile.{profile}: expected overflow-checks = {expected}, found {found}"


def metadata():
    """What cargo knows about the packages of a build on Linux."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    command += ["--filter-platform", "x86_64-unknown-linux-gnu", "--features", "opentelemetry"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def tracked():
    """The paths of the repository's files that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout
    paths = [pathlib.Path(path) for path in listed.decode().split("\0") if path]
    return [path for path in paths if path.is_file()]


def main():
    found = build_code(metadata())
    if sys.argv[1:] == ["--write"]:
        BUILD_CODE.write_text("\n".join(found) + "\n", encoding="utf-8")
        return
    faults = list(faults_of_build_code(found, BUILD_CODE.read_text(encoding="utf-8").splitlines()))
    faults += faults_of_profiles(tomllib.loads(pathlib.Path("Cargo.toml").read_text(encoding="utf-8")))
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
