#!/usr/bin/env python3
"""Tests of scripts/check-imports: every kind of violation is reported, and what is allowed is not."""

import sys
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

sys.dont_write_bytecode = True
loader = SourceFileLoader("check_imports", str(Path(__file__).resolve().parent / "check-imports"))
check_imports = module_from_spec(spec_from_loader(loader.name, loader))
loader.exec_module(check_imports)


def dependency(name, kind=None, default_features=False, features=(), path=None):
    """A dependency as `cargo metadata` writes it; `kind` None is a normal one."""
    found = {"name": name, "kind": kind, "uses_default_features": default_features, "features": list(features)}
    return found | {"path": path} if path else found


def violations(package, *dependencies):
    return check_imports.package_violations([{"name": package, "dependencies": list(dependencies)}])


class Packages(unittest.TestCase):
    def assert_allowed(self, package, *dependencies):
        self.assertEqual(violations(package, *dependencies), [])

    def assert_violation(self, package, broken, expected):
        found = violations(package, broken)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{package} -> {broken['name']}: "), found[0])
        self.assertIn(expected, found[0])

    def test_every_edge_of_the_table_is_allowed_and_every_other_is_not(self):
        for package, allowed in check_imports.ALLOWED.items():
            for other in check_imports.ALLOWED:
                # Whatever the kind: tests of ours are not exempt.
                for kind in [None, "dev", "build"]:
                    with self.subTest(package=package, other=other, kind=kind):
                        if other in allowed:
                            self.assert_allowed(package, dependency(other, kind))
                        else:
                            self.assert_violation(package, dependency(other, kind), "not allowed")

    def test_the_table_says_what_the_architecture_says(self):
        for package, other in [
            ("entropy-shared", "entropy-protocol"),
            ("pallet-entropy-signing", "pallet-entropy-registry"),
            ("pallet-entropy-staking", "entropy-runtime"),
            ("entropy-runtime", "entropy-protocol"),
            ("entropy-node", "entropy-shared"),
            ("entropy-node", "entropy-protocol"),
            ("entropy-protocol", "entropy-client"),
            ("entropy-tss-server", "entropy-client"),
            ("entropy-tss-server", "entropy-runtime"),
            ("entropy-client", "entropy-protocol"),
            ("entropy-client", "entropy-runtime"),
            ("entropy-localnet", "entropy-tss-server"),
            ("entropy-cli", "entropy-protocol"),
        ]:
            with self.subTest(package=package, other=other):
                self.assert_violation(package, dependency(other), "not allowed")

    def test_a_package_outside_of_the_table_is_told_to_be_added(self):
        found = violations("entropy-new", dependency("serde"))
        self.assertEqual(len(found), 1, found)
        self.assertIn("entropy-new: not in the table", found[0])
        self.assertIn("add it", found[0])

    def test_a_path_dependency_outside_of_the_table_is_ours_too(self):
        self.assert_violation("entropy-cli", dependency("entropy-new", path="/somewhere"), "not allowed")

    def test_the_chain_knows_no_threshold_signing(self):
        for package in ["entropy-node", "entropy-runtime", "pallet-entropy-signing", "entropy-shared"]:
            for name in ["synedrion", "manul", "frost-secp256k1-tr", "dkls23"]:
                with self.subTest(package=package, name=name):
                    self.assert_violation(package, dependency(name), "threshold signing")

    def test_protocol_is_pure(self):
        for name in ["tokio", "tokio-util", "subxt", "subxt-signer", "async-std", "smol", "futures", "sled", "getrandom", "sp-core"]:
            with self.subTest(name=name):
                self.assert_violation("entropy-protocol", dependency(name), "banned")
                self.assert_violation("entropy-protocol", dependency(name, "build"), "banned")
                self.assert_allowed("entropy-protocol", dependency(name, "dev"))
        self.assert_violation("entropy-protocol", dependency("rand_core", features=["getrandom"]), "getrandom")
        self.assert_allowed("entropy-protocol", dependency("rand_core"), dependency("synedrion"), dependency("manul"))

    def test_a_pallet_uses_another_only_in_its_tests(self):
        self.assert_violation("pallet-entropy-staking", dependency("pallet-session"), "traits")
        self.assert_allowed("pallet-entropy-staking", dependency("pallet-balances", "dev"), dependency("frame-support"))

    def test_servers_and_clients_meet_the_chain_over_rpc(self):
        for package in ["entropy-tss-server", "entropy-client", "entropy-localnet", "entropy-cli"]:
            for name in ["sp-core", "sc-service", "frame-support", "pallet-balances"]:
                with self.subTest(package=package, name=name):
                    self.assert_violation(package, dependency(name), "only over RPC")
        self.assert_allowed("entropy-tss-server", dependency("subxt"), dependency("tokio"), dependency("parity-scale-codec"))

    def test_the_runtimes_packages_take_ours_without_the_standard_library(self):
        for package in ["pallet-entropy-staking", "entropy-runtime"]:
            with self.subTest(package=package):
                self.assert_violation(package, dependency("entropy-shared", default_features=True), "default-features")
                self.assert_allowed(package, dependency("entropy-shared", "dev", default_features=True))
        self.assert_allowed("entropy-node", dependency("entropy-runtime", default_features=True))


class Text(unittest.TestCase):
    def assert_named(self, path, text, expected_lines):
        found = check_imports.text_violations({path: text})
        self.assertEqual(len(found), len(expected_lines), found)
        for violation, line in zip(found, expected_lines):
            self.assertTrue(violation.startswith(f"{path}:{line}: "), violation)

    def test_only_main_and_testing_name_an_adapter(self):
        text = "mod ports;\nuse crate::adapters::sled::Store;\nuse crate::{\n    adapters::clock,\n};\n"
        for path in ["engine.rs", "engine/run.rs", "engine/main.rs", "lib.rs", "adapters_else.rs"]:
            with self.subTest(path=path):
                self.assert_named(f"crates/tss-server/src/{path}", text, [2, 4])
        for path in ["main.rs", "testing.rs", "testing/network.rs", "adapters.rs", "adapters/mod.rs", "adapters/http/api.rs"]:
            with self.subTest(path=path):
                self.assert_named(f"crates/tss-server/src/{path}", text, [])
        self.assert_named("crates/client/src/lib.rs", text, [])

    def test_declaring_the_module_is_not_naming_an_adapter(self):
        self.assert_named("crates/tss-server/src/lib.rs", "pub mod adapters;\n", [])
        self.assert_named("crates/tss-server/src/lib.rs", "pub mod adapters;\npub use adapters as a;\n", [2])

    def test_comments_and_literals_are_not_code(self):
        text = (
            "//! adapters::sled\n"
            "/* adapters::\nadapters:: */\n"
            'const A: &str = "adapters::\\" // \\\nadapters::";\n'
            'const B: &str = r#"" adapters::"#;\n'
            "const C: [char; 3] = ['\"', '\\'', '\\u{22}'];\n"
            "use crate::adapters::clock;\n"
        )
        self.assert_named("crates/tss-server/src/engine.rs", text, [8])

    def test_protocol_has_no_clock_and_no_randomness(self):
        text = "use std::time::Instant;\n// Instant\nlet rng = OsRng;\nlet now = SystemTime::now();\nlet instantly = 1;\n"
        self.assert_named("crates/protocol/src/frost/sign.rs", text, [1, 3, 4])
        self.assert_named("crates/tss-server/src/engine.rs", text, [])


if __name__ == "__main__":
    unittest.main()
