"""The whole conversation in a seeded world: `python -m tests.simulation --help`, and docs/hardening.md."""
