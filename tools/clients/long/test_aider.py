"""The command `aider` asks a server with the demo model one question about an empty repository."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from shared import MODEL, URL

OPTIONS = """
    --edit-format ask --message hello --map-tokens 0 --yes-always --no-gitignore --no-auto-commits --no-pretty
    --analytics-disable --no-check-update --no-show-release-notes --no-show-model-warnings
""".split()


def aider(model):
    with tempfile.TemporaryDirectory() as home:
        # The list of models lies there already, so that it is not downloaded.
        prices = pathlib.Path(home, ".aider", "caches", "model_prices_and_context_window.json")
        prices.parent.mkdir(parents=True)
        prices.write_text(json.dumps({f"openai/{MODEL}": {"max_input_tokens": 2048}}))
        repository = pathlib.Path(home, "repository")
        subprocess.run(["git", "init", "--quiet", repository], check=True)
        environment = {
            **os.environ,
            "HOME": home,
            "OPENAI_API_BASE": f"{URL}/v1",
            "OPENAI_API_KEY": "none",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        command = [sys.executable, "-m", "aider", "--model", f"openai/{model}", *OPTIONS]
        return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300)


class Aider(unittest.TestCase):
    def test_it_gets_an_answer(self):
        run = aider(MODEL)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn("Error", run.stdout + run.stderr)
        lines = run.stdout.strip().splitlines()
        self.assertRegex(lines[-1], r"^Tokens: \d+ sent, [1-9]\d* received")
        self.assertTrue(lines[-2].strip())

    def test_another_model_is_not_there(self):
        run = aider("another")
        self.assertIn("NotFoundError", run.stdout)
        self.assertIn(MODEL, run.stdout)


if __name__ == "__main__":
    unittest.main()
