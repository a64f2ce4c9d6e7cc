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


if __name__ == "__main__":
    unittest.main()
