"""Tests of check_sources.py: every fault is found, and what is right is not."""

import unittest

import check_sources as check


class Sources(unittest.TestCase):
    def test_p9_secrets_and_large_files_are_found(self):
        # In two parts, so that this file is no fault itself.
        secrets = [
            b"-----BEGIN " + b"PRIVATE KEY-----\n" + b"A" * 64,
            b"-----BEGIN RSA " + b"PRIVATE KEY-----\n" + b"A" * 64,
            b"key = AKIA" + b"ABCDEFGHIJKLMNOP",
            b"ghp_" + b"a" * 36,
            b"hf_" + b"a" * 34,
            b"npm_" + b"a" * 36,
            b"sk-" + b"a" * 48,
            b"pypi-" + b"a" * 80,
        ]
        for secret in secrets:
            self.assertEqual(len(list(check.faults_of_file("a", b"x " + secret + b" y"))), 1, secret)
        large = bytes(check.MAX_BYTES + 1)
        self.assertEqual(len(list(check.faults_of_file("a", large))), 1)
        for path in check.LARGE:
            self.assertEqual(list(check.faults_of_file(path, large)), [])
        self.assertEqual(list(check.faults_of_file("a", b"hf_hub, sk-key, npm_config_cache")), [])

    def test_p4_a_crate_without_its_lint_is_found(self):
        self.assertEqual(len(list(check.faults_of_crate("crates/a", ["// #![forbid(unsafe_code)]"]))), 1)
        for line in ("#![forbid(unsafe_code)]", '#![cfg_attr(not(feature = "a"), forbid(unsafe_code))]'):
            self.assertEqual(list(check.faults_of_crate("crates/a", ["//! A.\n" + line])), [])

    def test_p6_packages_for_visitors_and_scripts_are_found(self):
        lock = {"packages": {"node_modules/a": {"hasInstallScript": True}, "node_modules/b": {}}}
        self.assertEqual(len(list(check.faults_of_packages({"dependencies": {"a": "1"}}, lock))), 2)
        self.assertEqual(list(check.faults_of_packages({}, {"packages": {"b": {}}})), [])

    def test_p6_addresses_of_others_in_built_pages_are_found(self):
        page = b"import('https://cdn.example.net/a.js') // https://svelte.dev/e/b"
        self.assertEqual(len(list(check.faults_of_file(check.BUILT_PAGES + "a.js", page))), 1)
        self.assertEqual(list(check.faults_of_file("docs/a.md", page)), [])

    def test_p5_new_code_in_builds_is_found(self):
        def package(name, kind, source="registry"):
            return {"id": name, "name": name, "version": "1.0.0", "source": source, "targets": [{"kind": [kind]}]}

        packages = [package("a", "custom-build"), package("b", "proc-macro"), package("c", "lib")]
        packages += [package("ours", "custom-build", None), package("unused", "custom-build")]
        nodes = [{"id": name} for name in ("a", "b", "c", "ours")]
        found = check.build_code({"packages": packages, "resolve": {"nodes": nodes}})
        self.assertEqual(found, ["a 1.0.0 build script", "b 1.0.0 macro"])
        self.assertEqual(list(check.faults_of_build_code(found, found)), [])
        self.assertEqual(len(list(check.faults_of_build_code(found, ["a 0.9.0 build script"]))), 3)

    def test_p11_releases_without_checks_of_sums_are_found(self):
        def faults(release):
            return len(list(check.faults_of_profiles({"profile": {"release": release}})))

        self.assertEqual(faults({}), 1)
        kernels = {"overflow-checks": False}
        self.assertEqual(faults({"overflow-checks": True, "package": {check.MAY_WRAP: kernels}}), 0)
        self.assertEqual(faults({"overflow-checks": True, "package": {"banter-engine": kernels}}), 1)


if __name__ == "__main__":
    unittest.main()
