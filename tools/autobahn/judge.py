"""Judges a report of Autobahn|Testsuite. Fails if a case failed or a connection ended uncleanly."""

import json
import sys
from collections import Counter

# 1 to 7, 9 and 10 have this many cases.
LEAST_CASES = 301
PASSED = {"OK", "INFORMATIONAL", "NON-STRICT"}
# The last means that the suite itself ended a connection which it wanted to be failed.
CLOSED = {"OK", "INFORMATIONAL", "FAILED BY CLIENT"}
MOST_NON_STRICT = 3


def main(path):
    with open(path, encoding="utf-8") as file:
        (cases,) = json.load(file).values()
    outcomes = Counter(case["behavior"] for case in cases.values())
    closes = Counter(case["behaviorClose"] for case in cases.values())
    print(f"autobahn: {len(cases)} cases: {dict(outcomes)}, closing: {dict(closes)}")
    wrong = {
        name: (case["behavior"], case["behaviorClose"])
        for name, case in cases.items()
        if case["behavior"] not in PASSED or case["behaviorClose"] not in CLOSED
    }
    if wrong or len(cases) < LEAST_CASES:
        sys.exit(f"autobahn: expected every one of {LEAST_CASES} cases to pass, found {wrong}")
    not_strict = [name for name, case in cases.items() if case["behavior"] == "NON-STRICT"]
    if len(not_strict) > MOST_NON_STRICT:
        sys.exit(f"autobahn: expected at most {MOST_NON_STRICT} NON-STRICT cases, found {not_strict}")


if __name__ == "__main__":
    main(sys.argv[1])
